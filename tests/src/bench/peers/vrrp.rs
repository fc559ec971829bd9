//! keepalived: an address that moves by VRRP with an advertisement every 0.1 s.
//!
//! What happens in that time: three advertisements are missed and the backup takes the address. What does not:
//! nobody makes sure that the old holder has stopped (cut off instead of dead, both have the address), no volume is
//! promoted, and two machines that do not hear each other are both active. Compared with it is the fail-over with a
//! fence device.
//!
//! The machines are network namespaces. The fault pulls the active machine's cable.

use super::address::{ADDRESS, Prober, Running, plug_prober};
use crate::Failure;
use crate::netns::{Family, Rooms};
use picket_host::clock::boottime;
use std::fs;
use std::path::{Path, PathBuf};

/// So many takeovers of the address, in milliseconds each. This process must have network and mounts of its own;
/// `echo_words` make this program call [`echo`](super::echo) when a name follows them.
///
/// # Errors
/// keepalived is not installed, or the address did not move.
pub fn vrrp(rounds: usize, echo_words: &[&str]) -> Result<Vec<u64>, Failure> {
    Rooms::own_world()?;
    let rooms = Rooms::make(&["m1", "m2"], Family::V4)?;
    plug_prober()?;
    let dir = PathBuf::from("/run/netns/vrrp");
    fs::create_dir_all(&dir)?;
    let mut running = Running::none();
    for (name, priority) in [("m1", 150), ("m2", 100)] {
        let config = configure(&dir, name, priority)?;
        let pids = [dir.join(format!("{name}.pid")), dir.join(format!("{name}-vrrp.pid"))];
        let [pid, vrrp_pid] = pids.map(|path| path.display().to_string());
        let words = ["keepalived", "--vrrp", "--dont-fork", "--use-file", &config, "--pid", &pid];
        running.start(name, &[&words[..], &["--vrrp_pid", &vrrp_pid]].concat())?;
        running.start(name, &[echo_words, &[name]].concat())?;
    }
    let values = (0..rounds).map(|_| round(&rooms)).collect::<Result<Vec<u64>, Failure>>();
    drop(running);
    rooms.remove()?;
    values
}

fn configure(dir: &Path, name: &str, priority: u8) -> Result<String, Failure> {
    let text = format!(
        "global_defs {{\n router_id {name}\n vrrp_version 3\n}}\nvrrp_instance bench {{\n state BACKUP\n \
         interface eth0\n virtual_router_id 77\n priority {priority}\n advert_int 0.1\n \
         virtual_ipaddress {{\n  {ADDRESS}/24 dev eth0\n }}\n}}\n"
    );
    let path = dir.join(format!("{name}.conf"));
    fs::write(&path, text)?;
    Ok(path.display().to_string())
}

fn round(rooms: &Rooms) -> Result<u64, Failure> {
    let mut prober = Prober::new()?;
    prober.settles("m1")?;
    let fault = boottime();
    rooms.unplug("m1", 0)?;
    let answered = prober.settles("m2")?;
    let outage = prober.longest_gap(fault, answered);
    rooms.heal()?;
    Ok(u64::try_from(outage.as_millis())?)
}
