//! Asking a Redfish service: connection, login, redirects, and what a status means.
//!
//! Contract: everything that is sent goes to the one host that the options name. A failed login is
//! not repeated, because some controllers lock the account after a few. After any doubt about a
//! connection it is dropped, so that a late answer never meets another question.

use super::http::{self, HttpError, Request, Response};
use super::model::{self, complaint, is_local_path, shown};
use super::session::{Endpoint, Session, local_part};
use crate::device::{DeviceError, Limits};
use crate::net::Link;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use picket_host::secrets::Secret;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use zeroize::Zeroizing;

#[cfg(test)]
mod tests;

/// Redirects that are followed for one question: `/redfish/v1` to `/redfish/v1/` and one more.
const REDIRECTS_MAX: usize = 3;

/// Turns of one question: without login, with the other kind of login, with a session renewed.
const TURNS_MAX: usize = 3;

/// Bytes that one byte of a text can become in JSON: `\u001f`.
const QUOTED_MAX: usize = 6;

/// Where sessions are made if the service root does not say.
const SESSIONS_PATH: &str = "/redfish/v1/SessionService/Sessions";

/// How to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Basic, or a session where the service does not offer basic.
    Auto,
    /// Name and password with every request. Leaves nothing behind, whatever ends us.
    Basic,
    /// A session.
    Session,
}

/// A user of the service.
#[derive(Debug)]
pub struct Login {
    /// Its name.
    pub username: String,
    /// Its password.
    pub password: Secret,
}

/// A Redfish service as seen by one user.
#[derive(Debug)]
pub struct Client {
    endpoint: Arc<Endpoint>,
    session: Arc<Session>,
    login: Login,
    auth: Auth,
    by_session: bool,
    root: String,
    link: Option<Link>,
    /// Why the login was refused; it is not tried again.
    refused: Option<DeviceError>,
}

/// What is asked, before it is known how to log in.
struct Question<'q> {
    method: &'static str,
    path: &'q str,
    if_match: Option<&'q str>,
    body: Option<&'q str>,
}

impl<'q> Question<'q> {
    const fn get(path: &'q str) -> Self {
        Self { method: "GET", path, if_match: None, body: None }
    }
}

