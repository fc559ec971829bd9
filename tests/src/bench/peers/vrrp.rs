//! keepalived: an address that moves by VRRP with an advertisement every 0.1 s.
//!
//! What happens in that time: three advertisements are missed and the backup takes the address. What does not:
//! nobody makes sure that the old holder has stopped (cut off instead of dead, both have the address), no volume is
//! promoted, and two machines that do not hear each other are both active. Compared with it is the fail-over with a
//! fence device.
//!
//! The machines are network namespaces; an echo on each tells its name to a prober that asks the address once in a
//! millisecond. The fault pulls the active machine's cables.

use crate::Failure;
use crate::netns::{Family, Rooms};
use crate::rig::LIMIT;
use core::time::Duration;
use picket_host::clock::boottime;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where the echo listens.
const PORT: u16 = 7777;

/// The address that moves, in the first network.
const ADDRESS: &str = "10.77.0.100";

/// The prober's own address there.
const PROBER: &str = "10.77.0.253/24";

/// How often the address is asked who has it.
const ASK_EVERY: Duration = Duration::from_millis(1);

/// So many answers in a row show that an address has settled.
const SETTLED: u32 = 200;

/// Tells `name` to whoever asks, until it is killed; the echo on a machine.
///
/// # Errors
/// The port cannot be had.
pub fn echo(name: &str) -> Result<(), Failure> {
    let socket = UdpSocket::bind(("0.0.0.0", PORT))?;
    let mut bytes = [0; 16];
    loop {
        let (_, asker) = socket.recv_from(&mut bytes)?;
        // Who asked may be out of reach by now.
        let _ = socket.send_to(name.as_bytes(), asker);
    }
}

/// Processes that end with this.
struct Running(Vec<Child>);

impl Running {
    fn start(&mut self, room: &str, words: &[&str]) -> Result<(), Failure> {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{room}")).arg("--").args(words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.0.push(command.spawn()?);
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // One that has ended needs no end. keepalived ends its children when it is asked to end.
            let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
            if let Some(pid) = pid {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
            let _ = child.wait();
        }
    }
}

/// So many takeovers of the address, in milliseconds each. This process must have network and mounts of its own;
/// `echo_words` make this program call [`echo`] when a name follows them.
///
/// # Errors
/// keepalived is not installed, or the address did not move.
pub fn vrrp(rounds: usize, echo_words: &[&str]) -> Result<Vec<u64>, Failure> {
    Rooms::own_world()?;
    let rooms = Rooms::make(&["m1", "m2"], Family::V4)?;
    let added = Command::new("ip").args(["address", "add", PROBER, "dev", "net0"]).status()?;
    if !added.success() {
        return Err("the prober has no address".into());
    }
    let dir = PathBuf::from("/run/netns/vrrp");
    fs::create_dir_all(&dir)?;
    let mut running = Running(Vec::new());
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

/// Asks the address who has it.
struct Prober {
    socket: UdpSocket,
    /// When answers came.
    answers: Vec<Duration>,
}

impl Prober {
    fn new() -> Result<Self, Failure> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(ASK_EVERY))?;
        Ok(Self { socket, answers: Vec::new() })
    }

    /// Until only this machine answers; says when.
    fn settles(&mut self, name: &str) -> Result<Duration, Failure> {
        let address: SocketAddr = format!("{ADDRESS}:{PORT}").parse()?;
        let until = boottime() + LIMIT;
        let mut in_a_row = 0;
        while boottime() < until {
            // The address may be nowhere.
            let _ = self.socket.send_to(b"?", address);
            let mut bytes = [0; 16];
            if let Ok((length, _)) = self.socket.recv_from(&mut bytes) {
                let now = boottime();
                self.answers.push(now);
                in_a_row = if &bytes[..length] == name.as_bytes() { in_a_row + 1 } else { 0 };
                if in_a_row >= SETTLED {
                    return Ok(now);
                }
                picket_host::clock::pause(ASK_EVERY, "the pace of a prober");
            }
        }
        Err(format!("{ADDRESS} did not come to {name}").into())
    }

    fn longest_gap(&self, from: Duration, to: Duration) -> Duration {
        let mut last = from;
        let mut longest = Duration::ZERO;
        for answer in self.answers.iter().filter(|answer| (from..=to).contains(*answer)) {
            longest = longest.max(*answer - last);
            last = *answer;
        }
        longest
    }
}
