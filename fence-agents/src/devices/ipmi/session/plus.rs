//! The login of IPMI 2.0, step by step. The messages are in [`super::rakp`].

use super::channel::{Channel, Protection};
use super::crypto::{Keys, Suite};
use super::fault::Fault;
use super::login::Way;
use super::rakp::{self, read_open_response};
use super::resend::Resend;
use super::wire::{self, Payload, PlusPacket};
use super::{Event, Exchange, Phase, SECOND_PROOF_WITHIN, Sent, Session};
use core::time::Duration;

/// The first number of a packet in a session.
const SEQUENCE_FIRST: u32 = 1;

impl Session {
    pub(super) fn start_plus(&mut self, suite: Suite, now: Duration) {
        let [tag] = self.random.bytes();
        let console = self.random.number();
        self.phase = Phase::Opening { tag, console };
        let packet = wire::bare(Payload::OpenRequest, &rakp::open_request(tag, console, suite));
        self.send_packet(packet, now);
    }

    pub(super) fn receive_plus(&mut self, datagram: &[u8], now: Duration) {
        if matches!(self.phase, Phase::Opening { .. }) {
            self.receive_probe(datagram);
        }
        let Way::Plus(suite) = self.login.way else { return };
        let Some(packet) = PlusPacket::parse(datagram) else { return };
        let Some(payload) = packet.bare() else { return };
        match (std::mem::replace(&mut self.phase, Phase::Over), packet.kind) {
            (Phase::Opening { tag, console }, Payload::OpenResponse) => {
                match read_open_response(payload, tag, console, suite, &self.login) {
                    None => self.phase = Phase::Opening { tag, console },
                    Some(Ok(managed)) => self.prove(suite, console, managed, now),
                    Some(Err(fault)) => self.refused(fault, now),
                }
            }
            (Phase::Proving(exchange), Payload::Rakp2) => match exchange.read_rakp2(payload, &self.login) {
                None => self.phase = Phase::Proving(exchange),
                Some(Ok(proof)) => {
                    let packet = wire::bare(Payload::Rakp3, &proof.rakp3);
                    self.phase = Phase::Proven(exchange, proof);
                    self.send_packet(packet, now);
                }
                Some(Err(fault)) => {
                    if matches!(fault, Fault::Password(_)) {
                        self.abandon(&exchange);
                    }
                    self.refused(fault, now);
                }
            },
            (Phase::Proven(exchange, proof), Payload::Rakp4) => {
                match exchange.read_rakp4(payload, &proof, &self.login) {
                    None => self.phase = Phase::Proven(exchange, proof),
                    Some(Ok(())) => self.raise(channel(exchange, proof.keys), now),
                    Some(Err(fault @ Fault::Kg(_))) => self.doubt_key(exchange, proof, fault, now),
                    Some(Err(fault)) => self.refused(fault, now),
                }
            }
            (phase, _) => self.phase = phase,
        }
    }

    fn prove(&mut self, suite: Suite, console: u32, managed: u32, now: Duration) {
        let [tag] = self.random.bytes();
        let exchange = rakp::Exchange { suite, console, managed, tag, ours: self.random.bytes() };
        let packet = wire::bare(Payload::Rakp1, &exchange.rakp1(&self.login));
        self.phase = Phase::Proving(exchange);
        self.send_packet(packet, now);
    }

    /// The session key that the controller proved is not ours: its K_G is another one, or the packet
    /// is not its own. It has let us in already, so beginning anew would cost it a second session;
    /// it is asked for its proof once more, and not for long.
    fn doubt_key(&mut self, exchange: rakp::Exchange, proof: rakp::Proof, fault: Fault, now: Duration) {
        if self.doubt.as_ref() == Some(&fault) {
            // Without the key the session cannot be closed either; the controller ends it by itself.
            self.exchange = None;
            self.event = Some(Event::Failed(fault));
            return;
        }
        let packet = wire::bare(Payload::Rakp3, &proof.rakp3);
        self.phase = Phase::Proven(exchange, proof);
        self.doubt = Some(fault);
        let until = self.until.min(now + SECOND_PROOF_WITHIN);
        self.out.push_back(packet.clone());
        self.exchange = Some(Exchange { sent: Sent::Packet(packet), resend: Resend::new(now, until) });
    }

    /// Tells the controller to forget a login that it has begun.
    pub(super) fn abandon(&mut self, exchange: &rakp::Exchange) {
        self.out.push_back(wire::bare(Payload::Rakp3, &exchange.abandon()));
    }
}

/// The channel that a finished exchange leads to.
pub(super) fn channel(exchange: rakp::Exchange, keys: Keys) -> Channel {
    let protection = Protection::Plus { keys, console: exchange.console, managed: exchange.managed };
    Channel::new(protection, SEQUENCE_FIRST)
}
