//! A hypervisor by its libvirt daemon's own protocol, over a Unix socket or TLS.
//!
//! ```text
//!   connect ─▶ (TLS, its one byte of welcome) ─▶ who we are ─▶ open the hypervisor ─▶ calls
//! ```
//! Contract: a domain in an answer is the one that was asked for, or the answer is none. After any doubt
//! about the connection it is dropped.

use super::Hypervisor;
use super::domain::{Activity, Domain, Plug, Seen};
use super::rpc::{CallError, Procedure, Rpc};
use super::uri::{Transport, Uri};
use super::xdr::{Decoder, Encoder, XdrError};
use crate::deadline::Deadline;
use crate::device::{DeviceError, Limits};
use crate::net::Link;
use crate::net::tls::Tls;
use crate::uuid::Uuid;
use std::io::{self, Read};
use std::path::PathBuf;

#[cfg(test)]
mod tests;

/// Domains in one list; a host runs some hundreds.
const DOMAINS_MAX: u32 = 16_384;

/// Ways to show who we are that a daemon may offer; there are three.
const WAYS_MAX: u32 = 16;

/// What a daemon sends when it has accepted our certificate.
const WELCOME: u8 = 1;

/// Error numbers of the daemon.
const NO_SUPPORT: i32 = 3;
const OPERATION_DENIED: i32 = 29;
const NO_DOMAIN: i32 = 42;
const AUTH_FAILED: i32 = 45;
const OPERATION_INVALID: i32 = 55;
const AUTH_CANCELLED: i32 = 79;
const AUTH_UNAVAILABLE: i32 = 80;
const ACCESS_DENIED: i32 = 88;

/// A hypervisor by its daemon.
#[derive(Debug)]
pub struct Daemon {
    uri: Uri,
    tls: Option<Tls>,
    open: Option<Rpc>,
}

impl Daemon {
    /// Sends nothing yet. `tls` is there if the URI says TLS.
    #[must_use]
    pub const fn new(uri: Uri, tls: Option<Tls>) -> Self {
        Self { uri, tls, open: None }
    }

    fn connect(&self, deadline: Deadline) -> Result<Link, DeviceError> {
        match (&self.uri.transport, &self.tls) {
            (Transport::Unix(sockets), _) => self.local(sockets, deadline),
            (Transport::Tls { host, port, .. }, Some(tls)) => {
                let link = Link::tcp(host, *port, deadline, "the host in uri")?;
                self.welcomed(link.secured(tls, host)?)
            }
            (Transport::Tls { .. } | Transport::Ssh { .. }, _) => {
                Err(DeviceError::Refused(format!("{}: not by this way", self.uri)))
            }
        }
    }

    fn local(&self, sockets: &[PathBuf], deadline: Deadline) -> Result<Link, DeviceError> {
        let mut last = None;
        for socket in sockets {
            match Link::unix(socket, deadline) {
                Ok(link) => return Ok(link),
                Err(error) => last = Some((socket, error)),
            }
        }
        let Some((socket, error)) = last else {
            return Err(DeviceError::Refused(format!("{}: no socket", self.uri)));
        };
        let socket = socket.display();
        Err(match error.kind() {
            io::ErrorKind::PermissionDenied => DeviceError::Refused(format!(
                "{}: {socket}: permission denied; run as root or as a member of the group libvirt",
                self.uri
            )),
            _ => DeviceError::NoAnswer(format!(
                "{}: no daemon at {socket} ({error}); start libvirtd, or check uri",
                self.uri
            )),
        })
    }

    /// After the handshake the daemon looks at our certificate, and says one byte if it takes it.
    fn welcomed(&self, mut link: Link) -> Result<Link, DeviceError> {
        let mut welcome = [0];
        match link.read_exact(&mut welcome) {
            Ok(()) if welcome == [WELCOME] => Ok(link),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(DeviceError::NoAnswer(format!(
                "{}: no welcome in time; give a larger login_timeout",
                self.uri
            ))),
            Ok(()) | Err(_) => Err(DeviceError::Refused(format!(
                "{}: the daemon does not take our certificate; check tls_cert_file, its authority there, and \
                 tls_allowed_dn_list in libvirtd.conf",
                self.uri
            ))),
        }
    }

    fn opened(&self, limits: Limits) -> Result<Rpc, DeviceError> {
        let by = limits.login.earlier(limits.call);
        let mut rpc = Rpc::new(self.connect(by)?);
        let ways = rpc.call(Procedure::AuthList, &[], by).map_err(|error| self.explained(error))?;
        match ways_of(&ways).map_err(|error| self.explained(error.into()))? {
            Way::None => {}
            Way::Polkit => {
                rpc.call(Procedure::AuthPolkit, &[], by).map_err(|error| self.explained(error))?;
            }
            Way::Other => {
                return Err(DeviceError::Refused(format!(
                    "{}: the daemon wants a name and a password (SASL), which is not spoken here; run as root on its \
                     socket, or use tls or ssh",
                    self.uri
                )));
            }
        }
        // The name is an optional text, which is there; no flags.
        let arguments = Encoder::default().u32(1).text(&self.uri.remote).u32(0).done();
        rpc.call(Procedure::Open, &arguments, by).map_err(|error| self.explained(error))?;
        Ok(rpc)
    }

