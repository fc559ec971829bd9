//! Writes and reads of clients: taken, held, acknowledged, refused.
//!
//! A write is appended only while the server is Writable; otherwise it waits in a bounded queue. It is
//! acknowledged when it is durable here and at every required peer, and the server is still Writable at
//! that moment.

use bytes::Bytes;

use super::{ConnId, Engine};
use crate::clock::boottime_ns;
use crate::control::wire::{Activity, Role};
use crate::ids::{ClientId, Epoch};
use crate::net::client_port::ClientOut;
use crate::record::{PAYLOAD_MAX, Record};
use crate::store::StoreError;
use crate::store::accept::AcceptEntry;
use crate::wire::{ClientRefusal, FromClient, SCHEMA, ToClient};

/// Requests that may wait for a thaw or a lost peer. A client has few outstanding; this serves many.
const WAITING_MAX: usize = 4096;
/// Records appended and not yet acknowledged; more requests wait. Bounds the tail that a takeover may
/// roll back.
const UNACKED_MAX: u64 = 4096;
/// The same for acknowledgements owed; repeated appends add no record, but owe one each.
const WAITERS_MAX: usize = 8192;

/// A write that is in the log and not yet acknowledged.
pub(super) struct Waiter {
    seq: u64,
    conn: ConnId,
    client: ClientId,
    client_seq: u64,
    received_ns: u64,
    repeated: bool,
}

/// A request that was not looked at yet.
pub(super) struct Waiting {
    conn: ConnId,
    request: Request,
    received_ns: u64,
}

enum Request {
    Append { client_seq: u64, payload: Bytes },
    Read { seq: u64 },
}

impl Engine {
    pub(super) fn client_up(&mut self, conn: ConnId, out: ClientOut) {
        out.send(&ToClient::Hello { schema: SCHEMA, node: self.config.node });
        out.send(&ToClient::Writable { epoch: self.writable_epoch() });
        self.clients.insert(conn, out);
    }

    pub(super) fn client_down(&mut self, conn: ConnId) {
        self.clients.remove(&conn);
        self.waiting.retain(|w| w.conn != conn);
    }

    pub(super) fn writable_epoch(&self) -> Option<Epoch> {
        self.primary_epoch().filter(|_| self.activity == Activity::Writable)
    }

    /// Pushes whether writes are taken now.
    pub(super) fn tell_clients(&mut self) {
        self.told_writable = self.writable_epoch();
        let message = ToClient::Writable { epoch: self.told_writable };
        for out in self.clients.values() {
            out.send(&message);
        }
    }

    fn tell(&self, conn: ConnId, message: &ToClient) {
        if let Some(out) = self.clients.get(&conn) {
            out.send(message);
        }
    }

    pub(super) fn client_says(&mut self, conn: ConnId, message: FromClient) -> Result<(), StoreError> {
        let request = match message {
            FromClient::Append { client_seq, payload } => Request::Append { client_seq, payload },
            FromClient::Read { seq } => Request::Read { seq },
            FromClient::Ping => {
                self.tell(conn, &ToClient::Pong);
                return Ok(());
            }
            // The connection's task takes the greeting and lets no second one through.
            FromClient::Hello { .. } => return Ok(()),
        };
        if let Some(why) = self.refusal(&request) {
            self.refuse(conn, &request, why);
            return Ok(());
        }
        let received_ns = boottime_ns();
        self.waiting.push_back(Waiting { conn, request, received_ns });
        // Its place in the queue is kept; if nothing holds it, it is served within this very batch.
        if self.activity == Activity::Writable && self.activity_now() == Activity::Writable {
            self.admit_waiting()?;
        }
        Ok(())
    }

    fn refusal(&mut self, request: &Request) -> Option<ClientRefusal> {
        if self.role == Role::Secondary {
            return Some(ClientRefusal::NotPrimary);
        }
        if let Request::Append { payload, .. } = request
            && payload.len() > PAYLOAD_MAX
        {
            return Some(ClientRefusal::TooLarge);
        }
        if self.waiting.len() >= WAITING_MAX {
            self.busy_told = true;
            return Some(ClientRefusal::Busy);
        }
        None
    }

    fn refuse(&self, conn: ConnId, request: &Request, why: ClientRefusal) {
        self.tell(
            conn,
            &match request {
                Request::Append { client_seq, .. } => ToClient::Refused { client_seq: *client_seq, why },
                Request::Read { seq } => ToClient::ReadRefused { seq: *seq, why },
            },
        );
    }

    /// Whether something waits that the bound on unacknowledged records lets in.
    pub(super) fn can_admit(&self) -> bool {
        let unacked = self.store.records.last().seq.saturating_sub(self.committed);
        !self.waiting.is_empty() && unacked < UNACKED_MAX && self.waiters.len() < WAITERS_MAX
    }

