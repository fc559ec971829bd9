//! The login of IPMI 1.5, step by step (section 6.12): capabilities, challenge, activation. Here are
//! also the questions of capability that a 2.0 login asks when nobody answers it.

use super::channel::{Channel, Protection};
use super::fault::Fault;
use super::login::Way;
use super::message::{Fit, NUMBERS, Question};
use super::rakp::shown;
use super::resend::Resend;
use super::wire::{self, LanAuth, LanPacket};
use super::{Exchange, Phase, Sent, Session};
use core::time::Duration;
use ipmi_rs::app::auth::{
    ActivateSession, AuthType, ChannelAuthenticationCapabilities, GetChannelAuthenticationCapabilities,
    GetSessionChallenge, PrivilegeLevel,
};
use ipmi_rs::connection::{Channel as IpmiChannel, IpmiCommand, Message};

/// Refusals of Get Session Challenge: no such user, no nameless user.
const NO_USER: [u8; 2] = [0x81, 0x82];

/// Refusals of Activate Session: no slot, none for this user, none at this privilege.
const NO_SLOT: [u8; 3] = [0x81, 0x82, 0x83];

/// Refusal of Activate Session: more privilege than the user or the channel has.
const TOO_HIGH: u8 = 0x86;

/// Refusal of Get Session Challenge: this authentication type is not there.
const INVALID_FIELD: u8 = 0xcc;

impl Session {
    pub(super) fn start_lan(&mut self, now: Duration) {
        self.phase = Phase::Asking;
        let question = capabilities(self.privilege());
        self.send_outside(question, LanAuth::None, 0, now);
    }

    /// Asks beside the login whether there is a controller at all, and which protocol it speaks.
    pub(super) fn probe(&mut self) {
        let question = capabilities(self.privilege());
        self.number = (self.number + 1) % NUMBERS;
        let message = question.message(self.number);
        self.out.push_back(wire::lan(LanAuth::None, &[0; 16], 0, 0, &message));
        self.probe = Some((question, self.number));
    }

    pub(super) fn receive_probe(&mut self, datagram: &[u8]) {
        let Some((question, number)) = &self.probe else { return };
        let Some(packet) = LanPacket::parse(datagram) else { return };
        if packet.session != 0 || packet.auth != LanAuth::None.number() {
            return;
        }
        if let Some(Fit::Answer(answer)) = question.fit(*number, packet.payload)
            && let Some(found) = read_capabilities(&answer)
        {
            self.speaks_plus = Some(found.ipmi2_connections_supported);
        }
    }

    pub(super) fn receive_lan(&mut self, datagram: &[u8], now: Duration) {
        let Way::Lan(auth) = self.login.way else { return };
        let Some(packet) = LanPacket::parse(datagram) else { return };
        let payload = match self.phase {
            Phase::Activating { temporary } if packet.session == temporary || packet.session == 0 => {
                self.unauthenticated |= packet.auth != auth.number();
                packet.open(auth, &self.login.password16())
            }
            Phase::Asking | Phase::Challenging if packet.session == 0 && packet.auth == 0 => {
                Some(packet.payload)
            }
            _ => None,
        };
        let Some(payload) = payload else { return };
        let Some(Exchange { sent: Sent::Outside(question, number, _), .. }) = &self.exchange else { return };
        let Some(Fit::Answer(answer)) = question.fit(*number, payload) else { return };
        let done = match self.phase {
            Phase::Asking => self.asked(auth, &answer, now),
            Phase::Challenging => self.challenged(auth, &answer, now),
            Phase::Activating { .. } => self.activated(auth, &answer, now),
            _ => Ok(()),
        };
        if let Err(fault) = done {
            self.refused(fault, now);
        }
    }

    fn asked(&mut self, auth: LanAuth, answer: &[u8], now: Duration) -> Result<(), Fault> {
        if let Some(code) = answer.first().filter(|code| **code != 0) {
            return Err(Fault::Status(*code));
        }
        // A success that is too short says nothing; the question is asked again.
        let Some(found) = read_capabilities(answer) else { return Ok(()) };
        // Only a controller of version 2.0 says which versions it speaks; others speak 1.5.
        if found.ipmi2_connections_supported && !found.ipmi15_connections_supported {
            return Err(Fault::OnlyPlus);
        }
        let offered = match auth {
            LanAuth::None => found.none,
            LanAuth::Md5 => found.md5,
            LanAuth::Password => found.key,
        };
        if !offered {
            return Err(Fault::NoAuth(word(auth)));
        }
        let mut data = vec![auth.number()];
        data.extend_from_slice(&self.login.user);
        data.resize(17, 0);
        self.phase = Phase::Challenging;
        self.send_outside(Question::app(0x39, &data), LanAuth::None, 0, now);
        Ok(())
    }

