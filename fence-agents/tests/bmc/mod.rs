//! A management controller for tests: strict towards the agent, and as bad as a test wants it.
//!
//! [`Bmc`] is pure: a datagram in, datagrams out. [`server`] puts it on a UDP socket. It is used by
//! the unit tests of the session and by the integration tests of the agent.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

pub(crate) mod codec;
mod login;
pub(crate) mod server;

use codec::{checksum, u32_at};
use login::GUID;
use std::collections::BTreeMap;

/// How the machine behind the controller behaves when it is asked to change its power.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Obeys {
    /// At once.
    AtOnce,
    /// After its state was read so often.
    AfterLooks(u32),
    /// Says yes and does nothing.
    Never,
    /// It goes off, and is on again before anyone looks.
    ComesBack,
    /// It goes off, is seen off this often, and then comes on by itself.
    ComesBackAfter(u32),
}

#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) name: &'static str,
    pub(crate) password: &'static str,
    pub(crate) privilege: u8,
}

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) users: Vec<User>,
    pub(crate) kg: Option<Vec<u8>>,
    pub(crate) suites: Vec<u8>,
    pub(crate) sessions_max: usize,
    /// Takes any wish for a session, and answers with the algorithms of no protection at all.
    pub(crate) downgrades: bool,
    /// On a socket: answers are lost, doubled, kept back, cut off and changed, from this seed on.
    pub(crate) noise: Option<u64>,
    pub(crate) speaks_plus: bool,
    pub(crate) speaks_lan: bool,
    pub(crate) obeys: Obeys,
    /// Falls silent for ever after so many packets.
    pub(crate) dies_after: Option<u32>,
    /// The completion code of every Chassis Control.
    pub(crate) control_code: u8,
    /// IPMI 1.5: answers in the session carry no authentication.
    pub(crate) answers_openly: bool,
    /// The address of a second controller behind this one.
    pub(crate) behind: Option<u8>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            users: vec![
                User { name: "admin", password: "secret", privilege: 4 },
                User { name: "reader", password: "secret", privilege: 2 },
            ],
            kg: None,
            suites: vec![3, 17],
            sessions_max: 4,
            downgrades: false,
            noise: None,
            speaks_plus: true,
            speaks_lan: true,
            obeys: Obeys::AtOnce,
            dies_after: None,
            control_code: 0,
            answers_openly: false,
            behind: None,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) suite: u8,
    pub(crate) console: u32,
    pub(crate) user: User,
    pub(crate) role: u8,
    pub(crate) ours: [u8; 16],
    pub(crate) theirs: [u8; 16],
    pub(crate) sik: Vec<u8>,
    pub(crate) active: bool,
    pub(crate) privilege: u8,
    pub(crate) seen: u32,
    pub(crate) sent: u32,
    pub(crate) lan: bool,
}

/// The controller.
#[derive(Clone, Debug)]
pub(crate) struct Bmc {
    pub(crate) config: Config,
    pub(crate) sessions: BTreeMap<u32, Session>,
    pub(crate) power: bool,
    pub(crate) pending: Option<(bool, u32)>,
    /// The algorithms of every wish for a session.
    pub(crate) asked: Vec<[u8; 3]>,
    /// Every Chassis Control that came in.
    pub(crate) controls: Vec<u8>,
    /// How often the state was read.
    pub(crate) looks: u32,
    /// Sessions closed by the agent.
    pub(crate) closed: u32,
    /// What the agent did against the rules.
    pub(crate) violations: Vec<String>,
    pub(crate) packets: u32,
    next: u32,
}

