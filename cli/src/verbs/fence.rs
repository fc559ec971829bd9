//! `picket fence`: fence a node by an operator's wish, or show what was fenced.

use crate::args::{FenceAction, FenceArgs, FenceVerb};
use crate::exit::{Exit, Fault};
use crate::render::{history, json};
use crate::session::Session;
use picket_proto::v1::{FenceHistoryRequest, FenceRequest};

pub(super) async fn run(args: FenceArgs, session: &mut Session) -> Result<Exit, Fault> {
    if let Some(FenceVerb::History { node, max }) = args.verb {
        return show_history(node, max, session).await;
    }
    let Some(node) = args.node else {
        return Err(Fault::Missing("which node?".to_owned()));
    };
    let action = match args.action {
        Some(FenceAction::Off) => "off",
        Some(FenceAction::Reboot) => "reboot",
        None => "",
    };
    let mut daemon = session.daemon().await?;
    let request = FenceRequest { node, action: action.to_owned(), reason: args.reason };
    let answer = daemon.calls().fence(request).await;
    session.show_outcome(&answer.map_err(|status| daemon.fault(&status))?.into_inner())
}

async fn show_history(node: Option<String>, max: u32, session: &mut Session) -> Result<Exit, Fault> {
    let mut daemon = session.daemon().await?;
    let request = FenceHistoryRequest { node: node.unwrap_or_default(), entries_max: max };
    let mut calls = daemon.calls().clone();
    let answer = daemon.look(calls.fence_history(request)).await?;
    if session.json {
        writeln!(session.out, "{}", json::line(&answer)?)?;
    } else {
        for line in history::lines(&answer.entries, session.paint) {
            writeln!(session.out, "{line}")?;
        }
    }
    Ok(Exit::Done)
}
