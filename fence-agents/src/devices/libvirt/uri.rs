//! Where a hypervisor is, as libvirt writes it: `driver[+transport]://[user@][host][:port]/path[?…]`.
//!
//! Contract: what is not understood is refused, so that nothing in it is left out of account. There is
//! no way to speak to a daemon over the network in the clear.

use std::fmt;
use std::path::PathBuf;

#[cfg(test)]
mod tests;

/// The port of a daemon that speaks TLS.
pub const TLS_PORT: u16 = 16514;

/// Where daemons of the whole machine have their sockets.
const SOCKETS: &str = "/run/libvirt";

/// A hypervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    /// As it was written, for people.
    pub text: String,
    /// What the daemon must open: `qemu:///system`.
    pub remote: String,
    /// How to get to the daemon.
    pub transport: Transport,
}

/// How to get to a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A socket on this machine; the first of these that is there.
    Unix(Vec<PathBuf>),
    /// TLS.
    Tls {
        /// Name or address.
        host: String,
        /// TCP port.
        port: u16,
        /// Where the certificates are, if not at the usual place.
        pki: Option<PathBuf>,
    },
    /// `virsh` on the other machine, by ssh.
    Ssh {
        /// Name or address.
        host: String,
        /// The login, if given.
        user: Option<String>,
        /// The port, if given.
        port: Option<u16>,
        /// The private key, if given.
        key: Option<String>,
    },
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[derive(Default)]
struct Parameters {
    name: Option<String>,
    socket: Option<String>,
    pki: Option<String>,
    key: Option<String>,
}

struct Place {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

impl Uri {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{text}: {why}");
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"'\"\\`$;|<>".contains(&byte)) {
            return Err(wrong("a character that no libvirt URI has"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("no libvirt URI"))?;
        let (driver, transport) = scheme.split_once('+').map_or((scheme, None), |(d, t)| (d, Some(t)));
        if driver.is_empty() || !driver.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(wrong("no libvirt URI"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let at = rest.find('/').ok_or_else(|| wrong("no path, such as /system"))?;
        let (place, path) = (place(rest.get(..at).unwrap_or_default()), rest.get(at..).unwrap_or_default());
        let place = place.map_err(|why| wrong(&why))?;
        let parameters = parameters(query).map_err(|why| wrong(&why))?;
        let transport = match (transport, place.host.is_empty()) {
            (None | Some("unix"), true) => Transport::Unix(sockets(driver, path, &parameters)?),
            (None | Some("tls"), false) => Transport::Tls {
                host: place.host,
                port: place.port.unwrap_or(TLS_PORT),
                pki: parameters.pki.map(PathBuf::from),
            },
            (Some("ssh" | "libssh" | "libssh2"), false) => {
                Transport::Ssh { host: place.host, user: place.user, port: place.port, key: parameters.key }
            }
            (Some("tcp"), _) => return Err(wrong("tcp is in the clear; use tls or ssh")),
            (Some("unix"), false) => {
                return Err(wrong("a unix socket is on this machine; leave out the host"));
            }
            (Some("tls" | "ssh" | "libssh" | "libssh2"), true) => return Err(wrong("a host is missing")),
            (Some(_), _) => return Err(wrong("only unix, tls and ssh are spoken")),
        };
        let remote = parameters.name.unwrap_or_else(|| format!("{driver}://{path}"));
        Ok(Self { text: text.to_owned(), remote, transport })
    }
}

/// `[user@][host][:port]`, an IPv6 address in brackets.
fn place(text: &str) -> Result<Place, String> {
    let (user, rest) =
        text.rsplit_once('@').map_or((None, text), |(user, rest)| (Some(user.to_owned()), rest));
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("an address in brackets does not end")?;
            (host, rest.strip_prefix(':'))
        }
        None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
    };
    if host.starts_with('-') || user.as_ref().is_some_and(|user| user.is_empty() || user.starts_with('-')) {
        return Err("no such host or user".to_owned());
    }
    let port = port.map(|port| port.parse::<u16>().map_err(|_| format!("{port} is no port"))).transpose()?;
    Ok(Place { user, host: host.to_owned(), port })
}

fn parameters(query: &str) -> Result<Parameters, String> {
    let mut parameters = Parameters::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = value.to_owned();
        match name {
            "name" => parameters.name = Some(value),
            "socket" => parameters.socket = Some(value),
            "pkipath" => parameters.pki = Some(value),
            "keyfile" => parameters.key = Some(value),
            // These say what is done here anyway.
            "no_tty" => {}
            "no_verify" if value == "0" => {}
            "no_verify" => return Err("certificates are always verified; leave out no_verify".to_owned()),
            _ => return Err(format!("{name} is not known here; leave it out")),
        }
    }
    Ok(parameters)
}

/// The sockets of a driver, newer ones first: a daemon for it alone, or one for all.
fn sockets(driver: &str, path: &str, parameters: &Parameters) -> Result<Vec<PathBuf>, String> {
    if let Some(socket) = &parameters.socket {
        return Ok(vec![PathBuf::from(socket)]);
    }
    if path.starts_with("/session") {
        return Err("a session's daemon has its socket elsewhere; name it with ?socket=/path".to_owned());
    }
    Ok(vec![format!("{SOCKETS}/virt{driver}d-sock").into(), format!("{SOCKETS}/libvirt-sock").into()])
}
