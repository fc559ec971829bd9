//! What is done about each order.

use super::{Driver, Dropping};
use crate::volume::Order;
use crate::volume::drbd::book::{Freeze, Promoting};
use crate::volume::drbd::jobs::{self, Way};
use futures_util::stream::FuturesUnordered;
use picket_core::ids::NodeId;
use picket_core::node::{CommandId, CommandOutcome, VolumeAction};
use picket_core::time::Instant;

impl Driver {
    pub(super) async fn order(&mut self, order: Order) {
        let Order { command, action } = order;
        let tool = self.tool.clone();
        match action {
            VolumeAction::Promote(promotion) => {
                self.book.required = promotion.required().intersection(self.about.members);
                self.book.epoch = Some(promotion.epoch());
                self.book.freeze = Freeze::No;
                self.book.promoting = Some(Promoting { command, held: false });
                self.promote = Some(command);
                // Whom writes need not reach is cut off first: nothing waits for DRBD to notice that it is dead.
                let cut = self.book.required.is_empty()
                    && self.view.peers.values().any(|peer| peer.connection != "StandAlone");
                self.cut |= cut;
                self.jobs.push(jobs::promote(tool, command, promotion, cut));
            }
            VolumeAction::Demote { deadline } => {
                let overtakes = self.book.promoting.is_some();
                self.supersede();
                self.jobs.push(jobs::demote(tool, command, deadline, overtakes));
            }
            VolumeAction::Freeze => {
                self.supersede();
                let by_cut = !self.book.required.is_empty();
                self.book.freeze = if by_cut { Freeze::ByCut } else { Freeze::ByUser };
                self.cut |= by_cut;
                self.jobs.push(jobs::freeze(tool, command, by_cut));
            }
            VolumeAction::Thaw { valid_until } => self.thaw(command, valid_until).await,
            VolumeAction::DropPeer { peer } => self.drop_peer(command, peer),
            VolumeAction::RequirePeer { peer } => self.require_peer(command, peer).await,
        }
    }

    /// What is overtaken by a freeze or a demote must not go on beside it: dropping its program kills it, but for one that
    /// starts DRBD's threads ([`Tool::start`](super::Tool::start)); its goal is not waited for, and a handler that a
    /// promotion waits for is told that there is no result.
    fn supersede(&mut self) {
        self.jobs = FuturesUnordered::new();
        self.waiting.clear();
        self.dropping = None;
        self.tidying.abort_all();
        self.promote = None;
        if self.book.promoting.take().is_some() {
            self.held.clear();
        }
    }

    async fn thaw(&mut self, command: CommandId, valid_until: Instant) {
        let by_cut = match (self.book.freeze, self.book.required.is_empty()) {
            (Freeze::No, _) => {
                self.teller.done(command, CommandOutcome::Done).await;
                return;
            }
            (Freeze::ByCut, _) => true,
            (Freeze::ByUser, true) => false,
            (Freeze::ByUser, false) => {
                let text = "I/O was suspended by hand while peers are required: resume-io would override the barrier";
                self.teller.done(command, CommandOutcome::Failed(text.to_owned())).await;
                return;
            }
        };
        self.jobs.push(jobs::thaw(self.tool.clone(), command, by_cut, valid_until));
    }

    fn drop_peer(&mut self, command: CommandId, peer: NodeId) {
        let there = self.book.node_is_connected(&self.about, &self.view, peer);
        let handled = self.held.iter().any(|held| held.peer == peer);
        let last = self.book.required.without(peer).is_empty();
        let is_fenced = self.view.suspended_by_fencing() && !self.view.suspended_by_user();
        let way = match self.book.freeze {
            Freeze::ByCut if last => Way::FreezeFirst,
            Freeze::No if last && is_fenced => Way::Resume,
            Freeze::No | Freeze::ByCut | Freeze::ByUser if handled => Way::Answer,
            Freeze::No if last && there => Way::Cut,
            Freeze::No | Freeze::ByCut | Freeze::ByUser => Way::Answer,
        };
        self.cut |= way == Way::Cut;
        self.dropping = Some(Dropping { command, peer, way });
        if way == Way::Answer {
            self.book.required = self.book.required.without(peer);
        }
        self.jobs.push(jobs::drop_peer(self.tool.clone(), command, way));
    }

    async fn require_peer(&mut self, command: CommandId, peer: NodeId) {
        let ready = self.last.as_ref().is_some_and(|last| last.complete_peers.contains(peer));
        let outcome = if ready && self.book.freeze == Freeze::No {
            // DRBD waits for each peer that it is connected to, and suspends when that is lost: in force already.
            self.book.required = self.book.required.with(peer);
            CommandOutcome::Done
        } else {
            CommandOutcome::Failed(
                "the peer is not connected and up to date, or the volume is frozen".to_owned(),
            )
        };
        self.tell().await;
        self.teller.done(command, outcome).await;
    }
}