    fn try_call(
        &mut self,
        procedure: Procedure,
        arguments: &[u8],
        limits: Limits,
    ) -> Result<Result<Vec<u8>, CallError>, DeviceError> {
        let kept = self.open.take().and_then(|mut rpc| rpc.is_quiet().then_some(rpc));
        let mut rpc = kept.map_or_else(|| self.opened(limits), Ok)?;
        let result = rpc.call(procedure, arguments, limits.call);
        match &result {
            Ok(_) | Err(CallError::No { .. }) => self.open = Some(rpc),
            Err(CallError::Io(_) | CallError::Garbled(_)) => {}
        }
        Ok(result)
    }

    fn call(
        &mut self,
        procedure: Procedure,
        arguments: &[u8],
        limits: Limits,
    ) -> Result<Vec<u8>, DeviceError> {
        self.try_call(procedure, arguments, limits)?.map_err(|error| self.explained(error))
    }

    /// What a call that had no result means.
    fn explained(&self, error: CallError) -> DeviceError {
        let uri = &self.uri;
        match error {
            CallError::Io(error) if error.kind() == io::ErrorKind::TimedOut => DeviceError::NoAnswer(
                format!("{uri} did not answer in time; it may be busy, or give a larger shell_timeout"),
            ),
            CallError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                DeviceError::NoAnswer(format!(
                    "{uri} closed the connection in the middle; is the daemon running, and the port right?"
                ))
            }
            CallError::Io(error) => {
                DeviceError::NoAnswer(format!("{uri} broke off: {error}; is the daemon running?"))
            }
            CallError::Garbled(why) => {
                DeviceError::NoAnswer(format!("{uri}: {why}; is there a libvirt daemon at the other end?"))
            }
            CallError::No {
                code: AUTH_FAILED | AUTH_CANCELLED | AUTH_UNAVAILABLE | OPERATION_DENIED | ACCESS_DENIED,
                message,
            } => DeviceError::Refused(format!(
                "{uri}: {message}; run as root, or give this user the right to manage domains (polkit, tls_allowed_dn_list)"
            )),
            CallError::No { message, .. } => DeviceError::NoAnswer(format!("{uri}: {message}")),
        }
    }

    fn lookup(&mut self, plug: &Plug, limits: Limits) -> Result<Option<Identity>, DeviceError> {
        let (procedure, arguments) = match plug {
            Plug::Uuid(uuid) => (Procedure::LookupByUuid, Encoder::default().fixed(uuid.0).done()),
            Plug::Name(name) => (Procedure::LookupByName, Encoder::default().text(name).done()),
        };
        match self.try_call(procedure, &arguments, limits)? {
            Ok(bytes) => Ok(Some(one_domain(&bytes).map_err(|error| self.explained(error.into()))?)),
            Err(CallError::No { code: NO_DOMAIN, .. }) => Ok(None),
            Err(error) => Err(self.explained(error)),
        }
    }

    /// State and persistence of a domain; nothing, if it went meanwhile.
    fn details(&mut self, identity: Identity, limits: Limits) -> Seen {
        // No flags.
        let arguments = identity.encoded().u32(0).done();
        let activity = match self.try_call(Procedure::GetState, &arguments, limits)? {
            Ok(bytes) => activity_of(&bytes).map_err(|error| self.explained(error.into()))?,
            Err(CallError::No { code: NO_DOMAIN, .. }) => return Ok(None),
            Err(error) => return Err(self.explained(error)),
        };
        let persistent = match self.try_call(Procedure::IsPersistent, &identity.encoded().done(), limits)? {
            Ok(bytes) => Some(truth_of(&bytes).map_err(|error| self.explained(error.into()))?),
            Err(CallError::No { code: NO_DOMAIN, .. }) => return Ok(None),
            Err(CallError::No { code: NO_SUPPORT, .. }) => None,
            Err(error) => return Err(self.explained(error)),
        };
        let Identity { name, uuid, id } = identity;
        Ok(Some(Domain { name, uuid, id, activity, persistent }))
    }

    fn order(&mut self, procedure: Procedure, domain: &Domain, limits: Limits) -> Result<(), DeviceError> {
        let identity = Identity { name: domain.name.clone(), uuid: domain.uuid, id: domain.id };
        match self.try_call(procedure, &identity.encoded().done(), limits)? {
            // Gone, or in that state already: the state is read back, and decides.
            Ok(_) | Err(CallError::No { code: NO_DOMAIN | OPERATION_INVALID, .. }) => Ok(()),
            Err(error) => Err(self.explained(error)),
        }
    }
}

