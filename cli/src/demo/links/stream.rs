//! Streams through a link: TCP and Unix sockets.

use super::lane::LaneView;
use core::time::Duration;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// How much is read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// How many pieces may be under way on one lane of one connection; then the sender is held back,
/// as by a full window. 256 pieces carry 16 MiB within one delay.
const PIECES_UNDER_WAY_MAX: usize = 256;

/// Where a link leads.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Accepts for ever; ends its connections when it is aborted.
pub(super) async fn serve_tcp(listener: TcpListener, target: Target, views: [LaneView; 2]) {
    let mut views = views;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((front, _)) = accepted {
                    connections.spawn(carry_tcp(front, target.clone(), next_views(&mut views)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The same on a Unix socket.
pub(super) async fn serve_unix(listener: UnixListener, target: Target, views: [LaneView; 2]) {
    let mut views = views;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((front, _)) = accepted {
                    connections.spawn(carry_unix(front, target.clone(), next_views(&mut views)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

fn next_views(views: &mut [LaneView; 2]) -> [LaneView; 2] {
    views.iter_mut().for_each(LaneView::split);
    views.each_ref().map(LaneView::fresh)
}

async fn carry_tcp(front: TcpStream, target: Target, views: [LaneView; 2]) {
    // Small messages must not wait for each other; the emulator adds no delay of its own.
    let _ = front.set_nodelay(true);
    let mut front = front;
    let ended = {
        let (reader, writer) = front.split();
        carry(reader, writer, target, views).await
    };
    if ended == Ended::Broken {
        close_with_reset(&front);
    }
}

async fn carry_unix(mut front: UnixStream, target: Target, views: [LaneView; 2]) {
    let (reader, writer) = front.split();
    carry(reader, writer, target, views).await;
}

/// How a connection came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Both sides have said all.
    Closed,
    /// One side was broken, so both are.
    Broken,
}

async fn carry(
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin,
    target: Target,
    views: [LaneView; 2],
) -> Ended {
    let [mut there, mut back] = views;
    let mut broken = [there.clone(), back.clone()];
    let [broken_there, broken_back] = &mut broken;
    let mut breaks = pin!(async {
        tokio::select! {
            () = broken_there.broken() => {}
            () = broken_back.broken() => {}
        }
    });
    // A handshake needs both directions, each for one way of it.
    let handshake = async {
        for view in [&mut there, &mut back] {
            let arrival = view.arrival();
            arrive(view, arrival).await;
        }
        Far::connect(target).await
    };
    let far = tokio::select! {
        // Once connected the target shall see a reset as well, not an end.
        biased;
        far = handshake => far,
        () = &mut breaks => return Ended::Broken,
    };
    let Ok(mut far) = far else { return Ended::Broken };
    let done = match &mut far {
        Far::Tcp(stream) => {
            let (far_reader, far_writer) = stream.split();
            tokio::select! {
                done = both(reader, writer, far_reader, far_writer, there, back) => done.is_ok(),
                () = &mut breaks => false,
            }
        }
        Far::Unix(stream) => {
            let (far_reader, far_writer) = stream.split();
            tokio::select! {
                done = both(reader, writer, far_reader, far_writer, there, back) => done.is_ok(),
                () = &mut breaks => false,
            }
        }
    };
    if done {
        return Ended::Closed;
    }
    if let Far::Tcp(stream) = &far {
        close_with_reset(stream);
    }
    Ended::Broken
}

/// The connection to the target.
enum Far {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Far {
    async fn connect(target: Target) -> io::Result<Self> {
        match target {
            Target::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
            Target::Unix(path) => UnixStream::connect(path).await.map(Self::Unix),
        }
    }
}

/// Makes the coming close a reset.
fn close_with_reset(stream: &TcpStream) {
    // If it cannot be set the peer sees an end instead; the connection is gone in any case.
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

async fn both(
    near_reader: impl AsyncRead + Unpin,
    near_writer: impl AsyncWrite + Unpin,
    far_reader: impl AsyncRead + Unpin,
    far_writer: impl AsyncWrite + Unpin,
    there: LaneView,
    back: LaneView,
) -> io::Result<()> {
    tokio::try_join!(pump(near_reader, far_writer, there), pump(far_reader, near_writer, back))?;
    Ok(())
}

/// A piece under way; no bytes stand for the end of the stream.
struct Piece {
    arrival: Option<Instant>,
    bytes: Vec<u8>,
}

/// Carries one direction until its end has arrived.
async fn pump(
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    mut lane: LaneView,
) -> io::Result<()> {
    let mut under_way: VecDeque<Piece> = VecDeque::new();
    let mut said_all = false;
    let mut latest: Option<Instant> = None;
    loop {
        let arrival = under_way.front().map(|piece| piece.arrival);
        let mut waiting = lane.clone();
        let arrives = pin!(async {
            match arrival {
                Some(arrival) => arrive(&mut waiting, arrival).await,
                None => std::future::pending().await,
            }
        });
        tokio::select! {
            piece = read_piece(&mut reader), if !said_all && under_way.len() < PIECES_UNDER_WAY_MAX => {
                let bytes = piece?;
                said_all = bytes.is_empty();
                // Jitter must not let later bytes overtake earlier ones.
                latest = lane.arrival().max(latest);
                under_way.push_back(Piece { arrival: latest, bytes });
            }
            () = arrives => {
                let Some(piece) = under_way.pop_front() else { continue };
                if piece.bytes.is_empty() {
                    return writer.shutdown().await;
                }
                writer.write_all(&piece.bytes).await?;
            }
        }
    }
}

async fn read_piece(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(PIECE_BYTES);
    reader.read_buf(&mut bytes).await?;
    Ok(bytes)
}

/// Waits for the time of arrival, and then until the lane is whole.
async fn arrive(lane: &mut LaneView, at: Option<Instant>) {
    if let Some(at) = at {
        sleep_until(at).await;
    }
    lane.whole().await;
}
