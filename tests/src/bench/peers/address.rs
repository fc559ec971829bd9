//! An address that moves between machines in network namespaces, and a prober that asks who has it.
//!
//! An echo on each machine tells its name; the prober asks the address once in a millisecond, from its own end of the
//! first network.

use crate::Failure;
use crate::rig::LIMIT;
use core::time::Duration;
use picket_host::clock::boottime;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};

/// Where the echo listens.
const PORT: u16 = 7777;

/// The address that moves, in the first network.
pub(super) const ADDRESS: &str = "10.77.0.100";

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
pub(super) struct Running(Vec<Child>);

impl Running {
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    pub(super) fn start(&mut self, room: &str, words: &[&str]) -> Result<(), Failure> {
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

/// Gives the prober its address in the first network.
pub(super) fn plug_prober() -> Result<(), Failure> {
    let added = Command::new("ip").args(["address", "add", PROBER, "dev", "net0"]).status()?;
    if added.success() { Ok(()) } else { Err("the prober has no address".into()) }
}

/// Asks the address who has it.
pub(super) struct Prober {
    socket: UdpSocket,
    /// When answers came.
    answers: Vec<Duration>,
}

impl Prober {
    /// A prober in this process's network, which has the first network's bridge.
    pub(super) fn new() -> Result<Self, Failure> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(ASK_EVERY))?;
        Ok(Self { socket, answers: Vec::new() })
    }

    /// Until only this machine answers; says when.
    pub(super) fn settles(&mut self, name: &str) -> Result<Duration, Failure> {
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

    /// The longest time without an answer.
    pub(super) fn longest_gap(&self, from: Duration, to: Duration) -> Duration {
        let mut last = from;
        let mut longest = Duration::ZERO;
        for answer in self.answers.iter().filter(|answer| (from..=to).contains(*answer)) {
            longest = longest.max(*answer - last);
            last = *answer;
        }
        longest
    }
}
