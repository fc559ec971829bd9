//! `picket fence drill`: a standby is powered off and on again, to see that it could be fenced and comes back.
//!
//! ```text
//!   look ─► the name is typed ─► off, seen off ─► on ─► heard in a new boot ─► in sync again
//! ```
//! Contract: the witness permits it only for a node that is alive and holds nothing. It ends with 0 only if the
//! first level that can prove something did so, and the node came back and is in sync where it was before.

use crate::args::DrillArgs;
use crate::exit::{Exit, Fault, of_outcome};
use crate::render::list;
use crate::session::Session;
use core::time::Duration;
use picket_host::clock::boottime;
use picket_proto::SCHEMA;
use picket_proto::v1::{FenceEntry, FenceHistoryRequest, FenceRequest, Status, StatusMember, outcome};
use serde_json::json;

/// Between two looks at a node that boots: it takes seconds at the least.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Entries of the history that are asked for: the newest one of the node is the drill's own.
const ENTRIES: u32 = 20;

/// What a drill showed.
#[derive(Debug, Default)]
struct Report {
    off_ms: u128,
    back_ms: Option<u128>,
    in_sync_ms: Option<u128>,
    level: u32,
    first_level: u32,
}

impl Report {
    fn is_good(&self) -> bool {
        self.back_ms.is_some() && self.in_sync_ms.is_some() && self.level == self.first_level
    }
}

pub(super) async fn run(args: &DrillArgs, session: &mut Session) -> Result<Exit, Fault> {
    let node = &args.node;
    let mut daemon = session.daemon().await?;
    let before = daemon.status(0).await?;
    let boot = checked(&before, node)?.boot.clone();
    let synced = synced(&before, node);
    show(&before, node, &synced, session)?;
    session.have_typed(&format!("To power {node} off and on again, type its name: "), node)?;
    let began = boottime();
    let elapsed = || boottime().saturating_sub(began);
    let reason = "a drill".to_owned();
    let request = FenceRequest { node: node.clone(), action: "drill".to_owned(), reason };
    let answer = daemon.calls().fence(request).await;
    let answer = answer.map_err(|status| daemon.fault(&status))?.into_inner();
    if !matches!(answer.result, Some(outcome::Result::Done(_))) {
        let (exit, _) = of_outcome(&answer);
        session.show_outcome(&answer)?;
        return Ok(exit);
    }
    let mut report = Report { off_ms: elapsed().as_millis(), ..Report::default() };
    session.tell(&format!("{node} is off, read back by its device, after {} ms", report.off_ms))?;
    while elapsed() < args.wait && report.in_sync_ms.is_none() {
        tokio::time::sleep(LOOK_EVERY).await;
        // A look that fails says nothing about the node.
        let Ok(now) = daemon.status(0).await else { continue };
        let is_back =
            member(&now, node).is_some_and(|m| m.state == "ALIVE" && !m.boot.is_empty() && m.boot != boot);
        if is_back && report.back_ms.is_none() {
            report.back_ms = Some(elapsed().as_millis());
            session.tell(&format!("{node} is heard in a new boot after {} ms", elapsed().as_millis()))?;
        }
        if report.back_ms.is_some() && synced.iter().all(|tag| is_synced(&now, node, tag)) {
            report.in_sync_ms = Some(elapsed().as_millis());
        }
    }
    (report.first_level, report.level) = levels(&before, node, session).await?;
    end(node, &synced, &report, session)
}

fn member<'s>(status: &'s Status, node: &str) -> Option<&'s StatusMember> {
    status.members.iter().find(|member| member.node == node)
}

/// Refuses here what the witness would refuse too, before anybody types anything.
fn checked<'s>(status: &'s Status, node: &str) -> Result<&'s StatusMember, Fault> {
    let Some(member) = member(status, node) else {
        return Err(Fault::Refused(format!("{node:?} is no member")));
    };
    let why = if member.local {
        "it is this node; ask on another one"
    } else if member.state != "ALIVE" {
        "it is not heard"
    } else if !member.holds.is_empty() || status.volumes.iter().any(|volume| volume.holder == node) {
        "it holds a volume; move that away first"
    } else if !status.fences.iter().any(|fence| fence.target == node) {
        "no device fences it from here"
    } else {
        return Ok(member);
    };
    Err(Fault::Refused(format!("no drill of {node}: {why}")))
}

/// The volumes in which the node is in sync.
fn synced(status: &Status, node: &str) -> Vec<String> {
    let volumes = status.volumes.iter().filter(|volume| volume.isr.iter().any(|name| name == node));
    volumes.map(|volume| volume.tag.clone()).collect()
}

fn is_synced(status: &Status, node: &str, tag: &str) -> bool {
    status.volumes.iter().any(|volume| volume.tag == tag && volume.isr.iter().any(|name| name == node))
}

fn show(status: &Status, node: &str, synced: &[String], session: &mut Session) -> Result<(), Fault> {
    session.tell(&format!("Machine:   {node} of cluster {}", status.cluster))?;
    session.tell(&format!("In sync:   {}", list(synced)))?;
    for fence in status.fences.iter().filter(|fence| fence.target == node) {
        let (level, device, agent, test) = (fence.level, &fence.device, &fence.agent, &fence.test);
        session.tell(&format!("Level {level}:   device {device}, {agent}, test {test}"))?;
    }
    session.tell("")?;
    session.tell(&format!(
        "This powers {node} off as a fence would, and on again. Until it is back and in sync nobody can take over \
what it is a standby for."
    ))?;
    session.tell("")
}

/// The first level that can prove something, and the one that did.
async fn levels(before: &Status, node: &str, session: &Session) -> Result<(u32, u32), Fault> {
    let mut daemon = session.daemon().await?;
    let request = FenceHistoryRequest { node: node.to_owned(), entries_max: ENTRIES };
    let mut calls = daemon.calls().clone();
    let history = daemon.look(calls.fence_history(request)).await?;
    // Both times are this host's, in UTC and of one form, so that they can be compared as they are written.
    let own = |entry: &&FenceEntry| entry.outcome == "CONFIRMED_OFF" && entry.started_at >= before.at;
    let entry = history.entries.iter().find(own);
    let level = entry.map_or(0, |entry| entry.level);
    let fences = before.fences.iter().filter(|fence| fence.target == node);
    // A gate proves nothing, and a person is asked by no level that a drill should reach.
    let proving = fences.filter(|fence| !["gate", "meatware"].contains(&fence.kind.as_str()));
    let first = proving.map(|fence| fence.level).min().unwrap_or(0);
    Ok((first, level))
}

fn end(node: &str, synced: &[String], report: &Report, session: &mut Session) -> Result<Exit, Fault> {
    if session.json {
        let line = json!({
            "schema": SCHEMA, "node": node, "ok": report.is_good(), "level": report.level,
            "off_ms": report.off_ms, "back_ms": report.back_ms, "in_sync_ms": report.in_sync_ms,
        });
        writeln!(session.out, "{line}")?;
    }
    match report.in_sync_ms {
        Some(ms) => session.tell(&format!("{node} is in sync again ({}) after {ms} ms", list(synced)))?,
        None if report.back_ms.is_some() => {
            session.tell(&format!("{node} is back and NOT in sync yet; look at 'picket status'"))?;
        }
        None => {
            session.tell(&format!("{node} has NOT come back; look at it, and at 'picket fence history'"))?
        }
    }
    if report.level != report.first_level {
        let (level, first) = (report.level, report.first_level);
        session.tell(&format!("It was level {level} that fenced it: level {first} failed"))?;
    }
    Ok(if report.is_good() { Exit::Done } else { Exit::Failed })
}
