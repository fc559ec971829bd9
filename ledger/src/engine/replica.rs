//! A replica and the primary that it follows.
//!
//! Contract: records are taken only from the highest epoch known here, which is durable before the
//! stream is. A resync never takes out a record that this server acknowledged as Primary, nor any
//! record of data that the primary does not descend from, unless `discard_local` allowed it.
//!
//! Completeness: a replica that must fetch records which may have been acknowledged without it is
//! marked incomplete before its first record changes, and stays so, over crashes, until it has all. A
//! replica that is *required*, was so when it last was in step, and holds the primary's own generation
//! misses only unacknowledged records (leaving it out would have made a new generation), so it stays
//! complete while it catches up.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{ConnId, Engine};
use crate::control::wire::Role;
use crate::ids::{Epoch, Generation, NodeId};
use crate::record::Point;
use crate::store::StoreError;
use crate::wire::{ToPrimary, ToReplica, encode};

/// A connection that a peer dialled.
pub(super) struct Inbound {
    node: NodeId,
    out: mpsc::Sender<Bytes>,
}

/// The primary that is followed.
pub(super) struct Source {
    conn: ConnId,
    pub(super) node: NodeId,
    pub(super) epoch: Epoch,
    generation: Generation,
    last: Point,
    /// After the resync: records are expected.
    streaming: bool,
    /// Records came in this batch; they are confirmed when durable.
    confirm: bool,
}

impl Engine {
    pub(super) fn inbound_up(&mut self, peer: NodeId, conn: ConnId, out: mpsc::Sender<Bytes>) {
        // A node has one link to us: a newer one means that the older is dead, seen or not.
        let older: Vec<ConnId> =
            self.inbound.iter().filter(|(_, i)| i.node == peer).map(|(c, _)| *c).collect();
        for conn in older {
            self.inbound_down(conn, "replaced by a newer one");
        }
        self.inbound.insert(conn, Inbound { node: peer, out });
        let max_epoch = self.store.meta().max_epoch;
        self.reply(
            conn,
            &ToPrimary::Hello { schema: crate::wire::SCHEMA, node: self.config.node, max_epoch },
        );
    }

    pub(super) fn inbound_down(&mut self, conn: ConnId, why: &str) {
        if let Some(inbound) = self.inbound.remove(&conn) {
            tracing::info!(peer = %inbound.node, why, "link from peer lost");
        }
        if self.upstream.as_ref().is_some_and(|u| u.conn == conn) {
            self.upstream = None;
            self.changed = true;
        }
    }

    /// Queues a frame; a connection whose queue is full is closed.
    fn reply(&mut self, conn: ConnId, message: &ToPrimary) {
        let Some(inbound) = self.inbound.get(&conn) else { return };
        let queued = encode(message).map(|frame| inbound.out.try_send(frame));
        if !matches!(queued, Ok(Ok(()))) {
            self.inbound_down(conn, "does not take frames");
        }
    }

    pub(super) fn inbound_says(&mut self, conn: ConnId, message: ToReplica) -> Result<(), StoreError> {
        if !self.inbound.contains_key(&conn) {
            return Ok(());
        }
        let epoch = match &message {
            ToReplica::Hello { .. } => return Ok(()),
            ToReplica::Ping => {
                self.reply(conn, &ToPrimary::Pong);
                return Ok(());
            }
            ToReplica::Attach { epoch, generation, last } => {
                return self.offered(conn, *epoch, generation.clone(), *last);
            }
            ToReplica::Probe { epoch, .. }
            | ToReplica::Resync { epoch, .. }
            | ToReplica::Records { epoch, .. }
            | ToReplica::InStep { epoch, .. }
            | ToReplica::Detach { epoch } => *epoch,
        };
        let Some(source) = self.upstream.as_ref().filter(|u| u.conn == conn && u.epoch == epoch) else {
            self.refuse_attach(conn, epoch);
            return Ok(());
        };
        let streaming = source.streaming;
        match message {
            ToReplica::Hello { .. } | ToReplica::Ping | ToReplica::Attach { .. } => {}
            ToReplica::Probe { seq, .. } => {
                let point = self.store.records.point(seq);
                self.reply(conn, &ToPrimary::ProbeIs { epoch, seq, point });
            }
            ToReplica::Resync { common, required, .. } => self.resync(common, required)?,
            ToReplica::Records { raw, .. } if streaming => self.take_records(conn, &raw)?,
            ToReplica::InStep { generation, required, .. } if streaming => {
                self.reached(conn, epoch, generation, required)?;
            }
            ToReplica::Detach { .. } => {
                self.upstream = None;
                self.changed = true;
            }
            ToReplica::Records { .. } | ToReplica::InStep { .. } => {
                self.inbound_down(conn, "records before the resync");
            }
        }
        Ok(())
    }

    fn refuse_attach(&mut self, conn: ConnId, epoch: Epoch) {
        let max_epoch = self.store.meta().max_epoch;
        let is_primary = self.role != Role::Secondary;
        self.reply(conn, &ToPrimary::AttachRefused { epoch, max_epoch, is_primary });
    }

