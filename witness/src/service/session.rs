//! A node's session: messages in, messages out, each way bounded.

use super::door::{Caller, Door, Place};
use super::{SessionStream, over, tell};
use crate::driver::{Command, Connection, LinkId, Outgoing, UNREAD_MAX};
use picket_core::ids::NodeId;
use picket_core::message::{Request as Asked, ToWitness};
use picket_proto::{VERSION_KEY, from_wire, v1, version_told};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Opens a session for a node.
pub(super) async fn open(
    door: &Door,
    request: Request<Streaming<v1::ToWitness>>,
) -> Result<Response<SessionStream>, Status> {
    let caller = door.let_in(&request).await?;
    let (cluster, address) = (caller.cluster, caller.address);
    let Some(node) = caller.node else {
        let what = format!("operator {} from {address}: only nodes have sessions", caller.name);
        return Err(door.turn_away(Some(cluster), what).await);
    };
    let Some(place) = door.place(cluster, node) else {
        let what = format!("node {} from {address}: too many sessions are open", caller.name);
        door.turn_away(Some(cluster), what.clone()).await;
        return Err(Status::resource_exhausted(what));
    };
    let version = request.metadata().get(VERSION_KEY).and_then(|value| value.to_str().ok());
    let version = version_told(version);
    let link = door.next_link();
    let (outbox, outgoing) = mpsc::channel(UNREAD_MAX);
    let (alive, ended) = oneshot::channel();
    let reader = Reader {
        door: door.clone(),
        caller,
        node,
        link,
        // Weak: the stream to the node ends when the driver drops the one that counts.
        outbox: outbox.downgrade(),
        _place: place,
    };
    tell(door, Command::Connect(Connection { link, cluster, node, address, version, outbox, alive })).await?;
    tokio::spawn(reader.run(request.into_inner(), ended));
    let mut answer: Response<SessionStream> = Response::new(Box::pin(ReceiverStream::new(outgoing)));
    if let Ok(version) = crate::VERSION.parse() {
        answer.metadata_mut().insert(VERSION_KEY, version);
    }
    Ok(answer)
}

/// Reads what a node sends until either side ends.
struct Reader {
    door: Door,
    caller: Caller,
    node: NodeId,
    link: LinkId,
    outbox: mpsc::WeakSender<Outgoing>,
    _place: Place,
}

impl Reader {
    async fn run(self, mut incoming: Streaming<v1::ToWitness>, mut ended: oneshot::Receiver<()>) {
        let why = loop {
            let next = tokio::select! {
                _ = &mut ended => return,
                next = incoming.message() => next,
            };
            let message = match next {
                Ok(Some(message)) => message,
                Ok(None) => break "the node closed it".to_owned(),
                Err(status) => break status.message().to_owned(),
            };
            match self.understand(message) {
                Ok(message) => {
                    let (link, cluster, node) = (self.link, self.caller.cluster, self.node);
                    let command = Command::Message { link, cluster, node, message: Box::new(message) };
                    if tell(&self.door, command).await.is_err() {
                        self.refuse(over());
                        return;
                    }
                }
                Err(what) => {
                    let who = format!("node {} from {}", self.caller.name, self.caller.address);
                    self.door.turn_away(Some(self.caller.cluster), format!("{who}: {what}")).await;
                    self.refuse(Status::invalid_argument(what.clone()));
                    break what;
                }
            }
        };
        let (link, cluster, node) = (self.link, self.caller.cluster, self.node);
        // Without the loop nobody needs to know.
        let _ = tell(&self.door, Command::Gone { link, cluster, node, why }).await;
    }

    fn understand(&self, message: v1::ToWitness) -> Result<ToWitness, String> {
        let message: ToWitness = from_wire(message).map_err(|error| error.to_string())?;
        if let Asked::RelayRelease { holder, release } = &message.body {
            self.door.check_release(self.caller.cluster, *holder, release)?;
        }
        Ok(message)
    }

    /// Says why the stream ends. A node that leaves its messages unread does not learn it.
    fn refuse(&self, status: Status) {
        if let Some(outbox) = self.outbox.upgrade() {
            let _ = outbox.try_send(Err(status));
        }
    }
}
