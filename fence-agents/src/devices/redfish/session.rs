//! A session at the device, and that none stays behind.
//!
//! ```text
//!   none ──open──▶ opening ──201──▶ open ──end──▶ ended
//!     ▲               └─ anything else ─▶ none        (no new session after that)
//!     └───────────── forgotten: the device no longer knows it
//! ```
//! A controller holds few sessions, and a forgotten one blocks a place for up to half an hour. So a
//! session is also ended when a signal ends us, even one that was just being opened.

use super::http::{self, Request, Response};
use crate::deadline::Deadline;
use crate::device::DeviceError;
use crate::net::Link;
use crate::net::tls::Tls;
use crate::parting::FAREWELL_WITHIN;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

/// Where the device is and how it is spoken to.
#[derive(Debug)]
pub struct Endpoint {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// TLS and the name in the certificate; `None` only if the options say so.
    pub tls: Option<(Tls, String)>,
    /// Host and port as the `Host` header and redirects write them.
    pub authority: String,
}

impl Endpoint {
    /// Connects, TLS included.
    ///
    /// # Errors
    /// Not reachable, or not who it must be.
    pub fn connect(&self, deadline: Deadline) -> Result<Link, DeviceError> {
        let link = Link::tcp(&self.host, self.port, deadline, "ip and ipport")?;
        match &self.tls {
            Some((tls, name)) => link.secured(tls, name),
            None => Ok(link),
        }
    }
}

/// What proves to the device who asks.
struct Open {
    /// The session's own resource, to end it.
    path: Option<String>,
    token: Zeroizing<String>,
}

enum Held {
    None,
    Opening,
    Open(Open),
    Ended,
}

/// The one session of this run.
pub struct Session {
    held: Mutex<Held>,
    changed: Condvar,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

/// None yet.
impl Default for Session {
    fn default() -> Self {
        Self { held: Mutex::new(Held::None), changed: Condvar::new() }
    }
}

impl Session {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn becomes(&self, held: Held) {
        *self.held() = held;
        self.changed.notify_all();
    }

    /// Its token, if it is open.
    #[must_use]
    pub fn token(&self) -> Option<Zeroizing<String>> {
        match &*self.held() {
            Held::Open(open) => Some(open.token.clone()),
            Held::None | Held::Opening | Held::Ended => None,
        }
    }

    /// Opens one by `ask`, which sends the login and gives the answer. The answer is returned if it
    /// opened no session.
    ///
    /// # Errors
    /// What `ask` says, or the run is being ended.
    pub fn open(
        &self,
        ask: impl FnOnce() -> Result<Response, DeviceError>,
    ) -> Result<Option<Response>, DeviceError> {
        {
            let mut held = self.held();
            if matches!(*held, Held::Ended) {
                return Err(DeviceError::NoAnswer("this run is being ended".to_owned()));
            }
            *held = Held::Opening;
        }
        let answer = ask();
        let token = answer.as_ref().ok().filter(|answer| matches!(answer.status, 200 | 201));
        let token = token.and_then(|answer| Some((answer, answer.header("x-auth-token")?)));
        let next = match token {
            Some((answer, token)) => {
                Held::Open(Open { path: resource(answer), token: Zeroizing::new(token.to_owned()) })
            }
            None => Held::None,
        };
        let opened = matches!(next, Held::Open(_));
        self.becomes(next);
        answer.map(|answer| if opened { None } else { Some(answer) })
    }

    /// The device does not know it any more.
    pub fn forget(&self) {
        let mut held = self.held();
        if matches!(*held, Held::Open(_)) {
            *held = Held::None;
        }
    }

    /// Ends it and lets no other be opened. Uses `link` if it is there, else a connection of its own.
    /// Says whether the device confirmed it, or there was nothing to end.
    pub fn end(&self, endpoint: &Endpoint, link: Option<Link>) -> bool {
        let deadline = Deadline::after(FAREWELL_WITHIN);
        let open = {
            let held = self.held();
            // A login that is under way may yet be answered, and then it is a session.
            let still_opening = |held: &mut Held| matches!(held, Held::Opening);
            let waited = self.changed.wait_timeout_while(held, FAREWELL_WITHIN / 2, still_opening);
            let (mut held, _) = waited.unwrap_or_else(PoisonError::into_inner);
            match std::mem::replace(&mut *held, Held::Ended) {
                Held::Open(open) => open,
                Held::None | Held::Opening | Held::Ended => return true,
            }
        };
        let Some(path) = open.path else { return false };
        let request = Request {
            method: "DELETE",
            path: &path,
            authority: &endpoint.authority,
            headers: vec![("X-Auth-Token", open.token)],
            body: None,
        };
        let sent = |mut link: Link| {
            link.until(deadline);
            request.send(&mut link).ok()?;
            http::receive(&mut link).ok()
        };
        let over_a_new_one = || endpoint.connect(deadline).ok().and_then(sent);
        let answer = link.and_then(sent).or_else(over_a_new_one);
        answer.is_some_and(|answer| matches!(answer.status, 200..=299 | 404))
    }
}

/// The path of the session that an answer tells of.
fn resource(answer: &Response) -> Option<String> {
    let named = answer.header("location").map(str::to_owned);
    let named =
        named.or_else(|| super::model::read::<super::model::Link>(&answer.body).ok().map(|link| link.path));
    let named = named.map(|location| local_part(&location).to_owned());
    named.filter(|path| super::model::is_local_path(path))
}

/// Without scheme and host: what the device names is at the device that we talk to.
#[must_use]
pub fn local_part(location: &str) -> &str {
    match location.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| rest.get(at..).unwrap_or("/")),
        None => location,
    }
}
