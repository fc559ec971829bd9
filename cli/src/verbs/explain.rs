//! `picket explain`: why a volume is, or is not, active here.

use crate::exit::{Exit, Fault};
use crate::render::{explain, json};
use crate::session::Session;
use picket_proto::v1::ExplainRequest;

pub(super) async fn run(tag: String, session: &mut Session) -> Result<Exit, Fault> {
    let mut daemon = session.daemon().await?;
    let mut calls = daemon.calls().clone();
    let explanation = daemon.look(calls.explain(ExplainRequest { tag })).await?;
    if session.json {
        writeln!(session.out, "{}", json::line(&explanation)?)?;
    } else {
        for line in explain::lines(&explanation, session.paint) {
            writeln!(session.out, "{line}")?;
        }
    }
    Ok(Exit::Done)
}
