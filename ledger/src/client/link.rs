//! The client's connection to one server, kept open.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{AppenderConfig, WINDOW_MAX};
use crate::ids::NodeId;
use crate::net::{Closed, FrameReader};
use crate::wire::{CLIENT_FRAME_MAX, FromClient, Garbage, SCHEMA, ToClient, encode};

/// Frames that may wait for a connection: all that is under way, sent twice, and pings.
const QUEUE: usize = WINDOW_MAX * 2 + 64;
/// The first pause before connecting again, doubled up to the last. No event tells that a server is
/// back; a failover does not wait for this, the connection to the other server is open already.
const RECONNECT_MS_MIN: u64 = 5;
const RECONNECT_MS_MAX: u64 = 80;
/// Pings per time of silence that is let pass.
const PINGS_PER_SILENCE: u32 = 10;

/// What a link tells the appender.
pub(super) enum FromLink {
    /// Connected and greeted.
    Up {
        server: usize,
        node: NodeId,
        out: mpsc::Sender<Bytes>,
    },
    Says {
        server: usize,
        message: ToClient,
    },
    Down {
        server: usize,
    },
}

/// Keeps a connection to one server until nobody listens any more.
pub(super) async fn keep(
    config: AppenderConfig,
    server: usize,
    addr: SocketAddr,
    to: mpsc::Sender<FromLink>,
) {
    let mut pause_ms = RECONNECT_MS_MIN;
    loop {
        let up = match timeout(config.silence, greet(&config, addr)).await {
            Ok(Ok((stream, node))) => {
                let why = connected(&config, server, node, stream, &to).await;
                tracing::debug!(%addr, %why, "connection to server lost");
                true
            }
            Ok(Err(_)) | Err(_) => false,
        };
        if up && to.send(FromLink::Down { server }).await.is_err() || to.is_closed() {
            return;
        }
        pause_ms = if up { RECONNECT_MS_MIN } else { (pause_ms * 2).min(RECONNECT_MS_MAX) };
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
}

async fn greet(
    config: &AppenderConfig,
    addr: SocketAddr,
) -> Result<(FrameReader<TcpStream>, NodeId), Closed> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let hello = FromClient::Hello { schema: SCHEMA, client: config.client };
    stream.write_all(&encode(&hello).map_err(|_| Garbage::NotAMessage)?).await?;
    let mut reader = FrameReader::new(stream, CLIENT_FRAME_MAX);
    match reader.next::<ToClient>().await? {
        ToClient::Hello { schema: SCHEMA, node } => Ok((reader, node)),
        ToClient::Hello { .. } => Err(Garbage::OtherSchema.into()),
        _ => Err(Garbage::OutOfPlace.into()),
    }
}

async fn connected(
    config: &AppenderConfig,
    server: usize,
    node: NodeId,
    reader: FrameReader<TcpStream>,
    to: &mpsc::Sender<FromLink>,
) -> Closed {
    let (mut reader, mut writer) = reader.split();
    let (out, mut queue) = mpsc::channel::<Bytes>(QUEUE);
    let pinger = out.downgrade();
    if to.send(FromLink::Up { server, node, out }).await.is_err() {
        return Closed::Ended;
    }
    let read = async {
        loop {
            match timeout(config.silence, reader.next::<ToClient>()).await {
                Ok(Ok(message)) => {
                    if to.send(FromLink::Says { server, message }).await.is_err() {
                        return Closed::Ended;
                    }
                }
                Ok(Err(why)) => return why,
                Err(_) => return Closed::Silent,
            }
        }
    };
    let write = async {
        while let Some(frame) = queue.recv().await {
            match timeout(config.silence, writer.write_all(&frame)).await {
                Ok(Ok(())) => {}
                Ok(Err(e)) => return e.into(),
                Err(_) => return Closed::Silent,
            }
        }
        Closed::Ended
    };
    tokio::select! {
        why = read => why,
        why = write => why,
        why = ping(pinger, config.silence / PINGS_PER_SILENCE) => why,
    }
}

async fn ping(out: mpsc::WeakSender<Bytes>, every: Duration) -> Closed {
    let Ok(frame) = encode(&FromClient::Ping) else { return Closed::Ended };
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(out) = out.upgrade() else { return Closed::Ended };
        // A full queue says that frames are on their way: they do what a ping does.
        let _ = out.try_send(frame.clone());
    }
}
