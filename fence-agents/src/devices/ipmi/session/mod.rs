//! One session with a management controller, as a pure state machine: datagrams and `now` in,
//! datagrams, a deadline and events out. It owns no socket, no clock and no randomness beyond a seed.
//!
//! ```text
//!  2.0: Fresh ─▶ Opening ─▶ Proving ─▶ Proven ─┐
//!  1.5: Fresh ─▶ Asking ─▶ Challenging ─▶ Activating ─┴▶ Raising ─▶ Open ─▶ Closing ─▶ Over
//!       any of them ─ refused, or silent for too long ─▶ Over, with one Fault
//! ```
//!
//! Contract:
//! - An answer is handed out only if it is authentic, new, and fits the one open question in every
//!   field. Whatever else comes in (late, twice, out of order, cut off, changed, from another
//!   session) changes nothing; it cannot end a session either.
//! - One question at a time. It is sent again until its answer, its deadline or [`resend::SENDS_MAX`].
//! - A refusal during the login is not authenticated on the wire. So the login is begun once more,
//!   and only a second refusal counts: one changed or invented packet is not believed.
//! - The protection asked for is the protection used. There is no fall-back in here.

pub(crate) mod channel;
pub(crate) mod crypto;
pub(crate) mod fault;
mod lan;
pub(crate) mod login;
pub(crate) mod message;
mod plus;
pub(crate) mod rakp;
pub(crate) mod resend;
pub(crate) mod window;
pub(crate) mod wire;

#[cfg(test)]
mod tests;

use channel::Channel;
use core::time::Duration;
use crypto::Random;
use fault::Fault;
use login::{Login, Way};
use message::{Fit, NUMBERS, Question};
use resend::{Due, Resend};
use std::collections::VecDeque;
use zeroize::Zeroizing;

/// How often a login is begun: a second time after a refusal or a confusion, not more.
const LOGINS_MAX: u32 = 2;

/// How long a proof that does not fit may still be followed by one that does.
const SECOND_PROOF_WITHIN: Duration = Duration::from_millis(800);

/// Set Session Privilege Level, and its refusals: not for this user, not on this channel.
const SET_PRIVILEGE: u8 = 0x3b;
const PRIVILEGE_REFUSED: [u8; 3] = [0x80, 0x81, 0xd4];

/// Close Session.
const CLOSE_SESSION: u8 = 0x3c;

/// What came of what was asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The session stands, at the wanted privilege.
    Open,
    /// The answer to the question: completion code, then data.
    Answer(Vec<u8>),
    /// There is no session any more, as asked.
    Closed,
    /// It did not work. The session may still be open at the controller: close it.
    Failed(Fault),
}

/// Where the session is. Everything before `Raising` has no channel, everything after has one.
enum Phase {
    Fresh,
    Opening { tag: u8, console: u32 },
    Proving(rakp::Exchange),
    Proven(rakp::Exchange, rakp::Proof),
    Asking,
    Challenging,
    Activating { temporary: u32 },
    Raising,
    Open,
    Closing,
    Over,
}

/// What is on its way to the controller.
enum Sent {
    /// A packet that is sent again as it is.
    Packet(Vec<u8>),
    /// A question outside a session.
    Outside(Question, u8, Vec<u8>),
    /// A question in the session: sent again, it becomes a new packet with the same number.
    Inside(Question, u8),
}

struct Exchange {
    sent: Sent,
    resend: Resend,
}

/// See the module.
pub(crate) struct Session {
    login: Login,
    random: Random,
    phase: Phase,
    channel: Option<Channel>,
    exchange: Option<Exchange>,
    until: Duration,
    logins: u32,
    number: u8,
    /// A question of capability beside the login, and whether the answer named IPMI 2.0.
    probe: Option<(Question, u8)>,
    speaks_plus: Option<bool>,
    /// The refusal that made the login begin again, or a proof that did not fit.
    doubt: Option<Fault>,
    /// An answer came that was ours but for its missing authentication.
    unauthenticated: bool,
    /// Drained by the shell after every call; each call adds two packets at most.
    out: VecDeque<Vec<u8>>,
    event: Option<Event>,
}

