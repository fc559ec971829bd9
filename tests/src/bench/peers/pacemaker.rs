//! Pacemaker with corosync and a quorum device: an address that moves after the active machine died and was fenced.
//!
//! What happens in that time: the token is lost, the survivor and the quorum device agree, the fence agent confirms
//! that the machine is off, the address is started. It is the nearest thing to what Picket does; compared with it is
//! the fail-over with a fence device. The resource is an address, not a replicated volume, which is less.
//!
//! A token of 1 s, all else as it comes, and a fence device that answers at once. Every machine is a set of
//! namespaces; what must be its own (state, runtime, logs, shared memory) is mounted over.

use super::address::{ADDRESS, Prober, Running, plug_prober};
use crate::Failure;
use crate::netns::{Family, Rooms};
use core::time::Duration;
use picket_host::clock::{boottime, pause};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

const NODE: &str = include_str!("pacemaker_node.sh");
const AGENT: &str = include_str!("fence_bench.sh");

/// The machine that the address prefers; the one that dies.
const ACTIVE: &str = "p1";

/// The other one.
const STANDBY: &str = "p2";

/// How long the cluster may take to come up: it waits for others by itself for 20 s.
const COMES_UP: Duration = Duration::from_secs(120);

/// How often it is asked whether it has; nothing tells.
const ASK_EVERY: Duration = Duration::from_millis(50);

const COROSYNC: &str = "totem {
  version: 2
  cluster_name: bench
  transport: knet
  crypto_cipher: none
  crypto_hash: none
  token: 1000
}
logging {
  to_stderr: no
  to_syslog: no
}
nodelist {
  node {
    ring0_addr: 10.77.0.1
    name: p1
    nodeid: 1
  }
  node {
    ring0_addr: 10.77.0.2
    name: p2
    nodeid: 2
  }
}
quorum {
  provider: corosync_votequorum
  device {
    model: net
    votes: 1
    net {
      host: 10.77.0.3
      tls: off
      algorithm: ffsplit
    }
  }
}
";