    /// Serves what waits, as far as the bound on unacknowledged records lets it.
    pub(super) fn admit_waiting(&mut self) -> Result<(), StoreError> {
        while self.can_admit() {
            let Some(waiting) = self.waiting.pop_front() else { break };
            self.serve(waiting)?;
        }
        if self.busy_told && self.waiting.len() < WAITING_MAX / 2 {
            self.busy_told = false;
            self.tell_clients();
        }
        Ok(())
    }

    fn serve(&mut self, waiting: Waiting) -> Result<(), StoreError> {
        let Waiting { conn, request, received_ns } = waiting;
        let (client_seq, payload) = match request {
            Request::Append { client_seq, payload } => (client_seq, payload),
            Request::Read { seq } => return self.serve_read(conn, seq),
        };
        let (Some(epoch), Some(client)) = (self.primary_epoch(), self.clients.get(&conn).map(|c| c.client))
        else {
            return Ok(());
        };
        let found = self.store.records.find(client, client_seq);
        let seq = match found {
            Some(seq) => seq,
            None if !self.store.records.has_room() => {
                self.tell(conn, &ToClient::Refused { client_seq, why: ClientRefusal::Full });
                return Ok(());
            }
            None => {
                let seq = self.store.records.last().seq + 1;
                let node = self.config.node;
                let record = Record { seq, epoch, node, client, client_seq, received_ns, payload };
                self.store.records.append(&record)?;
                seq
            }
        };
        let repeated = found.is_some();
        let waiter = Waiter { seq, conn, client, client_seq, received_ns, repeated };
        // A repeated write may stand before others; the queue stays sorted by place in the log.
        let at = self.waiters.partition_point(|w| w.seq <= seq);
        self.waiters.insert(at, waiter);
        Ok(())
    }

    fn serve_read(&mut self, conn: ConnId, seq: u64) -> Result<(), StoreError> {
        let there = seq > 0 && seq <= self.committed;
        let record = if there { Some(self.store.records.read(seq)?) } else { None };
        let record = record.and_then(|r| postcard::to_stdvec(&r).ok()).map(Bytes::from);
        self.tell(conn, &ToClient::ReadIs { seq, record });
        Ok(())
    }

    /// Up to where everything is durable here and at every peer that counts.
    fn commit_limit(&self) -> u64 {
        let current = self.store.meta().generation.current;
        self.peers
            .values()
            .filter(|p| self.required.contains(&p.node) || p.requiring.is_some())
            .map(|p| if p.generation == Some(current) { p.acked } else { 0 })
            .fold(self.store.records.last().seq, u64::min)
    }

    /// Acknowledges what may be: logged first, then sent.
    pub(super) fn advance(&mut self) -> Result<(), StoreError> {
        if self.activity != Activity::Writable {
            return Ok(());
        }
        let Some(epoch) = self.primary_epoch() else { return Ok(()) };
        let limit = self.commit_limit();
        self.committed = self.committed.max(limit);
        if self.waiters.front().is_none_or(|w| w.seq > self.committed) {
            return Ok(());
        }
        let acked_ns = boottime_ns();
        let due = self.waiters.partition_point(|w| w.seq <= self.committed);
        let due: Vec<Waiter> = self.waiters.drain(..due).collect();
        for w in &due {
            let record_crc = self.store.records.point(w.seq).map_or(0, |p| p.crc);
            self.store.records.mark_acknowledged(w.seq, record_crc);
            self.store.accepted.add(&AcceptEntry::Accepted {
                seq: w.seq,
                record_crc,
                epoch,
                client: w.client,
                client_seq: w.client_seq,
                received_ns: w.received_ns,
                acked_ns,
                repeated: w.repeated,
            })?;
        }
        self.store.accepted.write_out()?;
        self.acked += due.len() as u64;
        for w in due {
            let (client_seq, seq, received_ns) = (w.client_seq, w.seq, w.received_ns);
            let repeated = w.repeated;
            self.tell(w.conn, &ToClient::Ack { client_seq, seq, epoch, received_ns, acked_ns, repeated });
        }
        Ok(())
    }

    /// Refuses everything that waits: this server is Primary no more.
    pub(super) fn refuse_all(&mut self) {
        let why = ClientRefusal::NotPrimary;
        for w in std::mem::take(&mut self.waiters) {
            self.tell(w.conn, &ToClient::Refused { client_seq: w.client_seq, why });
        }
        for w in std::mem::take(&mut self.waiting) {
            self.refuse(w.conn, &w.request, why);
        }
        self.busy_told = false;
    }
}
