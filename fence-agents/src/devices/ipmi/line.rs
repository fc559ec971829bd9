//! The line to one controller: connects when it must, asks, and connects once more if the controller
//! has forgotten the session.
//!
//! Shared between the device and its farewell, which a signal may call at any moment: it wakes up who
//! waits, and closes what is open.
//!
//! Contract: what was refused for good (wrong password, no such user, …) is not tried again by the
//! same process: controllers lock accounts out. A suite is left for the next one only when the
//! controller itself says or shows that it does not have it, and only within what the user has listed.

use super::chassis;
use super::connection::{Connection, Stop};
use super::session::fault::Fault;
use super::session::login::Login;
use crate::deadline::Deadline;
use crate::device::{DeviceError, Limits};
use crate::input::SECONDS_MAX;
use core::time::Duration;
use ipmi_rs::connection::IpmiCommand;
use ipmi_rs::{Ipmi, IpmiError};
use picket_host::clock::boottime;
use std::fmt::Debug;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Addresses of one name that are tried: one of each family, and a second one.
const ADDRESSES_MAX: usize = 4;

/// The time of a login that is kept for saying why it failed: a caller whose own limit is the login
/// timeout must still hear it.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// How long an open session may be silent before it counts as forgotten. Commands of a chassis are
/// answered in tens of milliseconds; a controller that restarts does not know the session any more.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// How long a controller gets to confirm the end of a session: two packets.
pub(super) const CLOSE_WITHIN: Duration = Duration::from_millis(900);

/// How long after a failed login; what is left there ends by itself as well.
const ABANDON_WITHIN: Duration = Duration::from_millis(100);

/// A controller and how to get in.
pub(super) struct Target {
    /// Its address or name.
    pub(super) host: String,
    /// Its UDP port.
    pub(super) port: u16,
    /// Ways to log in that the user allows, the best first; never empty.
    pub(super) logins: Vec<Login>,
}

/// See the module.
pub(super) struct Line {
    target: Target,
    stop: Arc<Stop>,
    addresses: OnceLock<Vec<SocketAddr>>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    ipmi: Option<Ipmi<Connection>>,
    /// Which of the ways to log in the controller takes.
    way: usize,
    /// The refusal that ended all tries.
    refused: Option<Fault>,
}

impl Line {
    /// A line that is not connected yet.
    pub(super) fn new(target: Target) -> io::Result<Self> {
        let (addresses, held) = (OnceLock::new(), Mutex::new(Held::default()));
        Ok(Self { target, stop: Arc::new(Stop::new()?), addresses, held })
    }

    /// Asks, over the session that is open or a new one.
    pub(super) fn ask<C>(&self, command: C, limits: Limits) -> Result<C::Output, DeviceError>
    where
        C: IpmiCommand + Copy,
        C::Error: Debug,
    {
        let (login_by, call_by) = (instant(limits.login), instant(limits.call));
        // Before the lock: a farewell must not wait for a name service.
        let addresses = self.addresses()?;
        // A name that took longer to look up than the call may take: nobody waits for the answer any
        // more, and what is asked now would be done behind the caller's back.
        if limits.call.is_past() {
            return Err(DeviceError::NoAnswer(format!("{} was looked up too late", self.target.host)));
        }
        let mut held = self.held();
        match self.ask_once(&mut held, command, addresses, login_by, call_by) {
            Err(Trouble::Fault(Fault::Lost)) if boottime() < call_by => {
                let again = self.ask_once(&mut held, command, addresses, call_by, call_by);
                again.map_err(|trouble| self.told(trouble))
            }
            Err(trouble) => Err(self.told(trouble)),
            Ok(output) => Ok(output),
        }
    }

    fn ask_once<C>(
        &self,
        held: &mut Held,
        command: C,
        addresses: &[SocketAddr],
        login_by: Duration,
        call_by: Duration,
    ) -> Result<C::Output, Trouble>
    where
        C: IpmiCommand + Copy,
        C::Error: Debug,
    {
        if self.stop.is_told() {
            return Err(Trouble::Fault(Fault::Interrupted));
        }
        let mut ipmi = match held.ipmi.take() {
            Some(ipmi) => ipmi,
            None => Ipmi::new(self.connect(held, addresses, login_by)?),
        };
        ipmi.inner_mut().answer_by(call_by.min(boottime() + ANSWER_WITHIN));
        let answer = ipmi.send_recv(command);
        let trouble = match answer {
            Err(IpmiError::Connection(fault)) => {
                ipmi.release().close(if fault == Fault::Interrupted { CLOSE_WITHIN } else { Duration::ZERO });
                return Err(Trouble::Fault(fault));
            }
            Ok(output) => Ok(output),
            Err(IpmiError::Failed { completion_code, .. })
            | Err(IpmiError::Command { completion_code: Some(completion_code), .. }) => {
                Err(match chassis::refusal(completion_code) {
                    Some(why) => Trouble::Refused(why),
                    None => Trouble::NotNow(format!("not now ({completion_code:?}), try again")),
                })
            }
            Err(IpmiError::Command { completion_code: None, error, .. }) => {
                Err(Trouble::NotNow(format!("its answer cannot be read: {error:?}")))
            }
            Err(IpmiError::NetFnIsResponse(_) | IpmiError::UnexpectedResponse { .. }) => {
                Err(Trouble::NotNow("its answer is for another question".to_owned()))
            }
        };
        held.ipmi = Some(ipmi);
        trouble
    }