/// What is configured once both are there. The device and the address have a node that they prefer.
const RESOURCES: [(&str, &str); 4] = [
    ("resources", r#"<primitive id="switch" class="stonith" type="fence_bench"/>"#),
    ("constraints", r#"<rsc_location id="switch-there" rsc="switch" node="p2" score="100"/>"#),
    (
        "resources",
        r#"<primitive id="address" class="ocf" provider="heartbeat" type="IPaddr2"><instance_attributes id="a"><nvpair id="a1" name="ip" value="10.77.0.100"/><nvpair id="a2" name="cidr_netmask" value="24"/><nvpair id="a3" name="nic" value="eth0"/></instance_attributes><operations><op id="m" name="monitor" interval="1s" timeout="10s"/></operations></primitive>"#,
    ),
    ("constraints", r#"<rsc_location id="address-there" rsc="address" node="p1" score="100"/>"#),
];

/// The machines' processes, by name: what dies when a machine does.
type Machines = Arc<Mutex<Vec<(&'static str, Child)>>>;

/// So many deaths of the active machine, in milliseconds of unanswered requests each. This process must have network
/// and mounts of its own; `echo_words` make this program call [`echo`](super::echo) when a name follows them.
///
/// # Errors
/// Something is not installed, or the address did not move.
pub fn pacemaker(rounds: usize, echo_words: &[&str]) -> Result<Vec<u64>, Failure> {
    Rooms::own_world()?;
    let rooms = Rooms::make(&[ACTIVE, STANDBY, "qd"], Family::V4)?;
    plug_prober()?;
    let shared = std::env::temp_dir().join(format!("picket-pacemaker-{}", std::process::id()));
    fs::create_dir_all(&shared)?;
    let done = play(&rooms, &shared, rounds, echo_words);
    fs::remove_dir_all(&shared)?;
    rooms.remove()?;
    done
}

fn play(rooms: &Rooms, shared: &Path, rounds: usize, echo_words: &[&str]) -> Result<Vec<u64>, Failure> {
    fs::write(shared.join("corosync.conf"), COROSYNC)?;
    fs::write(shared.join("node.sh"), NODE)?;
    fs::write(shared.join("fence_bench"), AGENT.replace("@SHARED@", &shared.display().to_string()))?;
    make_executable(&shared.join("fence_bench"))?;
    for pipe in ["switch", "p1.answer", "p2.answer"] {
        let made = Command::new("mkfifo").arg(shared.join(pipe)).status()?;
        if !made.success() {
            return Err("no pipe".into());
        }
    }
    let mut running = Running::none();
    running.start("qd", &["unshare", "--mount", "--propagation", "private", "sh", "-c", QNETD])?;
    let machines: Machines = Arc::default();
    for name in [ACTIVE, STANDBY] {
        running.start(name, &[echo_words, &[name]].concat())?;
        power_on(&machines, shared, name)?;
    }
    let (pipe, switched) = (shared.to_owned(), Arc::clone(&machines));
    std::thread::spawn(move || switch(&pipe, &switched));
    let values = rounds_of(rooms, shared, &machines, rounds);
    [ACTIVE, STANDBY].iter().for_each(|name| power_off(&machines, name));
    values
}

/// The third machine: the quorum device's server, with a runtime directory of its own.
const QNETD: &str =
    "mount -t tmpfs none /run && mkdir -p /run/corosync-qnetd && exec corosync-qnetd -f -s off";

fn rounds_of(rooms: &Rooms, shared: &Path, machines: &Machines, rounds: usize) -> Result<Vec<u64>, Failure> {
    configure(machines)?;
    let mut values = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let mut prober = Prober::new()?;
        prober.settles(ACTIVE)?;
        let fault = boottime();
        // A machine that dies is gone from its network as well.
        rooms.unplug(ACTIVE, 0)?;
        power_off(machines, ACTIVE);
        let answered = prober.settles(STANDBY)?;
        values.push(u64::try_from(prober.longest_gap(fault, answered).as_millis())?);
        // The namespace of its network outlives it, and the address in it.
        let stale = format!("{ADDRESS}/24");
        let _ = Command::new("ip")
            .args(["-netns", ACTIVE, "address", "delete", &stale, "dev", "eth0"])
            .stderr(Stdio::null())
            .status()?;
        rooms.heal()?;
        power_on(machines, shared, ACTIVE)?;
    }
    Ok(values)
}

fn power_on(machines: &Machines, shared: &Path, name: &'static str) -> Result<(), Failure> {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{name}")).args(["--", "unshare", "--mount", "--propagation"]);
    command.args(["private", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "bash"]);
    command.arg(shared.join("node.sh")).arg(name.trim_start_matches('p')).arg(shared);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn()?;
    lock(machines).push((name, child));
    Ok(())
}

/// Kills every process of the machine: its namespace of processes ends with the one that made it.
fn power_off(machines: &Machines, name: &str) {
    let mut machines = lock(machines);
    while let Some(at) = machines.iter().position(|(one, _)| *one == name) {
        let (_, mut child) = machines.swap_remove(at);
        // One that has ended needs no end.
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn lock(machines: &Machines) -> std::sync::MutexGuard<'_, Vec<(&'static str, Child)>> {
    machines.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does what the fence agent asks for, until the pipe is gone.
fn switch(shared: &Path, machines: &Machines) {
    while let Ok(pipe) = File::open(shared.join("switch")) {
        for name in BufReader::new(pipe).lines().map_while(Result::ok) {
            power_off(machines, &name);
            let answer: PathBuf = shared.join(format!("{name}.answer"));
            // The agent may have given up.
            let _ = File::options().write(true).open(answer).and_then(|mut pipe| writeln!(pipe, "off"));
        }
    }
}

/// Configures the cluster, from the standby, as soon as it takes it.
fn configure(machines: &Machines) -> Result<(), Failure> {
    let standby = lock(machines).iter().find(|(name, _)| *name == STANDBY).map(|(_, child)| child.id());
    let standby = standby.ok_or("no standby")?;
    let both = || -> bool {
        let seen = there(standby, &["crm_node", "-p"]);
        seen.is_ok_and(|text| text.contains(ACTIVE) && text.contains(STANDBY))
    };
    let until = boottime() + COMES_UP;
    while !both() {
        if boottime() >= until {
            return Err("Pacemaker does not come up on both machines".into());
        }
        pause(ASK_EVERY, "nothing tells when Pacemaker has come up");
    }
    there(standby, &["crm_attribute", "-n", "stonith-enabled", "-v", "true"])?;
    there(standby, &["crm_attribute", "-n", "stonith-action", "-v", "off"])?;
    for (section, element) in RESOURCES {
        there(standby, &["cibadmin", "-o", section, "-C", "-X", element])?;
    }
    Ok(())
}

/// Runs a command on a machine; `unshare` is outside of the namespaces that it made, its child is inside.
fn there(unshare: u32, words: &[&str]) -> Result<String, Failure> {
    let children = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children"))?;
    let inside = children.split_whitespace().next().ok_or("the machine is off")?;
    let ended = Command::new("nsenter").args(["--target", inside, "--all"]).args(words).output()?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if ended.status.success() {
        return Ok(said(&ended.stdout));
    }
    Err(format!("{}: {}", words.join(" "), said(&ended.stderr)).into())
}

fn make_executable(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}
