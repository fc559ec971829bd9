//! What operators ask, and what everybody of a cluster may look at.

use super::door::Door;
use super::{StatusStream, over, tell};
use crate::driver::{ClusterIndex, Command, Person};
use picket_core::message::OperatorRequest;
use picket_proto::convert::check_protocol;
use picket_proto::{from_wire, to_wire, v1};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// How many views of a cluster may wait for one watcher; who is slower skips some and sees the newest.
const VIEWS_MAX: usize = 2;

/// The longest reason that is kept, in characters.
const REASON_CHARS_MAX: usize = 500;

/// Does what an operator asks.
pub(super) async fn ask(
    door: &Door,
    request: Request<v1::AdminRequest>,
) -> Result<Response<v1::AdminAnswer>, Status> {
    let caller = door.let_in(&request).await?;
    if caller.node.is_some() {
        let what = format!("node {} from {}: not an operator", caller.name, caller.address);
        return Err(door.turn_away(Some(caller.cluster), what).await);
    }
    let v1::AdminRequest { protocol, request, reason } = request.into_inner();
    let refuse = |error: picket_proto::WireError| Status::invalid_argument(error.to_string());
    check_protocol(protocol).map_err(refuse)?;
    let request = request.ok_or_else(|| Status::invalid_argument("request: missing"))?;
    let request: OperatorRequest = from_wire(request).map_err(refuse)?;
    let reason = reason.chars().take(REASON_CHARS_MAX).collect();
    let person = Person { name: caller.name, address: caller.address, reason };
    let (answer, answered) = oneshot::channel();
    tell(door, Command::Operator { cluster: caller.cluster, person, request, answer }).await?;
    // The loop answers each request, unless it ends; then nobody knows whether it was done.
    let answer = answered.await.map_err(|_| Status::unknown("the witness ended before it answered"))?;
    Ok(Response::new(v1::AdminAnswer { answer: Some(to_wire(&answer)) }))
}

/// One look.
pub(super) async fn status(
    door: &Door,
    request: &Request<v1::WitnessStatusRequest>,
) -> Result<Response<v1::WitnessStatus>, Status> {
    let caller = door.let_in(request).await?;
    look(door, caller.cluster).await.map(Response::new)
}

async fn look(door: &Door, cluster: ClusterIndex) -> Result<v1::WitnessStatus, Status> {
    let (answer, answered) = oneshot::channel();
    tell(door, Command::Status { cluster, answer }).await?;
    answered.await.map_err(|_| over())
}

/// A look now and after each change.
pub(super) async fn watch(
    door: &Door,
    request: &Request<v1::WitnessStatusRequest>,
) -> Result<Response<StatusStream>, Status> {
    let cluster = door.let_in(request).await?.cluster;
    let mut changes = door.driver().changes(cluster).ok_or_else(over)?;
    let (views, seen) = mpsc::channel(VIEWS_MAX);
    let door = door.clone();
    tokio::spawn(async move {
        loop {
            // Before looking, so that what changes meanwhile is seen as a change.
            changes.mark_unchanged();
            let view = look(&door, cluster).await;
            let is_last = view.is_err();
            if views.send(view).await.is_err() || is_last {
                return;
            }
            let changed = tokio::select! {
                changed = changes.changed() => changed.is_ok(),
                () = views.closed() => false,
            };
            if !changed {
                return;
            }
        }
    });
    Ok(Response::new(Box::pin(ReceiverStream::new(seen))))
}
