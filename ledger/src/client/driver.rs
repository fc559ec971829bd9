//! The appending task: decides where appends go, and keeps the acknowledgements.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::link::{self, FromLink};
use super::{Ack, Acks, AppenderConfig};
use crate::clock::boottime_ns;
use crate::ids::{Epoch, NodeId};
use crate::wire::{ClientRefusal, FromClient, ToClient, encode};

/// Messages from the links that may wait.
const FROM_LINKS: usize = 256;

#[derive(Default)]
struct ServerState {
    link: Option<(NodeId, mpsc::Sender<Bytes>)>,
    writable: Option<Epoch>,
}

/// An append that is not acknowledged.
struct Open {
    frame: Bytes,
    sent_ns: u64,
}

struct Driver {
    config: AppenderConfig,
    journal: File,
    acks: Arc<Acks>,
    servers: Vec<ServerState>,
    /// Where appends go, and in which epoch that server took them.
    target: Option<(usize, Epoch)>,
    open: BTreeMap<u64, Open>,
    next: u64,
}

/// Appends until told to end, or its limit is reached.
pub(super) async fn run(
    config: AppenderConfig,
    journal: File,
    acks: Arc<Acks>,
    end: CancellationToken,
) -> io::Result<()> {
    // Whoever waits for a count learns that no more will come.
    let _over = end.clone().drop_guard();
    let (to, mut from) = mpsc::channel(FROM_LINKS);
    let mut links = JoinSet::new();
    for (server, addr) in config.servers.iter().enumerate() {
        links.spawn(link::keep(config.clone(), server, *addr, to.clone()));
    }
    drop(to);
    let servers = config.servers.iter().map(|_| ServerState::default()).collect();
    let mut driver = Driver { config, journal, acks, servers, target: None, open: BTreeMap::new(), next: 1 };
    let mut pace = driver.config.pace.map(interval);
    if let Some(pace) = &mut pace {
        // A pace that was not kept is not made up for: that would be a burst.
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        let message = tokio::select! {
            () = end.cancelled() => return Ok(()),
            message = from.recv() => Some(message),
            () = next(&mut pace) => None,
        };
        match message {
            Some(Some(message)) => {
                driver.take(message)?;
                driver.choose();
            }
            Some(None) => return Ok(()),
            None => driver.fill()?,
        }
        if pace.is_none() {
            driver.fill()?;
        }
        if driver.finished() {
            return Ok(());
        }
    }
}

/// The next beat of a pace; without one, never.
async fn next(pace: &mut Option<Interval>) {
    match pace {
        Some(pace) => drop(pace.tick().await),
        None => core::future::pending().await,
    }
}

impl Driver {
    fn finished(&self) -> bool {
        self.open.is_empty() && self.config.limit.is_some_and(|limit| self.next > limit)
    }

    fn take(&mut self, message: FromLink) -> io::Result<()> {
        match message {
            FromLink::Up { server, node, out } => {
                if let Some(state) = self.servers.get_mut(server) {
                    *state = ServerState { link: Some((node, out)), writable: None };
                }
            }
            FromLink::Down { server } => {
                if let Some(state) = self.servers.get_mut(server) {
                    *state = ServerState::default();
                }
                self.leave(server);
            }
            FromLink::Says { server, message } => return self.heard(server, message),
        }
        Ok(())
    }

    fn leave(&mut self, server: usize) {
        self.target = self.target.filter(|(at, _)| *at != server);
    }

    fn heard(&mut self, server: usize, message: ToClient) -> io::Result<()> {
        match message {
            ToClient::Writable { epoch } => {
                if let Some(state) = self.servers.get_mut(server) {
                    state.writable = epoch;
                }
                // Said again after it had been busy: what it refused is sent again.
                if epoch.is_some() {
                    self.leave(server);
                }
            }
            ToClient::Ack { client_seq, seq, epoch, received_ns, acked_ns, repeated } => {
                let node = self.servers.get(server).and_then(|s| s.link.as_ref()).map(|l| l.0);
                if let (Some(open), Some(node)) = (self.open.remove(&client_seq), node) {
                    let client = self.config.client;
                    let (sent_ns, seen_ns) = (open.sent_ns, boottime_ns());
                    #[rustfmt::skip]
                    let ack = Ack {
                        client, client_seq, seq, epoch, node, sent_ns, received_ns, acked_ns, seen_ns, repeated,
                    };
                    self.keep(ack)?;
                }
            }
            ToClient::Refused { why: ClientRefusal::NotPrimary, .. } => {
                if let Some(state) = self.servers.get_mut(server) {
                    state.writable = None;
                }
                self.leave(server);
            }
            // It says when that is over.
            ToClient::Refused { why: ClientRefusal::Busy, .. } => {}
            ToClient::Refused { why, client_seq } => {
                return Err(io::Error::other(format!("append {client_seq} refused for good: {why}")));
            }
            ToClient::Hello { .. }
            | ToClient::Pong
            | ToClient::ReadIs { .. }
            | ToClient::ReadRefused { .. } => {}
        }
        Ok(())
    }

    fn keep(&mut self, ack: Ack) -> io::Result<()> {
        let mut line = serde_json::to_vec(&ack)?;
        line.push(b'\n');
        self.journal.write_all(&line)?;
        self.acks.add(ack);
        Ok(())
    }

    /// Turns to the server that takes writes in the highest epoch, and sends it all that is open. A
    /// server that holds writes for a while is left only for one that takes them.
    fn choose(&mut self) {
        let best = self
            .servers
            .iter()
            .enumerate()
            .filter_map(|(at, s)| s.link.is_some().then_some((at, s.writable?)))
            .max_by_key(|(_, epoch)| *epoch);
        let Some((at, epoch)) = best else { return };
        if self.target.is_some_and(|(_, current)| epoch <= current) {
            return;
        }
        self.target = Some((at, epoch));
        let frames: Vec<Bytes> = self.open.values().map(|o| o.frame.clone()).collect();
        for frame in frames {
            self.send(frame);
        }
    }

    fn send(&mut self, frame: Bytes) {
        let Some((at, _)) = self.target else { return };
        let Some(state) = self.servers.get_mut(at) else { return };
        let sent = state.link.as_ref().is_some_and(|(_, out)| out.try_send(frame).is_ok());
        if !sent {
            // Its queue is dropped, which ends the connection; a new one is made.
            *state = ServerState::default();
            self.target = None;
        }
    }

    /// Starts new appends while the window has room.
    fn fill(&mut self) -> io::Result<()> {
        while self.target.is_some()
            && self.open.len() < self.config.window
            && self.config.limit.is_none_or(|limit| self.next <= limit)
        {
            let client_seq = self.next;
            self.next += 1;
            let mut payload = vec![0u8; self.config.payload_bytes];
            for (to, from) in payload.iter_mut().zip(client_seq.to_le_bytes().iter().cycle()) {
                *to = *from;
            }
            let message = FromClient::Append { client_seq, payload: payload.into() };
            let frame = encode(&message).map_err(io::Error::other)?;
            self.open.insert(client_seq, Open { frame: frame.clone(), sent_ns: boottime_ns() });
            self.send(frame);
        }
        Ok(())
    }
}
