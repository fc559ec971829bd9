//! `picket move`: bring a volume into service on a node.

use crate::args::{MoveArgs, to_ms};
use crate::exit::{Exit, Fault};
use crate::session::Session;
use picket_proto::v1::MoveRequest;

pub(super) async fn run(args: MoveArgs, session: &mut Session) -> Result<Exit, Fault> {
    let mut daemon = session.daemon().await?;
    let wait_ms = args.wait.map_or(0, to_ms);
    let answer = daemon.calls().r#move(MoveRequest { tag: args.tag, node: args.node, wait_ms }).await;
    session.show_outcome(&answer.map_err(|status| daemon.fault(&status))?.into_inner())
}
