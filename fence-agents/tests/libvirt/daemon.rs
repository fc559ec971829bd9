//! A libvirt daemon of our own: it behaves, until a test says otherwise.

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

pub(crate) const UUID: [u8; 16] =
    [0x4c, 0x4c, 0x45, 0x44, 0, 0x51, 0x35, 0x10, 0x80, 0x52, 0xb4, 0xc0, 0x4f, 0x4a, 0x33, 0x32];
pub(crate) const UUID_TEXT: &str = "4c4c4544-0051-3510-8052-b4c04f4a3332";

pub(crate) const OPEN: u32 = 1;
pub(crate) const CLOSE: u32 = 2;
pub(crate) const CREATE: u32 = 9;
pub(crate) const DESTROY: u32 = 12;
pub(crate) const BY_NAME: u32 = 23;
pub(crate) const BY_UUID: u32 = 24;
pub(crate) const AUTH_LIST: u32 = 66;
pub(crate) const AUTH_POLKIT: u32 = 70;
pub(crate) const IS_PERSISTENT: u32 = 151;
pub(crate) const GET_STATE: u32 = 212;
pub(crate) const LIST_ALL: u32 = 273;

pub(crate) const RUNNING: u32 = 1;
pub(crate) const SHUT_OFF: u32 = 5;

/// What is done with a call.
#[derive(Clone)]
pub(crate) enum Reply {
    /// A result.
    Done(Vec<u8>),
    /// An error.
    No(u32, &'static str),
    /// So many events, and then the result.
    AfterEvents(usize, Vec<u8>),
    /// The result under another head: program, version, procedure, type, serial (added), status.
    Head([u32; 6], Vec<u8>),
    /// These bytes, and then the connection is closed.
    Raw(Vec<u8>),
    /// The result, a byte at a time.
    Drip(Vec<u8>, Duration),
    /// Nothing, for as long as the client waits.
    Silence,
    /// The connection is closed, and each one after it.
    Death,
}

/// A domain at this daemon.
#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) uuid: [u8; 16],
    pub(crate) state: u32,
    pub(crate) persistent: bool,
}

/// What the daemon knows.
pub(crate) struct Model {
    pub(crate) guests: BTreeMap<String, Guest>,
    /// Whether destroy and create do anything.
    pub(crate) obeys: bool,
    /// What clients must show who they are by: 0 nothing, 1 SASL, 2 polkit.
    pub(crate) way: u32,
    pub(crate) called: Vec<u32>,
    pub(crate) alive: bool,
}

impl Model {
    pub(crate) fn count(&self, procedure: u32) -> usize {
        self.called.iter().filter(|called| **called == procedure).count()
    }

    pub(crate) fn state(&self, name: &str) -> Option<u32> {
        self.guests.get(name).map(|guest| guest.state)
    }

    pub(crate) fn set(&mut self, name: &str, state: u32) {
        self.guests.insert(name.to_owned(), Guest { uuid: UUID, state, persistent: true });
    }

    fn named(&self, arguments: &[u8]) -> Option<String> {
        let length = usize::try_from(word(arguments, 0)).unwrap();
        let name = String::from_utf8(arguments[4..4 + length].to_vec()).unwrap();
        self.guests.contains_key(&name).then_some(name)
    }

    /// What a daemon that behaves answers.
    pub(crate) fn behaved(&mut self, procedure: u32, arguments: &[u8]) -> Reply {
        let missing = Reply::No(42, "Domain not found");
        match procedure {
            AUTH_LIST => Reply::Done(words(&[1, self.way])),
            AUTH_POLKIT => Reply::Done(words(&[1])),
            OPEN | CLOSE => Reply::Done(Vec::new()),
            BY_NAME => match self.named(arguments) {
                Some(name) => Reply::Done(self.identity(&name)),
                None => missing,
            },
            BY_UUID => match self.guests.iter().find(|(_, guest)| guest.uuid == arguments) {
                Some((name, _)) => Reply::Done(self.identity(name)),
                None => missing,
            },
            LIST_ALL => {
                let count = u32::try_from(self.guests.len()).unwrap();
                let each: Vec<u8> = self.guests.keys().flat_map(|name| self.identity(name)).collect();
                Reply::Done([words(&[count]), each, words(&[count])].concat())
            }
            GET_STATE | IS_PERSISTENT | DESTROY | CREATE => match self.named(arguments) {
                Some(name) => self.about(procedure, &name),
                None => missing,
            },
            _ => Reply::No(3, "no such procedure"),
        }
    }

    fn about(&mut self, procedure: u32, name: &str) -> Reply {
        let guest = self.guests.get_mut(name).unwrap();
        match procedure {
            GET_STATE => return Reply::Done(words(&[guest.state, 1])),
            IS_PERSISTENT => return Reply::Done(words(&[guest.persistent.into()])),
            DESTROY if guest.state == SHUT_OFF => return Reply::No(55, "domain is not running"),
            DESTROY if self.obeys && !guest.persistent => drop(self.guests.remove(name)),
            DESTROY if self.obeys => guest.state = SHUT_OFF,
            CREATE if self.obeys => guest.state = RUNNING,
            _ => {}
        }
        Reply::Done(Vec::new())
    }