    fn challenged(&mut self, auth: LanAuth, answer: &[u8], now: Duration) -> Result<(), Fault> {
        let data = match answer {
            [0, data @ ..] => data,
            [code, ..] if NO_USER.contains(code) => return Err(Fault::User(shown(&self.login.user))),
            [INVALID_FIELD, ..] => return Err(Fault::NoAuth(word(auth))),
            [code, ..] => return Err(Fault::Status(*code)),
            [] => return Ok(()),
        };
        let Ok(challenge) = GetSessionChallenge::parse_success_response(data) else { return Ok(()) };
        let request = ActivateSession {
            auth_type: auth_type(auth),
            maximum_privilege_level: self.privilege(),
            challenge_string: challenge.challenge_string,
            initial_sequence_number: self.random.number(),
        };
        let temporary = challenge.temporary_session_id.get();
        self.phase = Phase::Activating { temporary };
        self.send_outside(question(request.into()), auth, temporary, now);
        Ok(())
    }

    fn activated(&mut self, auth: LanAuth, answer: &[u8], now: Duration) -> Result<(), Fault> {
        let data = match answer {
            [0, data @ ..] => data,
            [code, ..] if NO_SLOT.contains(code) => return Err(Fault::Full),
            [TOO_HIGH, ..] => {
                return Err(Fault::Role(shown(&self.login.user), self.login.privilege));
            }
            [code, ..] => return Err(Fault::Status(*code)),
            [] => return Ok(()),
        };
        let Ok(begun) = ActivateSession::parse_success_response(data) else { return Ok(()) };
        let session = begun.session_id.get();
        let protection = Protection::Lan { auth, password: self.login.password16(), session };
        self.unauthenticated = false;
        self.raise(Channel::new(protection, begun.initial_sequence_number), now);
        Ok(())
    }

    /// Remembers an answer that would be ours if it were authenticated, for the fault's sake only.
    pub(super) fn note_unauthenticated(&mut self, datagram: &[u8]) {
        let Way::Lan(auth) = self.login.way else { return };
        let Some(packet) = LanPacket::parse(datagram) else { return };
        let ours = self.channel.as_ref().is_some_and(|channel| channel.session() == packet.session);
        self.unauthenticated |= ours && packet.auth != auth.number();
    }

    fn privilege(&self) -> PrivilegeLevel {
        PrivilegeLevel::try_from(self.login.privilege.number()).unwrap_or(PrivilegeLevel::Administrator)
    }

    fn send_outside(&mut self, question: Question, auth: LanAuth, session: u32, now: Duration) {
        self.number = (self.number + 1) % NUMBERS;
        let message = question.message(self.number);
        let packet = wire::lan(auth, &self.login.password16(), session, 0, &message);
        self.out.push_back(packet.clone());
        let sent = Sent::Outside(question, self.number, packet);
        self.exchange = Some(Exchange { sent, resend: Resend::new(now, self.until) });
    }
}

fn capabilities(privilege: PrivilegeLevel) -> Question {
    question(GetChannelAuthenticationCapabilities::new(IpmiChannel::Current, privilege).into())
}

fn read_capabilities(answer: &[u8]) -> Option<ChannelAuthenticationCapabilities> {
    let [0, data @ ..] = answer else { return None };
    GetChannelAuthenticationCapabilities::parse_success_response(data).ok()
}

fn question(message: Message) -> Question {
    Question {
        netfn: message.netfn_raw(),
        lun: 0,
        cmd: message.cmd(),
        data: message.data().to_vec(),
        behind: None,
    }
}

const fn auth_type(auth: LanAuth) -> AuthType {
    match auth {
        LanAuth::None => AuthType::None,
        LanAuth::Md5 => AuthType::MD5,
        LanAuth::Password => AuthType::Key,
    }
}

const fn word(auth: LanAuth) -> &'static str {
    match auth {
        LanAuth::None => "none",
        LanAuth::Md5 => "md5",
        LanAuth::Password => "password",
    }
}
