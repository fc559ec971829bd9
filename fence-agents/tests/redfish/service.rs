//! A Redfish service of our own: a controller that behaves, until a test says otherwise.

use crate::agent::PASSWORD;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use picket_host::clock;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

pub(crate) const USER: &str = "picket";
pub(crate) const SYSTEM: &str = "/redfish/v1/Systems/1";
pub(crate) const RESET: &str = "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset";
pub(crate) const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";
pub(crate) const UUID: &str = "4c4c4544-0051-3510-8052-b4c04f4a3332";

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path == path
    }
}

/// What is done with a request.
pub(crate) enum Reply {
    /// A status, further headers, a document.
    Json(u16, Vec<(&'static str, String)>, Value),
    /// These bytes, and then the connection is closed.
    Raw(Vec<u8>),
    /// These bytes, one after the other with a pause, as long as anybody reads.
    Drip(Vec<u8>, Duration),
    /// These bytes, after a while.
    Late(Vec<u8>, Duration),
    /// The answer, twice.
    Twice(u16, Value),
    /// The answer, and then the connection is closed without a word.
    ThenClose(u16, Value),
    /// Nothing, for as long as the client waits.
    Silence,
    /// The connection is closed, and nobody listens any more.
    Death,
}

pub(crate) fn plain(status: u16, document: Value) -> Reply {
    Reply::Json(status, Vec::new(), document)
}

pub(crate) fn error(status: u16, text: &str) -> Reply {
    plain(status, json!({"error": {"code": "Base.1.0.GeneralError", "message": text}}))
}

type Quirk = Box<dyn Fn(&Asked, &mut Model) -> Option<Reply> + Send + Sync>;

/// What the controller knows.
pub(crate) struct Model {
    pub(crate) power: &'static str,
    /// Whether a reset changes the power.
    pub(crate) obeys: bool,
    pub(crate) takes_basic: bool,
    pub(crate) sessions_max: usize,
    pub(crate) sessions: Vec<String>,
    pub(crate) sessions_made: usize,
    pub(crate) asked: Vec<Asked>,
    pub(crate) alive: bool,
}

impl Model {
    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        self.asked.iter().filter(|asked| asked.is(method, path)).count()
    }

    pub(crate) fn orders(&self) -> Vec<String> {
        let resets = self.asked.iter().filter(|asked| asked.is("POST", RESET));
        resets.map(|asked| asked.body["ResetType"].as_str().unwrap_or_default().to_owned()).collect()
    }

    fn knows(&self, asked: &Asked) -> bool {
        let basic = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
        let token = asked.header("x-auth-token").unwrap_or_default();
        (self.takes_basic && asked.header("authorization") == Some(&basic))
            || self.sessions.iter().any(|known| known == token)
    }

    pub(crate) fn system(&self) -> Value {
        json!({
            "@odata.id": SYSTEM, "@odata.type": "#ComputerSystem.v1_20_0.ComputerSystem", "Id": "1",
            "Name": "System", "HostName": "n2", "SerialNumber": "S1", "UUID": UUID, "PowerState": self.power,
            "Actions": {"#ComputerSystem.Reset": {
                "target": RESET, "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "GracefulShutdown"]}}
        })
    }

    fn log_in(&mut self, asked: &Asked) -> Reply {
        if asked.body["UserName"] != USER || asked.body["Password"] != PASSWORD {
            return error(401, "no such user");
        }
        if self.sessions.len() >= self.sessions_max {
            let info =
                json!([{"MessageId": "Base.1.8.SessionLimitExceeded", "Message": "too many sessions"}]);
            return plain(503, json!({"error": {"message": "see info", "@Message.ExtendedInfo": info}}));
        }
        self.sessions_made += 1;
        let token = format!("token{}", self.sessions_made);
        self.sessions.push(token.clone());
        let at = format!("{SESSIONS}/{token}");
        Reply::Json(201, vec![("X-Auth-Token", token), ("Location", at.clone())], json!({"@odata.id": at}))
    }

    fn reset(&mut self, asked: &Asked) -> Reply {
        if self.obeys {
            match asked.body["ResetType"].as_str() {
                Some("On") => self.power = "On",
                Some("ForceOff") => self.power = "Off",
                _ => return error(400, "no such reset"),
            }
        }
        plain(204, Value::Null)
    }

    /// What a controller that behaves answers.
    pub(crate) fn behaved(&mut self, asked: &Asked) -> Reply {
        let path = asked.path.trim_end_matches('/');
        match (asked.method.as_str(), path) {
            ("GET", "/redfish/v1") => {
                return plain(
                    200,
                    json!({"Systems": {"@odata.id": "/redfish/v1/Systems"},
                           "Links": {"Sessions": {"@odata.id": SESSIONS}}}),
                );
            }
            ("POST", SESSIONS) => return self.log_in(asked),
            _ if !self.knows(asked) => {
                let ways = if self.takes_basic { "Basic realm=\"bmc\"" } else { "X-Auth-Token" };
                let refused = json!({"error": {"message": "not authorized"}});
                return Reply::Json(401, vec![("WWW-Authenticate", ways.to_owned())], refused);
            }
            _ => {}
        }
        match (asked.method.as_str(), path) {
            ("GET", "/redfish/v1/Systems") => plain(200, json!({"Members": [{"@odata.id": SYSTEM}]})),
            ("GET", SYSTEM) => Reply::Json(200, vec![("ETag", "\"7\"".to_owned())], self.system()),
            ("POST", RESET) => self.reset(asked),
            ("DELETE", path) if path.starts_with(SESSIONS) => {
                let ended = path.rsplit('/').next().unwrap_or_default().to_owned();
                self.sessions.retain(|token| *token != ended);
                plain(204, Value::Null)
            }
            _ => error(404, "no such resource"),
        }
    }
}

/// A controller that listens.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    model: Arc<Mutex<Model>>,
}

impl Service {
    /// One that behaves but for `quirk`, which may answer in its stead.
    pub(crate) fn start(
        tls: Option<Arc<ServerConfig>>,
        quirk: impl Fn(&Asked, &mut Model) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let model = Arc::new(Mutex::new(Model {
            power: "On",
            obeys: true,
            takes_basic: true,
            sessions_max: 4,
            sessions: Vec::new(),
            sessions_made: 0,
            asked: Vec::new(),
            alive: true,
        }));
        let (shared, quirk) = (Arc::clone(&model), Arc::new(Box::new(quirk) as Quirk));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if !lock(&shared).alive {
                    return;
                }
                let (stream, tls, model, quirk) =
                    (stream.unwrap(), tls.clone(), Arc::clone(&shared), Arc::clone(&quirk));
                thread::spawn(move || {
                    // A client that goes away in the middle is what many of the tests are about.
                    let _ = stream.set_nodelay(true);
                    let _ = match tls {
                        None => converse(stream, &model, &quirk, address),
                        Some(config) => {
                            let server = ServerConnection::new(config).unwrap();
                            converse(StreamOwned::new(server, stream), &model, &quirk, address)
                        }
                    };
                });
            }
        });
        Self { address, model }
    }

    /// One that behaves.
    pub(crate) fn good(tls: Option<Arc<ServerConfig>>) -> Self {
        Self::start(tls, |_, _| None)
    }

    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        lock(&self.model)
    }

    /// Options for it, in the clear.
    pub(crate) fn options(&self) -> String {
        format!("ssl=0\n{}", self.tls_options())
    }

    /// Options for it.
    pub(crate) fn tls_options(&self) -> String {
        format!(
            "ip=127.0.0.1\nipport={}\nusername={USER}\npassword={PASSWORD}\nplug=1\n",
            self.address.port()
        )
    }
}

