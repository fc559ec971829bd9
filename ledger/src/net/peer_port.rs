//! Links between replicas.
//!
//! Every node dials every other one: over the link that it dialled it offers its stream as a Primary.
//! So between two nodes there are two links, one per direction, and each may be cut alone. The side that
//! dialled pings; the pong comes from the other side's one loop, so a stuck loop is as silent as a cut
//! cable. Whoever hears nothing for `peer_timeout` ends the link.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Closed, FrameReader, Shared};
use crate::config::PeerConfig;
use crate::engine::{ConnId, Event, LINK_QUEUE};
use crate::ids::{Epoch, NodeId};
use crate::wire::{Garbage, PEER_FRAME_MAX, SCHEMA, ToPrimary, ToReplica, encode};

/// Connections from peers at a time: two per peer of the largest cluster, and strangers.
const INBOUND_MAX: usize = 64;
/// The first pause before dialling again, doubled up to the last. No event tells that a link works
/// again; 100 ms is below what an operator or a test notices, and costs a packet.
const REDIAL_MS_MIN: u64 = 5;
const REDIAL_MS_MAX: u64 = 100;
/// Pings per timeout: two may be lost or late.
const PINGS_PER_TIMEOUT: u32 = 3;

/// Keeps a link to one peer up until told to end.
pub(crate) async fn dial(shared: Shared, peer: PeerConfig) {
    let mut pause_ms = REDIAL_MS_MIN;
    loop {
        let up = tokio::select! {
            () = shared.end.cancelled() => return,
            up = link(&shared, &peer) => up,
        };
        pause_ms = if up { REDIAL_MS_MIN } else { (pause_ms * 2).min(REDIAL_MS_MAX) };
        tokio::select! {
            () = shared.end.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(pause_ms)) => {}
        }
    }
}

/// One link from its dialling to its end; true if it was up.
async fn link(shared: &Shared, peer: &PeerConfig) -> bool {
    let patience = shared.config.peer_timeout();
    let Ok(Some((mut reader, writer, max_epoch))) = timeout(patience, greet(shared, peer)).await else {
        return false;
    };
    let conn = shared.conn_id();
    let (out, queue) = mpsc::channel(LINK_QUEUE);
    let node = peer.node;
    if !shared.tell(Event::LinkUp { peer: node, conn, out: out.clone(), max_epoch }).await {
        return true;
    }
    let take = |message: ToPrimary| Event::Link { peer: node, conn, message };
    // Only the loop's copy keeps the queue open, so that the loop can end the link.
    let pings = ping(out.downgrade(), patience / PINGS_PER_TIMEOUT);
    drop(out);
    let why = tokio::select! {
        why = read(shared, &mut reader, patience, take) => why,
        why = write(writer, queue, patience) => why,
        why = pings => why,
    };
    if let Closed::Garbage(garbage) = &why {
        shared.rejected.count("links", *garbage);
    }
    shared.tell(Event::LinkDown { peer: node, conn, why: why.to_string() }).await;
    true
}

async fn greet(
    shared: &Shared,
    peer: &PeerConfig,
) -> Option<(FrameReader<OwnedReadHalf>, OwnedWriteHalf, Epoch)> {
    let stream = TcpStream::connect(peer.addr).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let (read, mut writer) = stream.into_split();
    let hello = encode(&ToReplica::Hello { schema: SCHEMA, node: shared.config.node }).ok()?;
    writer.write_all(&hello).await.ok()?;
    let mut reader = FrameReader::new(read, PEER_FRAME_MAX);
    let why = match reader.next::<ToPrimary>().await {
        Ok(ToPrimary::Hello { schema: SCHEMA, node, max_epoch }) if node == peer.node => {
            return Some((reader, writer, max_epoch));
        }
        Ok(ToPrimary::Hello { schema: SCHEMA, .. }) => Garbage::UnknownPeer,
        Ok(ToPrimary::Hello { .. }) => Garbage::OtherSchema,
        Ok(_) => Garbage::OutOfPlace,
        Err(Closed::Garbage(why)) => why,
        Err(_) => return None,
    };
    shared.rejected.count("links", why);
    None
}

