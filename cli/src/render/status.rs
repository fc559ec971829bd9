//! The status for people: what is unprotected first, then the tree, then a section for each part.

use super::paint::{Paint, Tone};
use super::table::{Cell, Table};
use super::{list, millis, sections, tree};
use picket_proto::v1::{Status, StatusResource, StatusVolume};

/// The whole status, line by line.
#[must_use]
pub fn lines(status: &Status, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    head(status, paint, &mut lines);
    unprotected(status, paint, &mut lines);
    let parts = [
        resources(status, paint),
        volumes(status, paint),
        sections::paths(status, paint),
        sections::members(status, paint),
        sections::quorum(status, paint),
        sections::permits(status, paint),
        sections::pending(status, paint),
        sections::fences(status, paint),
        sections::watchdog(status, paint),
        sections::events(status, paint),
    ];
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        lines.push(String::new());
        lines.extend(part);
    }
    lines
}

fn head(status: &Status, paint: Paint, lines: &mut Vec<String>) {
    let lab =
        if status.lab { paint.text(Tone::Warn, "  LAB: nothing real is protected") } else { String::new() };
    let name = paint.heading(&format!("{} / {}", status.cluster, status.node));
    lines.push(format!(
        "{name}  {}  profile {}  up {}{lab}",
        status.at,
        status.profile,
        millis(status.uptime_ms)
    ));
}

fn unprotected(status: &Status, paint: Paint, lines: &mut Vec<String>) {
    if status.unprotected.is_empty() {
        lines.push(paint.text(Tone::Good, "Everything is protected."));
        return;
    }
    lines.push(paint.text(Tone::Bad, "NOT PROTECTED:"));
    for hole in &status.unprotected {
        let since = if hole.since.is_empty() { String::new() } else { format!(" since {}", hole.since) };
        let subject = if hole.subject.is_empty() { String::new() } else { format!(" {}:", hole.subject) };
        lines.push(format!("  {}{subject} {}{since}", paint.text(Tone::Warn, &hole.word), hole.text));
    }
}

fn resources(status: &Status, paint: Paint) -> Vec<String> {
    let mut table = Table::new(["LOCAL", "TAG", "ID", "STATE", "PRIO", "PRIMARY"]);
    for (depth, node) in tree::order(status) {
        table.row([
            Cell::from(node.local),
            format!("{}{}", "  ".repeat(depth), node.tag).into(),
            node.id.into(),
            Cell::state(node.state),
            node.prio.to_string().into(),
            Cell::from(node.primary),
        ]);
    }
    if table.is_empty() {
        return vec!["No resources are configured.".to_owned()];
    }
    let mut lines = table.lines(paint);
    lines.extend(status.resources.iter().filter_map(note).map(|note| format!("  {note}")));
    lines
}

/// What there is to say of a resource besides its state.
fn note(resource: &StatusResource) -> Option<String> {
    let marks = [resource.doing.as_str(), resource.held.as_str()];
    // A look is under way every few seconds, and no news.
    let marks: Vec<&str> = marks.into_iter().filter(|mark| !mark.is_empty() && *mark != "LOOKING").collect();
    let failures = (resource.failures > 0)
        .then(|| format!("{} of {} failures: {}", resource.failures, resource.threshold, resource.text));
    let failed = failures.or_else(|| (!resource.text.is_empty()).then(|| resource.text.clone()));
    if marks.is_empty() && failed.is_none() {
        return None;
    }
    let failed = failed.map(|failed| format!(" {failed}")).unwrap_or_default();
    let marks = if marks.is_empty() { String::new() } else { format!(" {}", marks.join(", ")) };
    Some(format!("{}:{marks}{failed}", resource.tag))
}

fn volumes(status: &Status, paint: Paint) -> Vec<String> {
    let heads = ["VOLUME", "ROLE", "PHASE", "EPOCH", "HOLDER", "IN SYNC", "SYNC", "LEASE", "NOTES"];
    let mut table = Table::new(heads);
    for volume in &status.volumes {
        table.row([
            Cell::from(&volume.tag),
            Cell::state(&volume.role),
            Cell::from(&volume.phase),
            volume.epoch.to_string().into(),
            Cell::from(&volume.holder),
            list(&volume.isr).into(),
            sync(volume).into(),
            volume.lease_left_ms.map(millis).unwrap_or_default().into(),
            notes(volume).into(),
        ]);
    }
    let mut lines = if table.is_empty() { Vec::new() } else { table.lines(paint) };
    for volume in status.volumes.iter().filter(|volume| !volume.why.is_empty()) {
        let word = if volume.why_word.is_empty() { String::new() } else { format!(" [{}]", volume.why_word) };
        lines.push(format!("  {}: {}{word}", volume.tag, volume.why));
    }
    lines
}

fn sync(volume: &StatusVolume) -> String {
    match (volume.sync_percent, volume.complete) {
        (Some(percent), _) => format!("{percent} %"),
        (None, true) => "complete".to_owned(),
        (None, false) => "incomplete".to_owned(),
    }
}

fn notes(volume: &StatusVolume) -> String {
    let marks = [
        (volume.solo, "solo"),
        (volume.frozen, "frozen"),
        (volume.exclusive_only, "exclusive only: writes are not protected"),
        (volume.overridden, "OVERRIDDEN"),
        (!volume.failover, "no failover"),
    ];
    let marks: Vec<&str> = marks.into_iter().filter_map(|(is, mark)| is.then_some(mark)).collect();
    marks.join(", ")
}

#[cfg(test)]
mod tests;
