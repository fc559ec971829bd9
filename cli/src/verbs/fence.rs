//! `picket fence`: fence a node by an operator's wish, or show what was fenced.

use super::drill;
use crate::args::{FenceAction, FenceArgs, FenceVerb};
use crate::exit::{Exit, Fault};
use crate::render::{fence_test, history, json};
use crate::session::Session;
use picket_proto::v1::{FenceHistoryRequest, FenceRequest, FenceTestRequest};

pub(super) async fn run(args: FenceArgs, session: &mut Session) -> Result<Exit, Fault> {
    match args.verb {
        Some(FenceVerb::History { node, max }) => return show_history(node, max, session).await,
        Some(FenceVerb::Test { node, device }) => return test(node, device, session).await,
        Some(FenceVerb::Drill(drill)) => return drill::run(&drill, session).await,
        None => {}
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

/// Exit 0 only if all of them were tested and none failed.
async fn test(node: String, device: Option<String>, session: &mut Session) -> Result<Exit, Fault> {
    let mut daemon = session.daemon().await?;
    let request = FenceTestRequest { node, device: device.unwrap_or_default() };
    // Each device may take its whole timeout, and there may be many: whoever asked can end it.
    let answer = daemon.calls().fence_test(request).await;
    let answer = answer.map_err(|status| daemon.fault(&status))?.into_inner();
    let passed = answer.results.iter().all(|result| result.result != "FAILED")
        && answer.results.iter().any(|result| result.result == "OK");
    if session.json {
        writeln!(session.out, "{}", json::line(&answer)?)?;
    } else {
        for line in fence_test::lines(&answer.results, session.paint) {
            writeln!(session.out, "{line}")?;
        }
    }
    Ok(if passed { Exit::Done } else { Exit::Failed })
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