    /// Logs in, at each address with the ways that the user allows.
    fn connect(
        &self,
        held: &mut Held,
        addresses: &[SocketAddr],
        login_by: Duration,
    ) -> Result<Connection, Trouble> {
        if let Some(fault) = &held.refused {
            return Err(Trouble::Fault(fault.clone()));
        }
        let by = login_by.saturating_sub(LAST_WORDS);
        let mut last = Fault::Silent;
        for (at, address) in addresses.iter().enumerate() {
            let now = boottime();
            let share = by.saturating_sub(now) / u32::try_from(addresses.len() - at).unwrap_or(1);
            last = match self.log_in(held, *address, now + share) {
                Ok(connection) => return Ok(connection),
                Err(fault @ (Fault::Silent | Fault::Network(_))) => fault,
                Err(fault) => {
                    if fault.is_final() {
                        held.refused = Some(fault.clone());
                    }
                    return Err(Trouble::Fault(fault));
                }
            };
        }
        Err(Trouble::Fault(last))
    }

    fn log_in(&self, held: &mut Held, address: SocketAddr, by: Duration) -> Result<Connection, Fault> {
        // The list is as long as the user made it, and each way is tried once.
        loop {
            let Some(login) = self.target.logins.get(held.way) else { return Err(Fault::NotOpen) };
            match Connection::open(address, login.clone(), &self.stop, by, ABANDON_WITHIN) {
                Err(Fault::NoSuite(_) | Fault::OtherSuite(_)) if held.way + 1 < self.target.logins.len() => {
                    held.way += 1
                }
                done => return done,
            }
        }
    }

    fn addresses(&self) -> Result<&[SocketAddr], DeviceError> {
        if let Some(known) = self.addresses.get() {
            return Ok(known);
        }
        let (host, port) = (self.target.host.as_str(), self.target.port);
        let unknown = |why: &str| DeviceError::NoAnswer(format!("{host} has no address ({why}); check ip"));
        let found = (host, port).to_socket_addrs().map_err(|error| unknown(&error.to_string()))?;
        let addresses: Vec<_> = found.take(ADDRESSES_MAX).collect();
        if addresses.is_empty() {
            return Err(unknown("the name has none"));
        }
        Ok(self.addresses.get_or_init(|| addresses))
    }

    /// Ends the session, if there is one.
    pub(super) fn close(&self) {
        if let Some(ipmi) = self.held().ipmi.take() {
            ipmi.release().close(CLOSE_WITHIN);
        }
    }

    /// The same for good, also while another thread waits for an answer: it is woken up.
    pub(super) fn leave(&self) {
        self.stop.tell();
        self.close();
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self, trouble: Trouble) -> DeviceError {
        let place = format!("{} port {}", self.target.host, self.target.port);
        match trouble {
            Trouble::Fault(fault) if fault.is_final() => DeviceError::Refused(format!("{place}: {fault}")),
            Trouble::Fault(fault) => DeviceError::NoAnswer(format!("{place}: {fault}")),
            Trouble::Refused(why) => DeviceError::Refused(format!("{place}: the controller says: {why}")),
            Trouble::NotNow(why) => DeviceError::NoAnswer(format!("{place}: the controller says: {why}")),
        }
    }
}

/// Why there is no answer to go by.
enum Trouble {
    Fault(Fault),
    /// Understood and refused for good.
    Refused(&'static str),
    /// Understood, but not done now.
    NotNow(String),
}

/// The deadline on the boot clock; one that never comes is a week away, beyond every caller's patience.
fn instant(deadline: Deadline) -> Duration {
    boottime() + deadline.remaining().unwrap_or(Duration::from_secs_f64(SECONDS_MAX))
}
