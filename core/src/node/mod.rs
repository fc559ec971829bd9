//! The node machine: what one node does about its volumes.
//!
//! [`Node::step`] takes the time and one input. Before anything else it looks at the leases ([`lease`]), then it
//! takes the input, then it settles: compares what should be with what is, and does what is missing. Settling
//! depends on the state alone, so a message that was lost or a command that failed is simply seen to be missing.
//!
//! The rules, one file each: [`startup`] what a restart finds · [`link`] the session with the witness · [`lease`]
//! stepping down · [`watchdog_gate`] petting · [`arbitration`] asking for a grant and using it · [`insync`] the
//! in-sync set · [`failsafe`] going on without a witness · [`fencing`] fences under a permit · [`handover`] moving
//! and stopping · [`standby`] taking nothing more · [`operator`] what people ask · [`status`] what they see.
//!
//! [`lease`]: self
//! [`startup`]: self
//! [`link`]: self
//! [`watchdog_gate`]: self
//! [`arbitration`]: self
//! [`insync`]: self
//! [`failsafe`]: self
//! [`fencing`]: self
//! [`handover`]: self
//! [`standby`]: self
//! [`operator`]: self
//! [`status`]: self

mod arbitration;
mod config;
mod effect;
mod event;
mod failsafe;
mod fencing;
mod handover;
mod insync;
mod lease;
mod link;
mod operator;
mod peers;
mod record;
mod standby;
mod startup;
mod state;
mod status;
mod volume;
mod watchdog_gate;

#[cfg(test)]
mod tests;

pub use arbitration::WhyNot;
pub use config::*;
pub use effect::*;
pub use event::*;
pub use operator::ANSWER_WITHIN;
pub use record::*;
pub use startup::Orphan;
pub use state::{Held, Node, Phase, Stopping};
pub use status::*;

use crate::time::Instant;
use state::Out;

impl Node {
    /// Takes one input.
    ///
    /// `now` is this machine's boot-time clock, read after the input arrived.
    pub fn step(&mut self, now: Instant, input: Input) -> NodeReady {
        let mut out = Out::default();
        if self.resetting {
            return out.into_ready(self);
        }
        self.notice_sleep(now);
        self.enforce_leases(now, &mut out);
        if !self.resetting {
            self.take(now, input, &mut out);
            self.settle(now, &mut out);
            self.settle_seen(&mut out);
        }
        out.into_ready(self)
    }

    fn take(&mut self, now: Instant, input: Input, out: &mut Out) {
        match input {
            Input::Tick => {}
            Input::Beat { path, beat } => self.take_beat(now, path, &beat, out),
            Input::Witness(message) => self.take_witness(now, message, out),
            Input::WitnessGone => self.witness_gone(),
            Input::Peer { from, message } => self.take_peer(now, from, message, out),
            Input::Volume { volume, report } => self.take_report(now, volume, report, out),
            Input::VolumeDone { volume, command, outcome } => {
                self.take_done(now, volume, command, outcome, out)
            }
            Input::DeviceDone { order, verdict } => self.take_verdict(now, order, verdict, out),
            Input::RemoteVote(vote) => self.remote_vote = Some(vote),
            Input::Operator { ticket, request } => self.take_operator(now, ticket, request, out),
        }
    }

    fn settle(&mut self, now: Instant, out: &mut Out) {
        self.settle_peers(now, out);
        self.settle_link(now, out);
        self.settle_stop(now, out);
        self.settle_standby(now, out);
        let volumes: alloc::vec::Vec<_> = self.volumes.keys().copied().collect();
        for volume in volumes {
            self.settle_volume(now, volume, out);
        }
        self.settle_fences(now, out);
        self.settle_operators(now, out);
        self.settle_promises(now, out);
        self.enforce_leases(now, out);
    }
}