    fn offered(
        &mut self,
        conn: ConnId,
        epoch: Epoch,
        generation: Generation,
        last: Point,
    ) -> Result<(), StoreError> {
        let Some(node) = self.inbound.get(&conn).map(|i| i.node) else { return Ok(()) };
        if let Role::Primary { epoch: held } = self.role {
            if epoch > held {
                self.supersede(epoch)?;
            }
            self.refuse_attach(conn, epoch);
            return Ok(());
        }
        let rival = self.upstream.as_ref().is_some_and(|u| u.epoch == epoch && u.node != node);
        if epoch < self.store.meta().max_epoch || rival {
            self.refuse_attach(conn, epoch);
            return Ok(());
        }
        if epoch > self.store.meta().max_epoch {
            self.store.change_meta(|m| m.max_epoch = epoch)?;
        }
        // The same primary offers again on the same link: nothing is cut, it would take that for a refusal.
        if self.upstream.as_ref().is_some_and(|u| u.conn != conn) {
            self.cut_upstream();
        }
        self.changed = true;
        self.upstream =
            Some(Source { conn, node, epoch, generation, last, streaming: false, confirm: false });
        let meta = self.store.meta();
        let (generation, complete) = (meta.generation.clone(), meta.complete);
        let last = self.store.records.last();
        self.reply(conn, &ToPrimary::Attached { epoch, generation, complete, last });
        Ok(())
    }

    /// Takes no more from the primary that was followed, and tells it so.
    pub(super) fn cut_upstream(&mut self) {
        if let Some(old) = self.upstream.take() {
            self.changed = true;
            self.refuse_attach(old.conn, old.epoch);
        }
    }

    fn resync(&mut self, common: u64, required: bool) -> Result<(), StoreError> {
        let Some(source) = self.upstream.as_mut() else { return Ok(()) };
        let (conn, epoch) = (source.conn, source.epoch);
        let meta = self.store.meta();
        let tail = self.store.records.last().seq.saturating_sub(common);
        let descends = source.generation.is_or_descends_from(meta.generation.current);
        let loses_acknowledged = self.store.records.acknowledged_after(common);
        if tail > 0 && (!descends || loses_acknowledged) && !self.discard_allowed {
            tracing::error!(tail, descends, loses_acknowledged, "diverged: the resync would lose records");
            self.diverged = true;
            self.changed = true;
            let generation = meta.generation.clone();
            self.reply(conn, &ToPrimary::Diverged { epoch, tail, generation });
            return Ok(());
        }
        source.streaming = true;
        let same_data = meta.generation.current == source.generation.current;
        let misses_nothing = required && meta.required && same_data;
        let untouched = tail == 0 && source.last.seq == common;
        if meta.complete && !misses_nothing && !untouched {
            self.store.change_meta(|m| m.complete = false)?;
        }
        let discarded = self.store.records.truncate(common)?;
        if discarded > 0 {
            tracing::warn!(discarded, common, %epoch, "rolled back records that the primary does not have");
            self.store.change_meta(|m| m.discarded_total += discarded)?;
        }
        self.diverged = false;
        self.discard_allowed = false;
        self.changed = true;
        self.reply(conn, &ToPrimary::Resyncing { epoch, common });
        Ok(())
    }

    fn take_records(&mut self, conn: ConnId, raw: &[u8]) -> Result<(), StoreError> {
        match self.store.records.append_raw(raw) {
            Ok(()) => {
                if let Some(source) = self.upstream.as_mut() {
                    source.confirm = true;
                }
                Ok(())
            }
            // The peer's fault: end this link, the next one starts with a comparison.
            Err(e @ (StoreError::Gap { .. } | StoreError::NotARecord { .. })) => {
                self.inbound_down(conn, &e.to_string());
                Ok(())
            }
            // This replica cannot follow; it says nothing wrong by being silent about the rest.
            Err(e @ StoreError::Full { .. }) => {
                tracing::error!(%e, "cannot follow the primary");
                self.inbound_down(conn, "volume full");
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    fn reached(
        &mut self,
        conn: ConnId,
        epoch: Epoch,
        generation: Generation,
        required: bool,
    ) -> Result<(), StoreError> {
        // What makes it complete must be as durable as the claim.
        self.store.records.write_out()?;
        self.store.records.sync()?;
        let current = generation.current;
        let meta = self.store.meta();
        if !meta.complete || meta.generation != generation || meta.required != required {
            self.store.change_meta(|m| {
                m.complete = true;
                m.required = required;
                m.generation = generation;
            })?;
        }
        self.changed = true;
        self.reply(conn, &ToPrimary::InStep { epoch, generation: current });
        Ok(())
    }

    /// Confirms the records of this batch, now that they are durable.
    pub(super) fn confirm_upstream(&mut self) {
        let seq = self.store.records.last().seq;
        if let Some(source) = self.upstream.as_mut()
            && std::mem::take(&mut source.confirm)
        {
            let (conn, epoch) = (source.conn, source.epoch);
            self.reply(conn, &ToPrimary::Ack { epoch, seq });
        }
    }

    /// Asks every peer that may be Primary to offer its stream again.
    pub(super) fn ask_for_streams(&mut self) {
        for conn in self.inbound.keys().copied().collect::<Vec<_>>() {
            self.reply(conn, &ToPrimary::AttachAgain);
        }
    }
}