    /// A domain as messages name it.
    pub(crate) fn identity(&self, name: &str) -> Vec<u8> {
        let guest = &self.guests[name];
        let id = if guest.state == SHUT_OFF { u32::MAX } else { 3 };
        let mut bytes = words(&[u32::try_from(name.len()).unwrap()]);
        bytes.extend(name.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(guest.uuid);
        bytes.extend(words(&[id]));
        bytes
    }
}

type Quirk = Arc<dyn Fn(u32, &[u8], &mut Model) -> Option<Reply> + Send + Sync>;

/// A daemon that listens.
pub(crate) struct Daemon {
    pub(crate) socket: PathBuf,
    pub(crate) port: u16,
    _dir: TempDir,
    model: Arc<Mutex<Model>>,
}

impl Daemon {
    /// One that has `n2` running and behaves.
    pub(crate) fn good() -> Self {
        Self::start(|_, _, _| None)
    }

    /// One that behaves but for `quirk`, which may answer in its stead.
    pub(crate) fn start(
        quirk: impl Fn(u32, &[u8], &mut Model) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let (dir, model) = (tempfile::tempdir().unwrap(), model());
        let socket = dir.path().join("sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (shared, quirk) = (Arc::clone(&model), Arc::new(quirk) as Quirk);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, model, quirk) = (stream.unwrap(), Arc::clone(&shared), Arc::clone(&quirk));
                // A client that goes away in the middle is what many of the tests are about.
                thread::spawn(move || drop(converse(stream, &model, &quirk)));
            }
        });
        Self { socket, port: 0, _dir: dir, model }
    }

    /// One behind TLS, which says `welcome` after the handshake.
    pub(crate) fn behind_tls(config: &Arc<ServerConfig>, welcome: &'static [u8]) -> Self {
        let (dir, model) = (tempfile::tempdir().unwrap(), model());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (shared, config) = (Arc::clone(&model), Arc::clone(config));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let server = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(server, stream.unwrap());
                let model = Arc::clone(&shared);
                thread::spawn(move || {
                    let quirk: Quirk = Arc::new(|_, _, _| None);
                    stream
                        .write_all(welcome)
                        .and_then(|()| stream.flush())
                        .and_then(|()| if welcome == [1] { converse(stream, &model, &quirk) } else { Ok(()) })
                });
            }
        });
        Self { socket: PathBuf::new(), port, _dir: dir, model }
    }

    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        lock(&self.model)
    }

    pub(crate) fn uri(&self) -> String {
        format!("qemu:///system?socket={}", self.socket.display())
    }
}

fn model() -> Arc<Mutex<Model>> {
    let mut model = Model { guests: BTreeMap::new(), obeys: true, way: 0, called: Vec::new(), alive: true };
    model.set("n2", RUNNING);
    Arc::new(Mutex::new(model))
}

fn lock(model: &Mutex<Model>) -> MutexGuard<'_, Model> {
    model.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at * 4..at * 4 + 4].try_into().unwrap())
}

/// A message on the wire.
pub(crate) fn framed(head: [u32; 6], payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(28 + payload.len()).unwrap();
    [words(&[length]), words(&head), payload.to_vec()].concat()
}

fn converse(mut stream: impl Read + Write, model: &Mutex<Model>, quirk: &Quirk) -> io::Result<()> {
    loop {
        let mut head = [0; 28];
        stream.read_exact(&mut head)?;
        let length = usize::try_from(word(&head, 0)).unwrap();
        let (procedure, serial) = (word(&head, 3), word(&head, 5));
        assert_eq!((word(&head, 1), word(&head, 2), word(&head, 4), word(&head, 6)), (0x2000_8086, 1, 0, 0));
        let mut arguments = vec![0; length - 28];
        stream.read_exact(&mut arguments)?;
        let reply = {
            let mut model = lock(model);
            if !model.alive {
                return Ok(());
            }
            model.called.push(procedure);
            let odd = quirk(procedure, &arguments, &mut model);
            odd.unwrap_or_else(|| model.behaved(procedure, &arguments))
        };
        let good = [0x2000_8086, 1, procedure, 1, serial, 0];
        match reply {
            Reply::Done(result) => stream.write_all(&framed(good, &result))?,
            Reply::No(code, text) => {
                let length = u32::try_from(text.len()).unwrap();
                let mut error = words(&[code, 10, 1, length]);
                error.extend(text.as_bytes());
                error.resize(error.len().next_multiple_of(4), 0);
                error.extend(words(&[2, 0, 0, 0, 0, 0, 0, 0]));
                stream.write_all(&framed([0x2000_8086, 1, procedure, 1, serial, 1], &error))?;
            }
            Reply::AfterEvents(count, result) => {
                let event = framed([0x2000_8086, 1, 107, 2, 0, 0], &words(&[1, 2]));
                stream.write_all(&event.repeat(count))?;
                stream.write_all(&framed(good, &result))?;
            }
            Reply::Head(mut head, result) => {
                head[4] = head[4].wrapping_add(serial);
                stream.write_all(&framed(head, &result))?;
            }
            Reply::Raw(bytes) => return stream.write_all(&bytes).and_then(|()| stream.flush()),
            Reply::Drip(result, pause) => {
                for byte in framed(good, &result) {
                    stream.write_all(&[byte])?;
                    stream.flush()?;
                    picket_host::clock::pause(pause, "a daemon that drips");
                }
            }
            Reply::Silence => return stream.read(&mut [0]).map(drop),
            Reply::Death => {
                lock(model).alive = false;
                return Ok(());
            }
        }
        stream.flush()?;
    }
}
