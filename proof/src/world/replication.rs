//! The messages between replicas, and the commands of the daemon's volume driver.

use super::replica::{Follows, ReplMsg, Replica, Sends, Source};
use picket_core::evidence::Generation;
use picket_core::ids::{Epoch, NodeId, NodeSet};

impl Replica {
    /// A message came.
    pub fn take(&mut self, from: NodeId, message: ReplMsg) -> Sends {
        match message {
            ReplMsg::Attach { epoch, generation, len } => self.offered(from, epoch, generation, len),
            ReplMsg::AttachAgain => self.attach(from),
            ReplMsg::Resync { epoch, common, required } => {
                self.as_follower(from, epoch, |me| me.resync(from, common, required))
            }
            ReplMsg::Records { epoch, from: start, ids } => {
                self.as_follower(from, epoch, |me| me.records(from, epoch, start, &ids))
            }
            ReplMsg::InStep { epoch, generation } => self.as_follower(from, epoch, |me| {
                let current = generation.current;
                me.complete = true;
                me.generation = generation;
                vec![(from, ReplMsg::Reached { epoch, generation: current })]
            }),
            ReplMsg::Detach { epoch } => self.as_follower(from, epoch, |me| {
                me.upstream = None;
                Vec::new()
            }),
            ReplMsg::Refused { epoch, max_epoch } => self.refused(from, epoch, max_epoch),
            ReplMsg::Attached { epoch, log } => self.as_primary(epoch, |me| me.attached(from, &log)),
            ReplMsg::Resyncing { epoch, common } => self.as_primary(epoch, |me| me.resyncing(from, common)),
            ReplMsg::Diverged { epoch } => self.as_primary(epoch, |me| {
                me.leave(from, Follows::Diverged);
                Vec::new()
            }),
            ReplMsg::Ack { epoch, len } => self.as_primary(epoch, |me| {
                let longest = me.log.len();
                if let Some(peer) = me.peers.get_mut(&from).filter(|p| p.follows == Follows::Streaming) {
                    peer.acked = peer.acked.max(len.min(longest));
                }
                Vec::new()
            }),
            ReplMsg::Reached { epoch, generation } => self.as_primary(epoch, |me| {
                if let Some(peer) = me.peers.get_mut(&from)
                    && peer.follows == Follows::Streaming
                    && peer.told == Some(generation)
                {
                    peer.reached = Some(generation);
                }
                Vec::new()
            }),
        }
    }

    fn as_primary(&mut self, epoch: Epoch, act: impl FnOnce(&mut Self) -> Sends) -> Sends {
        if self.primary == Some(epoch) { act(self) } else { Vec::new() }
    }

    fn as_follower(&mut self, from: NodeId, epoch: Epoch, act: impl FnOnce(&mut Self) -> Sends) -> Sends {
        if self.follows() == Some((from, epoch)) { act(self) } else { self.refuse(from, epoch) }
    }

    fn refuse(&self, to: NodeId, epoch: Epoch) -> Sends {
        vec![(to, ReplMsg::Refused { epoch, max_epoch: self.max_epoch })]
    }

    /// A higher epoch than that of the promotion here exists: writes end.
    fn learn(&mut self, epoch: Epoch) {
        if self.primary.is_some_and(|held| epoch > held) {
            self.superseded = true;
            self.max_epoch = self.max_epoch.max(epoch);
        }
    }

    fn offered(&mut self, from: NodeId, epoch: Epoch, generation: Generation, len: usize) -> Sends {
        if self.primary.is_some() {
            self.learn(epoch);
            return self.refuse(from, epoch);
        }
        let rival = self.upstream.as_ref().is_some_and(|up| up.epoch == epoch && up.node != from);
        if epoch < self.max_epoch || rival {
            return self.refuse(from, epoch);
        }
        self.max_epoch = epoch;
        // The same primary may offer again: to be told of a refusal, it would take that for the new offer's answer.
        let again = self.upstream.as_ref().is_some_and(|up| (up.node, up.epoch) == (from, epoch));
        let mut sends = if again { Sends::new() } else { self.cut_upstream() };
        self.upstream = Some(Source { node: from, epoch, generation, len, streaming: false });
        sends.push((from, ReplMsg::Attached { epoch, log: self.log.clone() }));
        sends
    }

    fn cut_upstream(&mut self) -> Sends {
        match self.upstream.take() {
            Some(old) => self.refuse(old.node, old.epoch),
            None => Vec::new(),
        }
    }

    fn refused(&mut self, from: NodeId, epoch: Epoch, max_epoch: Epoch) -> Sends {
        self.learn(max_epoch);
        if self.primary == Some(epoch) {
            self.leave(from, Follows::Refused);
        }
        Vec::new()
    }