impl Hypervisor for Daemon {
    fn name(&self) -> &str {
        &self.uri.text
    }

    fn find(&mut self, plug: &Plug, limits: Limits) -> Seen {
        let Some(identity) = self.lookup(plug, limits)? else { return Ok(None) };
        let domain = self.details(identity, limits)?;
        match domain {
            Some(domain) if !plug.is(&domain) => Err(DeviceError::NoAnswer(format!(
                "{}: asked for {plug}, the daemon answers about {}",
                self.uri,
                crate::net::shown(&domain.name)
            ))),
            found => Ok(found),
        }
    }

    fn all(&mut self, limits: Limits) -> Result<Vec<Domain>, DeviceError> {
        // The list itself, not only its length; no flags: all domains.
        let arguments = Encoder::default().u32(1).u32(0).done();
        let bytes = self.call(Procedure::ListAll, &arguments, limits)?;
        let identities = domains(&bytes).map_err(|error| self.explained(error.into()))?;
        let mut found = Vec::new();
        for identity in identities {
            found.extend(self.details(identity, limits)?);
        }
        Ok(found)
    }

    fn destroy(&mut self, domain: &Domain, limits: Limits) -> Result<(), DeviceError> {
        self.order(Procedure::Destroy, domain, limits)
    }

    fn start(&mut self, domain: &Domain, limits: Limits) -> Result<(), DeviceError> {
        self.order(Procedure::Create, domain, limits)
    }

    fn close(&mut self, deadline: Deadline) {
        if let Some(mut rpc) = self.open.take() {
            // A daemon notices closed connections too; this is politeness.
            let _ = rpc.call(Procedure::Close, &[], deadline);
        }
    }
}

/// How a domain is named in messages.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    name: String,
    uuid: Uuid,
    id: i32,
}

impl Identity {
    fn encoded(&self) -> Encoder {
        Encoder::default().text(&self.name).fixed(self.uuid.0).i32(self.id)
    }

    fn read(from: &mut Decoder<'_>) -> Result<Self, XdrError> {
        Ok(Self { name: from.text()?.to_owned(), uuid: Uuid(from.fixed()?), id: from.i32()? })
    }
}

fn one_domain(bytes: &[u8]) -> Result<Identity, XdrError> {
    let mut from = Decoder::new(bytes);
    let identity = Identity::read(&mut from)?;
    from.end().map(|()| identity)
}

fn domains(bytes: &[u8]) -> Result<Vec<Identity>, XdrError> {
    let mut from = Decoder::new(bytes);
    let count = from.count(DOMAINS_MAX)?;
    let identities = (0..count).map(|_| Identity::read(&mut from)).collect::<Result<Vec<_>, _>>()?;
    // The number of domains once more.
    if from.u32()? != count {
        return Err(XdrError("a list of another length than it says"));
    }
    from.end().map(|()| identities)
}

/// What a domain does, from the answer about its state; the reason that follows it changes nothing.
///
/// # Errors
/// It is no whole answer, or more than one.
pub fn activity_of(bytes: &[u8]) -> Result<Activity, XdrError> {
    let mut from = Decoder::new(bytes);
    let (state, _reason) = (from.i32()?, from.i32()?);
    from.end().map(|()| activity(state))
}

fn truth_of(bytes: &[u8]) -> Result<bool, XdrError> {
    let mut from = Decoder::new(bytes);
    let truth = match from.i32()? {
        0 => false,
        1 => true,
        _ => return Err(XdrError("neither yes nor no")),
    };
    from.end().map(|()| truth)
}

enum Way {
    None,
    Polkit,
    Other,
}

/// The easiest way to show who we are that the daemon takes.
fn ways_of(bytes: &[u8]) -> Result<Way, XdrError> {
    let mut from = Decoder::new(bytes);
    let count = from.count(WAYS_MAX)?;
    let ways = (0..count).map(|_| from.u32()).collect::<Result<Vec<_>, _>>()?;
    from.end()?;
    Ok(match ways.as_slice() {
        ways if ways.is_empty() || ways.contains(&0) => Way::None,
        ways if ways.contains(&2) => Way::Polkit,
        _ => Way::Other,
    })
}

/// The daemon's numbers for what a domain does. A number that we do not know is no state.
const fn activity(state: i32) -> Activity {
    match state {
        1..=3 => Activity::Runs,
        5 => Activity::ShutOff,
        4 => Activity::Between("in shutdown"),
        6 => Activity::Between("crashed"),
        7 => Activity::Between("pmsuspended"),
        _ => Activity::Between("in a state that is not known here"),
    }
}