impl Client {
    /// Sends nothing yet. `root` is the path of the service root.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>, login: Login, auth: Auth, root: &str) -> Self {
        Self {
            endpoint,
            session: Arc::new(Session::default()),
            login,
            auth,
            by_session: auth == Auth::Session,
            root: root.to_owned(),
            link: None,
            refused: None,
        }
    }

    /// Where the service is.
    #[must_use]
    pub const fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The session of this client, to be ended also from elsewhere.
    #[must_use]
    pub const fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Ends the session, if there is one.
    pub fn close(&mut self) {
        let link = self.link.take();
        self.session.end(&self.endpoint, link);
    }

    /// Reads a resource and its `ETag`.
    ///
    /// # Errors
    /// Any other answer than the resource, whole.
    pub fn get<T: DeserializeOwned>(
        &mut self,
        path: &str,
        limits: Limits,
    ) -> Result<(T, Option<String>), DeviceError> {
        let answer = self.fetch(path, limits)?;
        if answer.status != 200 {
            return Err(self.explained("reading", path, &answer));
        }
        let document = model::read(&answer.body);
        let document = document.map_err(|why| DeviceError::NoAnswer(format!("{path}: {why}")))?;
        Ok((document, answer.header("etag").map(str::to_owned)))
    }

    /// Reads whatever is there, redirects on the same host followed.
    ///
    /// # Errors
    /// No answer, login refused, or a redirect to somewhere else.
    pub fn fetch(&mut self, path: &str, limits: Limits) -> Result<Response, DeviceError> {
        let mut path = path.to_owned();
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.ask(&Question::get(&path), limits)?;
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            path = self.redirected(&path, &answer)?;
        }
        Err(DeviceError::Refused(format!(
            "{path}: redirected in a circle; check redfish_uri and systems_uri"
        )))
    }

    /// Asks for an action.
    ///
    /// # Errors
    /// No answer or login refused. A refusal of the action itself is an answer.
    pub fn post(
        &mut self,
        path: &str,
        body: &str,
        if_match: Option<&str>,
        limits: Limits,
    ) -> Result<Response, DeviceError> {
        self.ask(&Question { method: "POST", path, if_match, body: Some(body) }, limits)
    }

    /// What an answer that is not what was wanted means.
    #[must_use]
    pub fn explained(&self, doing: &str, path: &str, answer: &Response) -> DeviceError {
        let (status, complaint) = (answer.status, complaint(&answer.body));
        let at = format!("{} answers {status} to {doing} {path}{complaint}", self.endpoint.host);
        match status {
            301 | 302 | 303 | 307 | 308 => {
                DeviceError::Refused(format!("{at}; a redirect is not followed here"))
            }
            403 => DeviceError::Refused(format!(
                "{at}; user {} needs a role that may control power (Operator)",
                self.login.username
            )),
            404 => DeviceError::Refused(format!("{at}; check plug, systems_uri and redfish_uri")),
            405 | 501 => DeviceError::Refused(format!("{at}; this device cannot do it")),
            429 | 503 => {
                DeviceError::NoAnswer(format!("{at}; it is busy, starting, or out of sessions: try later"))
            }
            500..=599 => DeviceError::NoAnswer(format!("{at}; its service fails: restart the controller")),
            _ => DeviceError::NoAnswer(format!("{at}; it does not take this now")),
        }
    }

    /// Where a redirect on the same host leads.
    fn redirected(&self, from: &str, answer: &Response) -> Result<String, DeviceError> {
        let to = answer.header("location").unwrap_or_default();
        let elsewhere = match to.split_once("://") {
            None => !is_local_path(to),
            Some((scheme, rest)) => {
                let authority = rest.split('/').next().unwrap_or_default();
                let own = if self.endpoint.tls.is_some() { ("https", ":443") } else { ("http", ":80") };
                let bare = |authority: &str| authority.trim_end_matches(own.1).to_ascii_lowercase();
                scheme != own.0
                    || bare(authority) != bare(&self.endpoint.authority)
                    || !is_local_path(local_part(to))
            }
        };
        if elsewhere {
            return Err(DeviceError::Refused(format!(
                "{} redirects {from} to {}; not followed, because the password would go there; set ip, ipport and \
                 redfish_uri to where the service is",
                self.endpoint.host,
                shown(to)
            )));
        }
        Ok(local_part(to).to_owned())
    }

    /// One question and its answer, logged in. Status 401 never comes out of here as an answer.
    fn ask(&mut self, question: &Question<'_>, limits: Limits) -> Result<Response, DeviceError> {
        if let Some(refused) = &self.refused {
            return Err(refused.clone());
        }
        let asked = self.ask_logged_in(question, limits);
        if let Err(error @ DeviceError::Refused(_)) = &asked {
            self.refused = Some(error.clone());
        }
        asked
    }

    fn ask_logged_in(&mut self, question: &Question<'_>, limits: Limits) -> Result<Response, DeviceError> {
        for _ in 0..TURNS_MAX {
            let held = self.session.token().is_some();
            let headers = self.login_header(limits)?;
            let answer = self.exchange(question, headers, limits)?;
            if answer.status != 401 {
                return Ok(answer);
            }
            let challenge = answer.header("www-authenticate").unwrap_or_default().to_ascii_lowercase();
            if !self.by_session && self.auth == Auth::Auto && !challenge.contains("basic") {
                self.by_session = true;
            } else if self.by_session && held {
                self.session.forget();
            } else {
                return Err(self.login_refused(&answer));
            }
        }
        Err(DeviceError::NoAnswer(format!("{} ends every session at once", self.endpoint.host)))
    }

    fn login_refused(&self, answer: &Response) -> DeviceError {
        DeviceError::Refused(format!(
            "login of user {} refused by {} (status {}{}); check username and password",
            self.login.username,
            self.endpoint.host,
            answer.status,
            complaint(&answer.body)
        ))
    }

    /// The password as text; what is not UTF-8 is refused when the options are read.
    fn password(&self) -> &str {
        std::str::from_utf8(self.login.password.expose()).unwrap_or_default()
    }

    fn login_header(&mut self, limits: Limits) -> Result<(&'static str, Zeroizing<String>), DeviceError> {
        if self.by_session {
            if self.session.token().is_none() {
                self.open_session(limits)?;
            }
            let token = self.session.token();
            let token = token.ok_or_else(|| DeviceError::NoAnswer("this run is being ended".to_owned()))?;
            return Ok(("X-Auth-Token", token));
        }
        let both = joined(&[&self.login.username, ":", self.password()]);
        let encoded = Zeroizing::new(STANDARD.encode(both.as_bytes()));
        Ok(("Authorization", joined(&["Basic ", &encoded])))
    }

    fn open_session(&mut self, limits: Limits) -> Result<(), DeviceError> {
        let path = self.sessions_path(limits)?;
        let (name, word) = (quoted(&self.login.username), quoted(self.password()));
        let body = joined(&["{\"UserName\":", &name, ",\"Password\":", &word, "}"]);
        // A login whose answer is lost with a kept connection would have to be repeated, and might leave a
        // session behind.
        self.link = None;
        let session = Arc::clone(&self.session);
        let refusal = session.open(|| {
            let question = Question { method: "POST", path: &path, if_match: None, body: Some(&body) };
            self.exchange_bare(&question, Vec::new(), limits)
        })?;
        let Some(answer) = refusal else { return Ok(()) };
        if model::is_session_limit(&answer.body) {
            return Err(DeviceError::NoAnswer(format!(
                "{} has no session free{}; end one, or set auth=basic",
                self.endpoint.host,
                complaint(&answer.body)
            )));
        }
        Err(match answer.status {
            400 | 401 => self.login_refused(&answer),
            200 | 201 => DeviceError::NoAnswer(format!("{path}: a session without a token; set auth=basic")),
            404 | 405 | 501 => DeviceError::Refused(format!(
                "{} opens no sessions (status {} at {path}{}); set auth=basic",
                self.endpoint.host,
                answer.status,
                complaint(&answer.body)
            )),
            403 => DeviceError::Refused(format!(
                "{} lets user {} open no session (status 403{}); give it the Login privilege, or set auth=basic",
                self.endpoint.host,
                self.login.username,
                complaint(&answer.body)
            )),
            _ => self.explained("logging in at", &path, &answer),
        })
    }

    /// Where sessions are made: what the service root says, which is read without login.
    fn sessions_path(&mut self, limits: Limits) -> Result<String, DeviceError> {
        let root = self.root.clone();
        let mut answer = self.exchange_bare(&Question::get(&root), Vec::new(), limits)?;
        if matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
            let path = self.redirected(&root, &answer)?;
            answer = self.exchange_bare(&Question::get(&path), Vec::new(), limits)?;
        }
        let root: Option<model::Root> = model::read(&answer.body).ok().filter(|_| answer.status == 200);
        let path = root.and_then(|root| root.links.sessions).map(|sessions| sessions.path);
        Ok(path.filter(|path| is_local_path(path)).unwrap_or_else(|| SESSIONS_PATH.to_owned()))
    }

    fn exchange(
        &mut self,
        question: &Question<'_>,
        login: (&'static str, Zeroizing<String>),
        limits: Limits,
    ) -> Result<Response, DeviceError> {
        let mut headers = vec![login];
        if let Some(tag) = question.if_match {
            headers.push(("If-Match", Zeroizing::new(tag.to_owned())));
        }
        self.exchange_bare(question, headers, limits)
    }

    fn exchange_bare(
        &mut self,
        question: &Question<'_>,
        headers: Vec<(&'static str, Zeroizing<String>)>,
        limits: Limits,
    ) -> Result<Response, DeviceError> {
        let endpoint = Arc::clone(&self.endpoint);
        let body = question.body.map(|body| Zeroizing::new(body.to_owned()));
        let (method, path) = (question.method, question.path);
        let request = Request { method, path, authority: &endpoint.authority, headers, body };
        if let Some(link) = self.link.take().and_then(|mut link| link.is_quiet().then_some(link)) {
            match self.talk(link, &request, limits) {
                // A kept connection that the server was about to close says nothing about the request. All that
                // is asked over one (reading, a reset to a fixed state) may be asked twice.
                Err(error) if error.is_broken() => {}
                Ok(answer) => return Ok(answer),
                Err(error) => return Err(self.lost(&error)),
            }
        }
        let link = endpoint.connect(limits.login.earlier(limits.call))?;
        self.talk(link, &request, limits).map_err(|error| self.lost(&error))
    }

    fn talk(&mut self, mut link: Link, request: &Request<'_>, limits: Limits) -> Result<Response, HttpError> {
        link.until(limits.call);
        request.send(&mut link)?;
        let answer = http::receive(&mut link)?;
        if answer.reusable {
            self.link = Some(link);
        }
        Ok(answer)
    }

    fn lost(&self, error: &HttpError) -> DeviceError {
        let host = &self.endpoint.host;
        match error {
            HttpError::Stream(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                DeviceError::NoAnswer(format!(
                    "{host} did not answer in time; it may be busy, or give a larger shell_timeout"
                ))
            }
            _ if self.endpoint.tls.is_none() => DeviceError::NoAnswer(format!(
                "{host}: {error}; check ipport, or set ssl=1 if it speaks TLS there"
            )),
            HttpError::Closed | HttpError::Stream(_) => {
                DeviceError::NoAnswer(format!("{host} broke off: {error}; it may be restarting"))
            }
            HttpError::Garbled(why) => {
                DeviceError::NoAnswer(format!("{host}: {why}; check ip, ipport and redfish_uri"))
            }
        }
    }
}

/// In one piece that is large enough from the start: text that grows leaves copies of itself behind.
fn joined(parts: &[&str]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| text.push_str(part));
    text
}

/// A JSON string.
fn quoted(text: &str) -> Zeroizing<String> {
    let mut quoted = Zeroizing::new(String::with_capacity(QUOTED_MAX * text.len() + 2));
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\0'..='\x1f' => quoted.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}