/// Reads until the link ends or is silent for too long.
async fn read<T: DeserializeOwned>(
    shared: &Shared,
    reader: &mut FrameReader<OwnedReadHalf>,
    patience: Duration,
    event: impl Fn(T) -> Event,
) -> Closed {
    loop {
        match timeout(patience, reader.next::<T>()).await {
            Ok(Ok(message)) => {
                if !shared.tell(event(message)).await {
                    return Closed::Ended;
                }
            }
            Ok(Err(why)) => return why,
            Err(_) => return Closed::Silent,
        }
    }
}

/// Writes what the loop queued, until it closes the queue or the other side takes nothing any more.
async fn write(mut to: OwnedWriteHalf, mut queue: mpsc::Receiver<Bytes>, patience: Duration) -> Closed {
    while let Some(frame) = queue.recv().await {
        match timeout(patience, to.write_all(&frame)).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return e.into(),
            Err(_) => return Closed::Silent,
        }
    }
    Closed::Ended
}

async fn ping(out: mpsc::WeakSender<Bytes>, every: Duration) -> Closed {
    let frame = match encode(&ToReplica::Ping) {
        Ok(frame) => frame,
        Err(_) => return Closed::Ended,
    };
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(out) = out.upgrade() else { return Closed::Ended };
        // A full queue says that frames are on their way: they do what a ping does.
        let _ = out.try_send(frame.clone());
    }
}

/// Accepts peers until told to end.
pub(crate) async fn serve(shared: Shared, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(INBOUND_MAX));
    loop {
        let accepted = tokio::select! {
            () = shared.end.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                // Too many: the newest is turned away, so that strangers cannot hold up the accepting.
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                let task_shared = shared.clone();
                shared.connections.spawn(async move {
                    let _place = place;
                    inbound(&task_shared, stream).await;
                });
            }
            Err(e) => super::accept_failed(&e).await,
        }
    }
}

async fn inbound(shared: &Shared, stream: TcpStream) {
    let patience = shared.config.peer_timeout();
    let _ = stream.set_nodelay(true);
    let (read_half, writer) = stream.into_split();
    let mut reader = FrameReader::new(read_half, PEER_FRAME_MAX);
    let node = match timeout(patience, reader.next::<ToReplica>()).await {
        Ok(Ok(ToReplica::Hello { schema: SCHEMA, node })) if is_peer(shared, node) => node,
        Ok(Ok(ToReplica::Hello { schema: SCHEMA, .. })) => {
            return shared.rejected.count("peers", Garbage::UnknownPeer);
        }
        Ok(Ok(ToReplica::Hello { .. })) => return shared.rejected.count("peers", Garbage::OtherSchema),
        Ok(Ok(_)) => return shared.rejected.count("peers", Garbage::OutOfPlace),
        Ok(Err(Closed::Garbage(why))) => return shared.rejected.count("peers", why),
        Ok(Err(_)) => return,
        Err(_) => return shared.rejected.count("peers", Garbage::NoGreeting),
    };
    let conn: ConnId = shared.conn_id();
    let (out, queue) = mpsc::channel(LINK_QUEUE * 2);
    if !shared.tell(Event::InboundUp { peer: node, conn, out }).await {
        return;
    }
    let take = |message: ToReplica| Event::Inbound { conn, message };
    let why = tokio::select! {
        () = shared.end.cancelled() => Closed::Ended,
        why = read(shared, &mut reader, patience, take) => why,
        why = write(writer, queue, patience) => why,
    };
    if let Closed::Garbage(garbage) = &why {
        shared.rejected.count("peers", *garbage);
    }
    shared.tell(Event::InboundDown { conn, why: why.to_string() }).await;
}

fn is_peer(shared: &Shared, node: NodeId) -> bool {
    shared.config.peers.iter().any(|p| p.node == node)
}
