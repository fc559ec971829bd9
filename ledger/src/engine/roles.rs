//! The commands of the node daemon.
//!
//! Each is done, or refused with what stands against it; done again it answers the same. Answers leave
//! at the end of the batch, when the effect is logged and in force.

use std::collections::BTreeSet;

use super::{Answer, Engine};
use crate::clock::boottime_ns;
use crate::control::wire::{Command, Refusal, Role};
use crate::ids::{Epoch, NodeId};
use crate::store::StoreError;
use crate::store::accept::Cause;

impl Engine {
    pub(super) fn command(&mut self, command: Command, answer: Answer) -> Result<(), StoreError> {
        let outcome = match command {
            // The connection's task turns a subscription into an event of its own.
            Command::Status | Command::Subscribe => Ok(()),
            Command::Promote { epoch, deadline_boottime_ns, required } => {
                self.promote(epoch, deadline_boottime_ns, required)?
            }
            Command::Demote => self.demote(),
            Command::Freeze => self.freeze(),
            Command::Thaw => self.thaw(),
            Command::DropPeer { peer } => self.drop_peer(peer)?,
            Command::RequirePeer { peer } => return self.require_peer(peer, answer),
            Command::DiscardLocal => self.discard_local()?,
            Command::Shutdown => self.shutdown(),
        };
        self.answers.push((answer, outcome));
        Ok(())
    }

    fn in_time(deadline_ns: u64, epoch_used: bool) -> Result<(), Refusal> {
        let now_ns = boottime_ns();
        if now_ns <= deadline_ns {
            return Ok(());
        }
        Err(Refusal::DeadlinePassed { deadline_ns, now_ns, epoch_used })
    }

    fn may_promote(
        &self,
        epoch: Epoch,
        deadline_ns: u64,
        required: &BTreeSet<NodeId>,
    ) -> Result<(), Refusal> {
        let meta = self.store.meta();
        if epoch <= meta.max_epoch {
            return Err(Refusal::EpochNotHigher { asked: epoch, max_seen: meta.max_epoch });
        }
        if !meta.complete {
            return Err(Refusal::Incomplete { last_seq: self.store.records.last().seq });
        }
        if let Some(peer) = required.iter().copied().find(|n| !self.peers.contains_key(n)) {
            return Err(Refusal::UnknownPeer { peer });
        }
        Self::in_time(deadline_ns, false)
    }

    /// Makes the epoch durable, cuts the old primary's stream, checks the deadline again, acts.
    fn promote(
        &mut self,
        epoch: Epoch,
        deadline_ns: u64,
        required: Option<BTreeSet<NodeId>>,
    ) -> Result<Result<(), Refusal>, StoreError> {
        if self.role == (Role::Primary { epoch }) && self.superseded_by.is_none() {
            return Ok(Ok(()));
        }
        let required = required.unwrap_or_else(|| self.peers.keys().copied().collect());
        if let Err(refusal) = self.may_promote(epoch, deadline_ns, &required) {
            return Ok(Err(refusal));
        }
        self.store.change_meta(|m| {
            m.max_epoch = epoch;
            m.required = true;
        })?;
        self.changed = true;
        self.cut_upstream();
        if let Err(refusal) = Self::in_time(deadline_ns, true) {
            // As Primary of the former epoch it goes on; the higher one was never active.
            return Ok(Err(refusal));
        }
        if self.role == Role::Secondary {
            self.committed = 0;
        }
        self.role = Role::Primary { epoch };
        self.superseded_by = None;
        self.generation_due = required.len() < self.peers.len();
        self.required = required;
        self.diverged = false;
        self.cause = Some(Cause::Promoted);
        tracing::info!(%epoch, required = ?self.required, "promoted");
        self.attach_all();
        Ok(Ok(()))
    }

    fn demote(&mut self) -> Result<(), Refusal> {
        if let Role::Primary { epoch } = self.role {
            for peer in self.peers.keys().copied().collect::<Vec<_>>() {
                self.cancel_requiring(peer, Refusal::Demoted);
            }
            self.detach_all(epoch);
            self.role = Role::Secondary;
            self.required.clear();
            self.generation_due = false;
            self.superseded_by = None;
            self.refuse_all();
            self.ask_for_streams();
            self.cause = Some(Cause::Demoted);
            self.changed = true;
            tracing::info!(%epoch, "demoted");
        }
        self.frozen = false;
        Ok(())
    }

    fn freeze(&mut self) -> Result<(), Refusal> {
        if !self.frozen {
            self.frozen = true;
            self.cause = Some(Cause::Frozen);
            self.changed = true;
        }
        Ok(())
    }

    fn thaw(&mut self) -> Result<(), Refusal> {
        if self.frozen {
            self.frozen = false;
            self.cause = Some(Cause::Thawed);
            self.changed = true;
        }
        Ok(())
    }

    fn known_peer_as_primary(&self, peer: NodeId) -> Result<(), Refusal> {
        let Some(held) = self.primary_epoch() else { return Err(Refusal::NotPrimary) };
        if !self.peers.contains_key(&peer) {
            return Err(Refusal::UnknownPeer { peer });
        }
        self.superseded_by.map_or(Ok(()), |known| Err(Refusal::Superseded { held, known }))
    }

    /// The new generation is durable before the first acknowledgement without the peer.
    fn drop_peer(&mut self, peer: NodeId) -> Result<Result<(), Refusal>, StoreError> {
        if let Err(refusal) = self.known_peer_as_primary(peer) {
            return Ok(Err(refusal));
        }
        let connected = self.peers.get(&peer).is_some_and(|p| p.link.is_some());
        self.cancel_requiring(peer, Refusal::PeerNotReady { peer, connected, complete: false });
        if self.required.contains(&peer) {
            self.new_generation()?;
            self.required.remove(&peer);
            tracing::info!(%peer, generation = %self.store.meta().generation.current, "peer dropped");
        }
        Ok(Ok(()))
    }

    fn require_peer(&mut self, peer: NodeId, answer: Answer) -> Result<(), StoreError> {
        if let Err(refusal) = self.known_peer_as_primary(peer) {
            self.answers.push((answer, Err(refusal)));
            return Ok(());
        }
        let Some(p) = self.peers.get(&peer) else { return Ok(()) };
        if !p.in_step() {
            let refusal = Refusal::PeerNotReady { peer, connected: p.link.is_some(), complete: false };
            self.answers.push((answer, Err(refusal)));
        } else if self.required.contains(&peer) {
            self.answers.push((answer, Ok(())));
        } else {
            let again = Refusal::BadRequest { why: "replaced by the same request".to_owned() };
            self.cancel_requiring(peer, again);
            self.start_requiring(peer, answer);
        }
        Ok(())
    }

    fn discard_local(&mut self) -> Result<Result<(), Refusal>, StoreError> {
        if let Role::Primary { epoch } = self.role {
            return Ok(Err(Refusal::IsPrimary { epoch }));
        }
        if !self.diverged {
            return Ok(Err(Refusal::NotDiverged));
        }
        // From here on it must not be promoted: it agreed to lose what only it has.
        self.store.change_meta(|m| m.complete = false)?;
        self.discard_allowed = true;
        self.changed = true;
        self.ask_for_streams();
        Ok(Ok(()))
    }

    fn shutdown(&mut self) -> Result<(), Refusal> {
        let _ = self.demote();
        self.cause = Some(Cause::Stopped);
        self.ending = true;
        Ok(())
    }
}