fn lock(model: &Mutex<Model>) -> MutexGuard<'_, Model> {
    model.lock().unwrap_or_else(PoisonError::into_inner)
}

fn converse(
    mut stream: impl Read + Write,
    model: &Mutex<Model>,
    quirk: &Quirk,
    address: SocketAddr,
) -> io::Result<()> {
    while let Some(asked) = read_request(&mut stream)? {
        let reply = {
            let mut model = lock(model);
            model.asked.push(asked.clone());
            let odd = quirk(&asked, &mut model);
            odd.unwrap_or_else(|| model.behaved(&asked))
        };
        match reply {
            Reply::Json(status, headers, document) => {
                stream.write_all(&written(status, &headers, &document))?;
            }
            Reply::Twice(status, document) => {
                stream.write_all(&written(status, &[], &document).repeat(2))?;
            }
            Reply::ThenClose(status, document) => {
                return stream.write_all(&written(status, &[], &document));
            }
            Reply::Raw(bytes) => return stream.write_all(&bytes).and_then(|()| stream.flush()),
            Reply::Drip(bytes, pause) => {
                for byte in bytes {
                    stream.write_all(&[byte])?;
                    stream.flush()?;
                    clock::pause(pause, "a controller that drips");
                }
            }
            Reply::Late(bytes, pause) => {
                clock::pause(pause, "a controller that thinks");
                stream.write_all(&bytes)?;
            }
            Reply::Silence => {
                // Ends when the client does.
                let _ = stream.read(&mut [0])?;
                return Ok(());
            }
            Reply::Death => {
                lock(model).alive = false;
                // Wakes the listener, so that it sees that it is dead.
                let _ = TcpStream::connect(address);
                return Ok(());
            }
        }
        stream.flush()?;
    }
    Ok(())
}

/// An answer on the wire.
pub(crate) fn written(status: u16, headers: &[(&str, String)], document: &Value) -> Vec<u8> {
    let body = if document.is_null() { String::new() } else { document.to_string() };
    let mut text = format!("HTTP/1.1 {status} X\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if status != 204 {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    format!("{text}\r\n{body}").into_bytes()
}

fn read_request(stream: &mut impl Read) -> io::Result<Option<Asked>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let mut words = lines.next().unwrap().split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers: Vec<_> =
        headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
    stream.read_exact(&mut body)?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(Some(Asked { method, path, headers, body }))
}