impl Session {
    /// A session to come. `seed` must be secret, random, and used for no other session.
    pub(crate) fn new(login: Login, seed: Zeroizing<[u8; 32]>) -> Self {
        Self {
            login,
            random: Random::new(seed),
            phase: Phase::Fresh,
            channel: None,
            exchange: None,
            until: Duration::ZERO,
            logins: 0,
            number: 0,
            probe: None,
            speaks_plus: None,
            doubt: None,
            unauthenticated: false,
            out: VecDeque::new(),
            event: None,
        }
    }

    /// Begins the login; [`Event::Open`] or [`Event::Failed`] follows by `until`.
    pub(crate) fn start(&mut self, now: Duration, until: Duration) {
        self.until = until;
        self.logins += 1;
        match self.login.way {
            Way::Plus(suite) => self.start_plus(suite, now),
            Way::Lan(_) => self.start_lan(now),
        }
    }

    /// Asks a question in the open session; [`Event::Answer`] or [`Event::Failed`] follows by `until`.
    pub(crate) fn ask(&mut self, question: Question, now: Duration, until: Duration) {
        self.until = until;
        if !matches!(self.phase, Phase::Open) {
            self.event = Some(Event::Failed(Fault::NotOpen));
            return;
        }
        self.send_inside(question, now);
    }