    fn leave(&mut self, node: NodeId, follows: Follows) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.reset(follows);
        }
    }

    fn attached(&mut self, from: NodeId, theirs: &[u64]) -> Sends {
        let common = self.log.iter().zip(theirs).take_while(|(a, b)| a == b).count();
        let (Some(epoch), required) = (self.primary, self.required.contains(from)) else { return Vec::new() };
        let Some(peer) = self.peers.get_mut(&from).filter(|p| p.follows == Follows::Attaching) else {
            return Vec::new();
        };
        peer.follows = Follows::Resyncing;
        vec![(from, ReplMsg::Resync { epoch, common, required })]
    }

    fn resync(&mut self, from: NodeId, common: usize, required: bool) -> Sends {
        let Some(source) = self.upstream.as_mut() else { return Vec::new() };
        let epoch = source.epoch;
        let tail = self.log.len() - common.min(self.log.len());
        let descends = source.generation.descends_from(self.generation.current);
        if tail > 0 && (!descends || self.acknowledged > common) {
            self.diverged = true;
            return vec![(from, ReplMsg::Diverged { epoch })];
        }
        source.streaming = true;
        let misses_nothing = required && self.generation.current == source.generation.current;
        let untouched = tail == 0 && source.len == common;
        if !misses_nothing && !untouched {
            self.complete = false;
        }
        self.log.truncate(common);
        self.diverged = false;
        vec![(from, ReplMsg::Resyncing { epoch, common })]
    }

    fn resyncing(&mut self, from: NodeId, common: usize) -> Sends {
        let Some(epoch) = self.primary else { return Vec::new() };
        let Some(peer) = self.peers.get_mut(&from).filter(|p| p.follows == Follows::Resyncing) else {
            return Vec::new();
        };
        peer.follows = Follows::Streaming;
        peer.acked = common;
        let ids = self.log.get(common..).unwrap_or_default().to_vec();
        let mut sends = Vec::new();
        if !ids.is_empty() {
            sends.push((from, ReplMsg::Records { epoch, from: common, ids }));
        }
        sends.extend(self.tell_generation());
        sends
    }

    fn records(&mut self, from: NodeId, epoch: Epoch, start: usize, ids: &[u64]) -> Sends {
        let streaming = self.upstream.as_ref().is_some_and(|up| up.streaming);
        if !streaming || start != self.log.len() {
            return Vec::new();
        }
        self.log.extend_from_slice(ids);
        vec![(from, ReplMsg::Ack { epoch, len: self.log.len() })]
    }

    /// Promotes, if nothing stands against it.
    ///
    /// # Errors
    /// What stands against it.
    pub fn promote(&mut self, epoch: Epoch, required: NodeSet) -> Result<Sends, String> {
        if self.primary == Some(epoch) && !self.superseded {
            return Ok(Vec::new());
        }
        if epoch <= self.max_epoch {
            return Err(format!("epoch {epoch} is not above {}", self.max_epoch));
        }
        if !self.complete {
            return Err("incomplete".into());
        }
        self.max_epoch = epoch;
        let mut sends = self.cut_upstream();
        self.primary = Some(epoch);
        self.superseded = false;
        self.required = required;
        self.generation_due = required.len() < u32::try_from(self.peers.len()).unwrap_or(u32::MAX);
        self.diverged = false;
        sends.extend(self.attach_all());
        Ok(sends)
    }

    /// Demotes.
    pub fn demote(&mut self) -> Sends {
        self.frozen = false;
        let Some(epoch) = self.primary.take() else { return Vec::new() };
        self.required = NodeSet::EMPTY;
        self.generation_due = false;
        self.superseded = false;
        let mut sends = Vec::new();
        for (node, peer) in &mut self.peers {
            peer.reset(Follows::Idle);
            if peer.connected {
                sends.push((*node, ReplMsg::Detach { epoch }));
                sends.push((*node, ReplMsg::AttachAgain));
            }
        }
        sends
    }

    /// Freezes or thaws.
    pub const fn set_frozen(&mut self, frozen: bool) {
        self.frozen = frozen;
    }

    /// Takes a peer out of those that writes wait for; the data is another one from then on.
    ///
    /// # Errors
    /// It is not Primary, or superseded.
    pub fn drop_peer(&mut self, node: NodeId) -> Result<Sends, String> {
        if self.primary.is_none() || self.superseded {
            return Err("not Primary, or superseded".into());
        }
        if self.required.contains(node) {
            self.new_generation();
            self.required = self.required.without(node);
        }
        Ok(self.tell_generation())
    }

    /// Makes writes wait for a peer that has everything. None: it has not yet.
    ///
    /// # Errors
    /// It is not Primary or superseded, or the peer is not in step.
    pub fn require_peer(&mut self, node: NodeId) -> Result<Option<()>, String> {
        if self.primary.is_none() || self.superseded {
            return Err("not Primary, or superseded".into());
        }
        let (current, len) = (self.generation.current, self.log.len());
        let Some(peer) = self.peers.get(&node).filter(|peer| peer.in_step()) else {
            return Err("the peer is not in step".into());
        };
        if self.required.contains(node) {
            return Ok(Some(()));
        }
        if peer.acked < len || peer.reached != Some(current) {
            return Ok(None);
        }
        self.required = self.required.with(node);
        Ok(Some(()))
    }
}
