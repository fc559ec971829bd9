//! What the kernel's handlers are told, and when.

use super::{Driver, Held};
use crate::volume::drbd::book::named;
use crate::volume::drbd::door::Asked;
use crate::volume::drbd::handler::{FENCED, OUTDATED, Question, STAY, SUPERSEDED};
use picket_core::ids::NodeId;
use picket_core::node::{CommandOutcome, Role};

impl Driver {
    pub(super) async fn asked(&mut self, asked: Asked) {
        let Asked { question, peer, answer } = asked;
        let active = self.view.role() == Role::Primary || self.book.promoting.is_some();
        let code = match question {
            Question::FencePeer => match named(&self.about, peer.as_deref()) {
                Some(_) if active && self.book.is_superseded(&self.about) => SUPERSEDED,
                Some(peer) if active && self.book.required.contains(peer) => {
                    self.held.push(Held { peer, lost: false, answer });
                    self.hold_promotion().await;
                    return;
                }
                Some(peer) if active => self.removed(peer),
                // About to be promoted by hand, or about nobody that we know: no result.
                Some(_) | None => STAY,
            },
            Question::BeforeResyncTarget => u8::from(active),
            Question::UnfencePeer | Question::AfterResyncTarget => 0,
        };
        // A handler that is gone has given up already.
        let _ = answer.send(code);
    }

    /// A promotion waits for the removal of a required peer: it counts as done, with that peer lost.
    async fn hold_promotion(&mut self) {
        let Some(promoting) = self.book.promoting.as_mut() else { return };
        promoting.held = self.view.role() != Role::Primary;
        if promoting.held
            && let Some(command) = self.promote.take()
        {
            self.tell().await;
            self.teller.done(command, CommandOutcome::Done).await;
        }
    }

    /// The removal of this peer is recorded. To the kernel both words mean the same, its log has the difference.
    fn removed(&self, peer: NodeId) -> u8 {
        if self.about.fenced.borrow().contains(peer) { FENCED } else { OUTDATED }
    }

    /// Handlers whose peer is not required any more let the kernel go on; those whose peer is back have no result. Where
    /// another node holds the volume by now, this replica is not to be taken for complete again.
    pub(super) fn release_handlers(&mut self) {
        let held = core::mem::take(&mut self.held);
        for Held { peer, lost, answer } in held {
            let there = self.book.node_is_connected(&self.about, &self.view, peer) && !self.view.suspended();
            if answer.is_closed() {
                continue;
            }
            if self.book.is_superseded(&self.about) {
                let _ = answer.send(SUPERSEDED);
            } else if !self.book.required.contains(peer) {
                let _ = answer.send(self.removed(peer));
            } else if there && lost {
                let _ = answer.send(STAY);
            } else {
                self.held.push(Held { peer, lost: lost || !there, answer });
            }
        }
    }
}