impl Bmc {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            sessions: BTreeMap::new(),
            power: true,
            pending: None,
            asked: Vec::new(),
            controls: Vec::new(),
            looks: 0,
            closed: 0,
            violations: Vec::new(),
            packets: 0,
            next: 0x0200_0100,
        }
    }

    /// Sessions that are open now.
    pub(crate) fn open_sessions(&self) -> usize {
        self.sessions.values().filter(|session| session.active).count()
    }

    fn fresh(&mut self) -> u32 {
        self.next += 0x11;
        self.next
    }

    /// What the controller answers.
    pub(crate) fn take(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        self.packets += 1;
        if self.config.dies_after.is_some_and(|after| self.packets > after) {
            return Vec::new();
        }
        if datagram.len() < 14 || datagram[0] != 6 || datagram[3] != 7 {
            return Vec::new();
        }
        let answer = match datagram[4] {
            6 if !self.config.speaks_plus => None,
            6 if datagram[5] & 0xc0 == 0 => self.login_plus(datagram[5], &datagram[16..]),
            6 => return self.inside_plus(datagram).unwrap_or_default(),
            _ => return self.take_lan(datagram).unwrap_or_default(),
        };
        answer.into_iter().collect()
    }

    fn inside_plus(&mut self, datagram: &[u8]) -> Option<Vec<Vec<u8>>> {
        let (id, sequence) = (u32_at(datagram, 6)?, u32_at(datagram, 10)?);
        let session = self.sessions.get(&id)?.clone();
        if !session.active || session.lan {
            return None;
        }
        let Some(message) = codec::unseal(session.suite, &session.sik, datagram) else {
            self.violations.push("a packet that is not sealed with the session's keys".into());
            return None;
        };
        let answers = self.inside(id, sequence, &message)?;
        let mut packets = Vec::new();
        for answer in answers {
            let sent = self.sessions.get_mut(&id).map_or(session.sent + 1, |session| {
                session.sent += 1;
                session.sent
            });
            packets.push(codec::seal(session.suite, &session.sik, session.console, sent, &answer));
        }
        Some(packets)
    }

    fn take_lan(&mut self, datagram: &[u8]) -> Option<Vec<Vec<u8>>> {
        let auth = datagram[4];
        let (sequence, id) = (u32_at(datagram, 5)?, u32_at(datagram, 9)?);
        let payload_at = if auth == 0 { 14 } else { 30 };
        let payload = datagram.get(payload_at..)?.to_vec();
        if id == 0 {
            let body = self.outside(&payload)?;
            return Some(vec![codec::lan(0, &[0; 16], 0, 0, &codec::answer(&payload, &body))]);
        }
        let session = self.sessions.get(&id)?.clone();
        let mut password = [0; 16];
        password[..session.user.password.len()].copy_from_slice(session.user.password.as_bytes());
        let code = datagram.get(13..29)?;
        if auth != 2 || codec::md5_code(&password, id, sequence, &payload) != code {
            // A controller is silent to a packet with a wrong code.
            return None;
        }
        let answers = if payload.get(5) == Some(&0x3a) && sequence == 0 {
            vec![codec::answer(&payload, &self.activate(id, &payload))]
        } else {
            self.inside(id, sequence, &payload)?
        };
        let openly = self.config.answers_openly;
        let mut packets = Vec::new();
        for answer in answers {
            let sent = self.sessions.get_mut(&id).map_or(session.sent + 1, |session| {
                session.sent += 1;
                session.sent
            });
            let auth = if openly { 0 } else { 2 };
            packets.push(codec::lan(auth, &password, id, sent, &answer));
        }
        Some(packets)
    }

    /// A message in a session: who sent it twice under one packet number broke the rules.
    fn inside(&mut self, id: u32, sequence: u32, message: &[u8]) -> Option<Vec<Vec<u8>>> {
        let session = self.sessions.get_mut(&id)?;
        if sequence == 0 || sequence <= session.seen {
            self.violations.push(format!("packet number {sequence} after {}", session.seen));
            return None;
        }
        session.seen = sequence;
        if message.len() < 7 || checksum(&message[..3]) != 0 || checksum(&message[3..]) != 0 {
            self.violations.push("a message with a wrong checksum".into());
            return None;
        }
        let data = &message[6..message.len() - 1];
        if let (6, 0x34, Some(behind)) = (message[1] >> 2, message[5], self.config.behind) {
            return Some(self.pass_on(id, behind, message, &data[1..]));
        }
        let body = self.command(id, message[1] >> 2, message[5], data);
        Some(vec![codec::answer(message, &body)])
    }

    /// The answer of Send Message, then that of the other controller with our number of the question.
    fn pass_on(&mut self, id: u32, behind: u8, message: &[u8], inner: &[u8]) -> Vec<Vec<u8>> {
        if inner[0] != behind {
            return vec![codec::answer(message, &[0x83])];
        }
        let body = self.command(id, inner[1] >> 2, inner[5], &inner[6..inner.len() - 1]);
        let mut as_asked = inner.to_vec();
        as_asked[3] = message[3];
        vec![codec::answer(message, &[0]), codec::answer(&as_asked, &body)]
    }

    fn command(&mut self, id: u32, netfn: u8, cmd: u8, data: &[u8]) -> Vec<u8> {
        let Some(session) = self.sessions.get_mut(&id) else { return vec![0xd4] };
        match (netfn, cmd) {
            (6, 0x3b) if data[0] > session.user.privilege => vec![0x80],
            (6, 0x3b) => {
                session.privilege = data[0].max(session.privilege);
                vec![0, session.privilege]
            }
            (6, 0x3c) => {
                self.sessions.remove(&id);
                self.closed += 1;
                vec![0]
            }
            (6, 0x37) => [&[0], GUID.as_slice()].concat(),
            (0, 0x01) => self.status(),
            (0, 0x02) if session.privilege < 3 => vec![0xd4],
            (0, 0x02) => self.control(data[0]),
            _ => vec![0xc1],
        }
    }

    fn control(&mut self, what: u8) -> Vec<u8> {
        self.controls.push(what);
        let wanted = match (what, self.config.control_code) {
            (0, 0) => false,
            (1, 0) => true,
            (_, code) => return vec![code],
        };
        match self.config.obeys {
            Obeys::AtOnce => self.power = wanted,
            Obeys::AfterLooks(looks) => self.pending = Some((wanted, looks)),
            Obeys::Never | Obeys::ComesBack => {}
            Obeys::ComesBackAfter(looks) => {
                self.power = wanted;
                self.pending = Some((true, looks));
            }
        }
        vec![0]
    }

    fn status(&mut self) -> Vec<u8> {
        self.looks += 1;
        match &mut self.pending {
            Some((wanted, 0)) => {
                self.power = *wanted;
                self.pending = None;
            }
            Some((_, looks)) => *looks -= 1,
            None => {}
        }
        vec![0, u8::from(self.power), 0, 0]
    }
}
