//! The status's sections below the tree.

use super::paint::{Paint, Tone, tone_of};
use super::table::{Cell, Table};
use super::{list, millis, since};
use picket_proto::v1::{Status, StatusMember};

pub(super) fn paths(status: &Status, paint: Paint) -> Vec<String> {
    let mut table = Table::new(["MACHINE", "NETWORK", "ADDRESSES/DEVICE", "STATE", "PRIO", "HEARD"]);
    for path in &status.paths {
        table.row([
            Cell::from(&path.machine),
            Cell::from(&path.network),
            Cell::from(&path.addresses),
            Cell::state(&path.state),
            path.prio.to_string().into(),
            since(path.heard_ms).into(),
        ]);
    }
    if table.is_empty() { Vec::new() } else { table.lines(paint) }
}

pub(super) fn members(status: &Status, paint: Paint) -> Vec<String> {
    let mut table = Table::new(["MEMBER", "ID", "STATE", "WITNESS HEARS", "HOLDS", "BOOT", "NOTES"]);
    for member in &status.members {
        let hears = match member.witness_hears {
            Some(true) => "yes",
            Some(false) => "no",
            None => "not known",
        };
        table.row([
            Cell::from(&member.node),
            member.id.to_string().into(),
            Cell::state(&member.state),
            Cell::from(hears),
            list(&member.holds).into(),
            Cell::from(short(&member.boot)),
            notes(member).into(),
        ]);
    }
    if table.is_empty() { Vec::new() } else { table.lines(paint) }
}

/// As much of an identifier as tells it from others.
fn short(id: &str) -> &str {
    const DIGITS_SHOWN: usize = 8;
    id.get(..DIGITS_SHOWN).unwrap_or(id)
}

fn notes(member: &StatusMember) -> String {
    let held = format!(
        "HELD for {}: takes no volume until that is back, or until 'picket node online {}'",
        list(&member.held_for),
        member.node
    );
    let is_held = !member.held_for.is_empty();
    // What is not known is not said.
    let standby = member.standby == Some(true);
    let marks = [
        (member.local, "this node"),
        (member.maintenance, "in maintenance"),
        (is_held, held.as_str()),
        (standby && !is_held, "STANDBY: takes no volume until 'picket node online'"),
        (member.held_off, "HELD OFF: fenced too often, 'picket clear' lets it back"),
        (member.failed, "DECLARED ITSELF FAILED"),
    ];
    let marks: Vec<&str> = marks.into_iter().filter_map(|(is, mark)| is.then_some(mark)).collect();
    marks.join(", ")
}

pub(super) fn quorum(status: &Status, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(quorum) = &status.quorum {
        let verdict = paint.text(tone_of(&quorum.verdict), &quorum.verdict);
        lines.push(format!(
            "Quorum: {verdict}, {} votes of {} needed, mode {}{}",
            quorum.votes,
            quorum.needed,
            quorum.mode,
            after_colon(&quorum.reason)
        ));
    }
    if let Some(witness) = &status.witness {
        let (tone, state) = match (witness.connected, witness.registered, witness.recovering) {
            (_, _, true) => (Tone::Bad, "RECOVERING: gives no grants"),
            (true, true, false) => (Tone::Good, "connected"),
            (true, false, false) => (Tone::Warn, "connected, not registered"),
            (false, _, false) => (Tone::Bad, "NOT CONNECTED"),
        };
        let missing = match witness.missing.as_slice() {
            [] => String::new(),
            missing => format!(", waits for {}", list(missing)),
        };
        lines.push(format!(
            "Witness: {} {}, answered {}{missing}{}",
            witness.address,
            paint.text(tone, state),
            since(witness.answered_ms),
            after_colon(&witness.error)
        ));
    }
    lines
}

fn after_colon(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

pub(super) fn permits(status: &Status, paint: Paint) -> Vec<String> {
    let line = |permit: &picket_proto::v1::StatusPermit| {
        format!("  {} may be fenced by {} (permit {})", permit.target, permit.fencer, permit.permit)
    };
    headed("Fence permits:", Tone::Warn, status.permits.iter().map(line), paint)
}

pub(super) fn pending(status: &Status, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    for pending in &status.pending {
        let node = &pending.target;
        lines.push(match pending.effective_in_ms {
            Some(ms) => format!("  {node}: confirmed, takes effect in {}", millis(ms)),
            None => format!("  {node}: {}, then: picket confirm {node}", pending.text),
        });
        if !pending.heard_by.is_empty() {
            lines.push(format!("    still heard by {}: cannot be confirmed now", list(&pending.heard_by)));
        }
    }
    headed("OPERATOR INTERVENTION REQUIRED:", Tone::Bad, lines.into_iter(), paint)
}

fn headed(heading: &str, tone: Tone, lines: impl Iterator<Item = String>, paint: Paint) -> Vec<String> {
    let mut all = vec![paint.text(tone, heading)];
    all.extend(lines);
    if all.len() > 1 { all } else { Vec::new() }
}

pub(super) fn fences(status: &Status, paint: Paint) -> Vec<String> {
    let heads = ["FENCE TARGET", "LEVEL", "DEVICE", "AGENT", "TEST", "TESTED", "LAST OUTCOME", "AT", "NOTES"];
    let mut table = Table::new(heads);
    for fence in &status.fences {
        table.row([
            Cell::from(&fence.target),
            fence.level.to_string().into(),
            Cell::from(&fence.device),
            Cell::from(&fence.agent),
            Cell::state(&fence.test),
            Cell::from(&fence.tested_at),
            Cell::state(&fence.last_outcome),
            Cell::from(&fence.last_at),
            // What fails now matters more than how the last fence went.
            Cell::from(if fence.test == "FAILED" { &fence.test_text } else { &fence.text }),
        ]);
    }
    if table.is_empty() { Vec::new() } else { table.lines(paint) }
}

pub(super) fn watchdog(status: &Status, paint: Paint) -> Vec<String> {
    let Some(watchdog) = &status.watchdog else { return Vec::new() };
    let (tone, state) = match (watchdog.armed, watchdog.petted) {
        (true, true) => (Tone::Good, "armed"),
        (true, false) => (Tone::Bad, "armed and NOT PETTED: this machine is about to be reset"),
        (false, _) => (Tone::Warn, "not armed"),
    };
    let counts =
        if watchdog.counts { "counts for the lease proof" } else { "does not count for the lease proof" };
    let device = if watchdog.device.is_empty() { "none" } else { &watchdog.device };
    if watchdog.device.is_empty() && !watchdog.armed {
        return vec![format!("Watchdog: {}, {counts}", paint.text(Tone::Warn, "none"))];
    }
    vec![format!(
        "Watchdog: {device} {}, {}, {counts}{}",
        paint.text(tone, state),
        millis(watchdog.timeout_ms),
        after_colon(&watchdog.text)
    )]
}

pub(super) fn events(status: &Status, paint: Paint) -> Vec<String> {
    let lines = status.events.iter().map(|event| {
        let tone = match event.level.as_str() {
            "CRIT" | "ERROR" => Tone::Bad,
            "WARN" => Tone::Warn,
            _ => Tone::Plain,
        };
        let level = paint.text(tone, &event.level);
        format!("  {} {level} [P{:04} {}] {}", event.at, event.number, event.name, event.text)
    });
    headed("Events:", Tone::Strong, lines, paint)
}
