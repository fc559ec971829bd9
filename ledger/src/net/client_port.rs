//! Where clients come.
//!
//! Messages to a client are written to its socket by the one loop itself, without blocking: what is
//! acknowledged has left this process when the loop goes on. A client that does not take them is cut.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::net::SendFlags;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Closed, FrameReader, Shared};
use crate::engine::Event;
use crate::ids::ClientId;
use crate::wire::{CLIENT_FRAME_MAX, FromClient, Garbage, SCHEMA, ToClient, encode};

/// Clients at a time. A test volume; each costs a socket and a task.
const CLIENTS_MAX: usize = 256;
/// A greeting is the first thing that a client sends.
const GREETING_MAX: Duration = Duration::from_secs(2);
/// Clients ping ten times a second; one silent for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// The way to one client.
pub(crate) struct ClientOut {
    pub(crate) client: ClientId,
    socket: OwnedFd,
}

impl ClientOut {
    /// Writes a message at once and whole, or ends the connection.
    pub(crate) fn send(&self, message: &ToClient) {
        let sent = encode(message).is_ok_and(|frame| self.write(&frame));
        if !sent {
            // The reading task sees the end and reports it; an error here says it is there already.
            let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        }
    }

    fn write(&self, frame: &Bytes) -> bool {
        // Half a frame would break every later one, so a full socket ends the connection as well.
        matches!(
            rustix::net::send(&self.socket, frame, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
            Ok(n) if n == frame.len()
        )
    }
}

/// Accepts clients until told to end.
pub(crate) async fn serve(shared: Shared, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(CLIENTS_MAX));
    loop {
        let place = tokio::select! {
            () = shared.end.cancelled() => return,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = shared.end.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let task_shared = shared.clone();
                shared.connections.spawn(async move {
                    let _place = place;
                    connection(task_shared, stream).await;
                });
            }
            Err(e) => super::accept_failed(&e).await,
        }
    }
}

async fn connection(shared: Shared, stream: TcpStream) {
    let conn = shared.conn_id();
    let _ = stream.set_nodelay(true);
    let Ok(socket) = stream.as_fd().try_clone_to_owned() else { return };
    let mut reader = FrameReader::new(stream, CLIENT_FRAME_MAX);
    let client = match timeout(GREETING_MAX, reader.next::<FromClient>()).await {
        Ok(Ok(FromClient::Hello { schema: SCHEMA, client })) => client,
        Ok(Ok(FromClient::Hello { .. })) => return shared.rejected.count("clients", Garbage::OtherSchema),
        Ok(Ok(_)) => return shared.rejected.count("clients", Garbage::OutOfPlace),
        Ok(Err(Closed::Garbage(why))) => return shared.rejected.count("clients", why),
        Ok(Err(_)) => return,
        Err(_) => return shared.rejected.count("clients", Garbage::NoGreeting),
    };
    if !shared.tell(Event::ClientUp { conn, out: ClientOut { client, socket } }).await {
        return;
    }
    let why = tokio::select! {
        () = shared.end.cancelled() => Closed::Ended,
        why = read(&shared, conn, &mut reader) => why,
    };
    if let Closed::Garbage(garbage) = &why {
        shared.rejected.count("clients", *garbage);
    }
    tracing::debug!(%client, %why, "client gone");
    shared.tell(Event::ClientDown { conn }).await;
}

async fn read(shared: &Shared, conn: crate::engine::ConnId, reader: &mut FrameReader<TcpStream>) -> Closed {
    loop {
        match timeout(SILENCE_MAX, reader.next::<FromClient>()).await {
            Ok(Ok(FromClient::Hello { .. })) => return Garbage::OutOfPlace.into(),
            Ok(Ok(message)) => {
                if !shared.tell(Event::Client { conn, message }).await {
                    return Closed::Ended;
                }
            }
            Ok(Err(why)) => return why,
            Err(_) => return Closed::Silent,
        }
    }
}
