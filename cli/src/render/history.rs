//! What was fenced, when, by whom, and how it ended.

use super::paint::{Paint, Tone};
use super::table::{Cell, Table};
use picket_proto::v1::FenceEntry;

#[cfg(test)]
mod tests;

/// The history, line by line, in the order in which it came.
#[must_use]
pub fn lines(entries: &[FenceEntry], paint: Paint) -> Vec<String> {
    if entries.is_empty() {
        return vec!["Nothing was fenced.".to_owned()];
    }
    let mut table = Table::new([
        "STARTED", "ENDED", "TARGET", "BY", "PERMIT", "LEVEL", "DEVICE", "AGENT", "OUTCOME", "NOTES",
    ]);
    for entry in entries {
        let outcome = if entry.outcome.is_empty() {
            Cell::toned(Tone::Warn, "RUNNING")
        } else {
            Cell::state(&entry.outcome)
        };
        let waits = entry.manual && entry.outcome.is_empty();
        let notes = if waits { "a person is asked".to_owned() } else { entry.text.clone() };
        table.row([
            Cell::from(&entry.started_at),
            Cell::from(&entry.ended_at),
            Cell::from(&entry.target),
            Cell::from(&entry.fencer),
            // A power-on needs no permit.
            if entry.permit == 0 { String::new() } else { entry.permit.to_string() }.into(),
            entry.level.to_string().into(),
            Cell::from(&entry.device),
            Cell::from(&entry.agent),
            outcome,
            notes.into(),
        ]);
    }
    table.lines(paint)
}
