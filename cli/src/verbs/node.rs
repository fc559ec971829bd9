//! `picket node`: whether a node may take volumes.

use crate::args::NodeVerb;
use crate::exit::{Exit, Fault};
use crate::session::Session;
use picket_proto::v1::NodeRequest;

pub(super) async fn run(verb: NodeVerb, session: &mut Session) -> Result<Exit, Fault> {
    let mut daemon = session.daemon().await?;
    let answer = match verb {
        NodeVerb::Standby { node } => daemon.calls().standby(NodeRequest { node }).await,
        NodeVerb::Online { node } => daemon.calls().online(NodeRequest { node }).await,
    };
    session.show_outcome(&answer.map_err(|status| daemon.fault(&status))?.into_inner())
}
