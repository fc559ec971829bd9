//! `picket evict`: take a node out of a volume's in-sync set.

use crate::args::ReplicaArgs;
use crate::exit::{Exit, Fault};
use crate::session::Session;
use picket_proto::v1::ReplicaRequest;

pub(super) async fn run(args: ReplicaArgs, session: &mut Session) -> Result<Exit, Fault> {
    let mut daemon = session.daemon().await?;
    let answer = daemon.calls().evict(ReplicaRequest { node: args.node, tag: args.tag }).await;
    session.show_outcome(&answer.map_err(|status| daemon.fault(&status))?.into_inner())
}
