//! Asking addresses with the system's `ping`. Only "no reply" is silence.

use crate::deadline::Deadline;
use crate::input::InputError;
use crate::tool;
use core::time::Duration;
use picket_host::process::Outcome;
use std::fmt;
use std::net::IpAddr;
use std::thread;

/// How long one `ping` may take: it waits a second for the reply itself.
const ONE_TRY: Duration = Duration::from_secs(5);

/// An address of the target, with the interface to ask through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    ip: IpAddr,
    interface: Option<String>,
}

impl Address {
    /// Reads `10.0.0.2`, `fe80::1%eth0`.
    ///
    /// # Errors
    /// A name: while a node is being fenced its name may be what cannot be looked up.
    pub(super) fn parse(text: &str) -> Result<Self, InputError> {
        let (ip, interface) = text.split_once('%').map_or((text, None), |(ip, name)| (ip, Some(name)));
        let wrong = || InputError::Unusable(format!("dead_check_target {text:?} is no IP address"));
        let ip = ip.parse().map_err(|_| wrong())?;
        let fits = |name: &str| !name.is_empty() && !name.starts_with('-') && name.len() <= 15;
        if interface.is_some_and(|name| !fits(name)) {
            return Err(wrong());
        }
        Ok(Self { ip, interface: interface.map(str::to_owned) })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ip)?;
        self.interface.as_ref().map_or(Ok(()), |name| write!(f, "%{name}"))
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A reply.
    Reply,
    /// It was asked and nothing came, each time.
    Silence,
    /// It could not be asked: no `ping`, no route, no such interface. Not silence.
    Trouble(String),
}

impl Heard {
    /// Why it could not be asked.
    pub(super) fn trouble(self) -> Option<String> {
        match self {
            Self::Trouble(why) => Some(why),
            Self::Reply | Self::Silence => None,
        }
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply => f.write_str("it replies"),
            Self::Silence => f.write_str("no reply"),
            Self::Trouble(why) => write!(f, "cannot be asked: {why}"),
        }
    }
}

/// Asks all addresses at once, each up to `trials` times.
pub(super) fn ask(ping: &str, addresses: &[Address], trials: u32) -> Vec<Heard> {
    thread::scope(|scope| {
        let asking = addresses.iter().map(|address| scope.spawn(move || ask_one(ping, address, trials)));
        let asking: Vec<_> = asking.collect();
        let ended = || Heard::Trouble("asking ended".to_owned());
        asking.into_iter().map(|one| one.join().unwrap_or_else(|_| ended())).collect()
    })
}

fn ask_one(ping: &str, address: &Address, trials: u32) -> Heard {
    let mut heard = Heard::Silence;
    for _ in 0..trials {
        let mut program = tool::program(ping).args(["-n", "-q", "-c", "1", "-W", "1"]);
        if let Some(interface) = &address.interface {
            program = program.arg("-I").arg(interface);
        }
        let finished = tool::run(program.arg("--").arg(address.ip.to_string()), Deadline::after(ONE_TRY));
        match finished.outcome {
            Outcome::Exited { code: 0 } => return Heard::Reply,
            // "Sent, and nothing came back": the only silence.
            Outcome::Exited { code: 1 } => {}
            _ => heard = Heard::Trouble(tool::told(&finished)),
        }
    }
    heard
}