    /// Ends the session, in whatever state it is; [`Event::Closed`] follows by `until`.
    pub(crate) fn close(&mut self, now: Duration, until: Duration) {
        self.until = until;
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Opening { .. } | Phase::Fresh | Phase::Asking | Phase::Challenging | Phase::Over => {}
            // Its number and sequence are not known yet; the controller ends it by itself.
            Phase::Activating { .. } => {}
            Phase::Proving(exchange) => self.abandon(&exchange),
            // The controller may have taken our proof already, while its own is still on the way.
            Phase::Proven(exchange, proof) => self.channel = Some(plus::channel(exchange, proof.keys)),
            Phase::Raising | Phase::Open | Phase::Closing => {}
        }
        self.exchange = None;
        self.event = None;
        let Some(channel) = &self.channel else {
            self.event = Some(Event::Closed);
            return;
        };
        let question = Question::app(CLOSE_SESSION, &channel.session().to_le_bytes());
        self.phase = Phase::Closing;
        self.send_inside(question, now);
    }

    /// Whether the controller may hold a session that is worth closing.
    pub(crate) fn needs_close(&self) -> bool {
        match self.phase {
            Phase::Fresh
            | Phase::Opening { .. }
            | Phase::Asking
            | Phase::Challenging
            | Phase::Activating { .. }
            | Phase::Over => false,
            Phase::Proving(_) | Phase::Proven(..) | Phase::Raising | Phase::Open | Phase::Closing => true,
        }
    }

    /// Whether the login is done.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// The next datagram to send.
    pub(crate) fn transmit(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    /// What happened since the last call.
    pub(crate) fn event(&mut self) -> Option<Event> {
        self.event.take()
    }

    /// When [`Session::tick`] is wanted next.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.exchange.as_ref().map(|exchange| exchange.resend.next())
    }

    /// Takes a datagram from the controller's address.
    pub(crate) fn receive(&mut self, datagram: &[u8], now: Duration) {
        match self.phase {
            Phase::Fresh | Phase::Over => {}
            Phase::Opening { .. } | Phase::Proving(_) | Phase::Proven(..) => self.receive_plus(datagram, now),
            Phase::Asking | Phase::Challenging | Phase::Activating { .. } => self.receive_lan(datagram, now),
            Phase::Raising | Phase::Open | Phase::Closing => self.receive_inside(datagram),
        }
    }

    /// Lets time pass.
    pub(crate) fn tick(&mut self, now: Duration) {
        let Some(exchange) = &mut self.exchange else { return };
        match exchange.resend.due(now) {
            Due::Wait => {}
            Due::Over => self.give_up(),
            Due::Again => {
                let packet = match &exchange.sent {
                    Sent::Packet(packet) | Sent::Outside(_, _, packet) => Some(packet.clone()),
                    Sent::Inside(question, number) => {
                        let message = question.message(*number);
                        self.channel.as_mut().map(|channel| channel.pack(&message, &mut self.random))
                    }
                };
                self.out.extend(packet);
                if matches!(self.phase, Phase::Opening { .. }) {
                    self.probe();
                }
            }
        }
    }

    fn give_up(&mut self) {
        self.exchange = None;
        let fault = match self.phase {
            Phase::Closing => {
                self.phase = Phase::Over;
                self.event = Some(Event::Closed);
                return;
            }
            Phase::Opening { .. } => match self.speaks_plus {
                None => Fault::Silent,
                Some(true) => Fault::NoOpening,
                Some(false) => Fault::OnlyLan,
            },
            Phase::Asking => Fault::Silent,
            Phase::Proving(_) | Phase::Proven(..) | Phase::Challenging => Fault::SilentInLogin,
            Phase::Activating { .. } if self.unauthenticated => Fault::Unauthenticated,
            Phase::Activating { .. } => Fault::SilentToPassword,
            Phase::Raising | Phase::Open if self.unauthenticated => Fault::Unauthenticated,
            Phase::Raising | Phase::Open => Fault::Lost,
            Phase::Fresh | Phase::Over => Fault::NotOpen,
        };
        let fault = self.doubt.take().unwrap_or(fault);
        self.event = Some(Event::Failed(fault));
    }

    /// A refusal in the login. The first makes it begin again, see the module's contract.
    fn refused(&mut self, fault: Fault, now: Duration) {
        self.exchange = None;
        self.channel = None;
        self.phase = Phase::Fresh;
        if self.logins < LOGINS_MAX && now < self.until {
            self.doubt = Some(fault);
            self.start(now, self.until);
        } else {
            self.event = Some(Event::Failed(fault));
        }
    }

    /// The channel stands: ask for the privilege that the work needs.
    fn raise(&mut self, channel: Channel, now: Duration) {
        self.channel = Some(channel);
        self.doubt = None;
        self.phase = Phase::Raising;
        self.send_inside(Question::app(SET_PRIVILEGE, &[self.login.privilege.number()]), now);
    }

    fn receive_inside(&mut self, datagram: &[u8]) {
        self.note_unauthenticated(datagram);
        let Some(channel) = &mut self.channel else { return };
        let Some(message) = channel.unpack(datagram) else { return };
        let Some(Exchange { sent: Sent::Inside(question, number), .. }) = &self.exchange else { return };
        match question.fit(*number, &message) {
            None | Some(Fit::PassedOn) => {}
            Some(Fit::Answer(answer)) => {
                self.exchange = None;
                self.answered(answer);
            }
        }
    }

    fn answered(&mut self, answer: Vec<u8>) {
        match (&self.phase, answer.as_slice()) {
            (Phase::Closing, _) => {
                self.phase = Phase::Over;
                self.channel = None;
                self.event = Some(Event::Closed);
            }
            (Phase::Raising, [0, granted, ..]) if *granted & 0x0f >= self.login.privilege.number() => {
                self.phase = Phase::Open;
                self.event = Some(Event::Open);
            }
            (Phase::Raising, [code, ..]) if *code == 0 || PRIVILEGE_REFUSED.contains(code) => {
                let fault = Fault::Role(rakp::shown(&self.login.user), self.login.privilege);
                self.event = Some(Event::Failed(fault));
            }
            (Phase::Raising, [code, ..]) => self.event = Some(Event::Failed(Fault::Status(*code))),
            (_, _) => self.event = Some(Event::Answer(answer)),
        }
    }

    fn send_packet(&mut self, packet: Vec<u8>, now: Duration) {
        self.out.push_back(packet.clone());
        self.exchange = Some(Exchange { sent: Sent::Packet(packet), resend: Resend::new(now, self.until) });
    }

    fn send_inside(&mut self, question: Question, now: Duration) {
        let Some(channel) = &mut self.channel else { return };
        self.number = (self.number + 1) % NUMBERS;
        self.out.push_back(channel.pack(&question.message(self.number), &mut self.random));
        let sent = Sent::Inside(question, self.number);
        self.exchange = Some(Exchange { sent, resend: Resend::new(now, self.until) });
    }
}
