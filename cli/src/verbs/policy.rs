//! `picket policy get` and `picket policy set`: what failures of resources may lead to by themselves, on every node.

use crate::args::PolicyVerb;
use crate::exit::{Exit, Fault};
use crate::render::json;
use crate::render::paint::Tone;
use crate::render::table::{Cell, Table};
use crate::session::Session;
use picket_proto::v1::PolicyRequest;

pub(super) async fn run(verb: PolicyVerb, session: &mut Session) -> Result<Exit, Fault> {
    let request = match verb {
        PolicyVerb::Get { tag } => PolicyRequest { tag, failover: None, local_recovery: None },
        PolicyVerb::Set { tag, failover, local_recovery } => PolicyRequest { tag, failover, local_recovery },
    };
    let mut daemon = session.daemon().await?;
    let answer = daemon.calls().policy(request).await;
    let answer = answer.map_err(|status| daemon.fault(&status))?.into_inner();
    // Not known on every node is not done.
    let exit = if answer.nodes.iter().all(|node| node.error.is_empty()) { Exit::Done } else { Exit::Failed };
    if session.json {
        writeln!(session.out, "{}", json::line(&answer)?)?;
        return Ok(exit);
    }
    let mut table = Table::new(["NODE", "VOLUME", "FAILOVER", "LOCAL RECOVERY", "NOTES"]);
    let word = |is: Option<bool>| Cell::from(is.map_or("", |is| if is { "on" } else { "off" }));
    for node in &answer.nodes {
        table.row([
            Cell::from(&node.node),
            Cell::from(&node.volume),
            word(node.failover),
            word(node.local_recovery),
            Cell::toned(Tone::Warn, &*node.error),
        ]);
    }
    for line in table.lines(session.paint) {
        writeln!(session.out, "{line}")?;
    }
    Ok(exit)
}
