//! A session by hand, packet by packet, for whoever plays the controller and the network between: no socket, no clock.
//!
//! It is the session that the agent uses, and nothing else.

use super::session::crypto::Suite;
use super::session::login::{Login, Privilege, Way};
use super::session::message::Question;
use super::session::wire::LanAuth;
use super::session::{Event, Session};
use core::time::Duration;
use zeroize::Zeroizing;

/// How long each step may take, on the clock of whoever plays.
const STEP_WITHIN: Duration = Duration::from_secs(4);

/// How the session is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// IPMI 2.0 with cipher suite 3.
    Suite3,
    /// IPMI 2.0 with cipher suite 17.
    Suite17,
    /// IPMI 1.5 with MD5.
    Lan,
}

/// What came of what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The session stands.
    Open,
    /// The answer to the question about the power: completion code, then data.
    Answer(Vec<u8>),
    /// There is no session any more.
    Closed,
    /// It did not work, in the words that users read.
    Failed(String),
}

/// One session.
pub struct Console {
    session: Session,
    now: Duration,
}

impl Console {
    /// Begins a login. Whoever uses one seed twice knows the session's secrets.
    #[must_use]
    pub fn login(protocol: Protocol, user: &str, password: &str, seed: [u8; 32]) -> Self {
        let way = match protocol {
            Protocol::Suite3 => Way::Plus(Suite::Three),
            Protocol::Suite17 => Way::Plus(Suite::Seventeen),
            Protocol::Lan => Way::Lan(LanAuth::Md5),
        };
        let login = Login {
            user: user.as_bytes().to_vec(),
            password: Zeroizing::new(password.as_bytes().to_vec()),
            kg: None,
            privilege: Privilege::Administrator,
            way,
        };
        let mut session = Session::new(login, Zeroizing::new(seed));
        session.start(Duration::ZERO, STEP_WITHIN);
        Self { session, now: Duration::ZERO }
    }

    /// Asks whether the machine has power.
    pub fn ask_power(&mut self) {
        let question = Question { netfn: 0, lun: 0, cmd: 1, data: Vec::new(), behind: None };
        self.session.ask(question, self.now, self.now + STEP_WITHIN);
    }

    /// Ends the session.
    pub fn close(&mut self) {
        self.session.close(self.now, self.now + STEP_WITHIN);
    }

    /// The next packet for the controller.
    pub fn sent(&mut self) -> Option<Vec<u8>> {
        self.session.transmit()
    }

    /// A packet from the controller's address.
    pub fn receive(&mut self, packet: &[u8]) {
        self.session.receive(packet, self.now);
    }

    /// Lets the time pass until something is due. Nothing is due: nothing is under way.
    pub fn wait(&mut self) {
        if let Some(due) = self.session.deadline() {
            self.now = self.now.max(due);
            self.session.tick(self.now);
        }
    }

    /// What happened since this was asked last.
    pub fn outcome(&mut self) -> Option<Outcome> {
        self.session.event().map(|event| match event {
            Event::Open => Outcome::Open,
            Event::Answer(answer) => Outcome::Answer(answer),
            Event::Closed => Outcome::Closed,
            Event::Failed(fault) => Outcome::Failed(fault.to_string()),
        })
    }
}
