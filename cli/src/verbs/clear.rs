//! `picket clear`: let a node back that was fenced too often.

use crate::exit::{Exit, Fault};
use crate::session::Session;
use picket_proto::v1::NodeRequest;

pub(super) async fn run(node: String, session: &mut Session) -> Result<Exit, Fault> {
    let mut daemon = session.daemon().await?;
    let answer = daemon.calls().clear(NodeRequest { node }).await;
    session.show_outcome(&answer.map_err(|status| daemon.fault(&status))?.into_inner())
}
