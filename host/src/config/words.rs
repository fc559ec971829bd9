//! Words in messages: quoting, and the nearest known one.

use std::collections::BTreeSet;

/// Longer values are cut in messages; a line should stay a line.
const SHOWN_CHARS_MAX: usize = 60;

/// The text in quotes, escaped and cut.
pub(super) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    let dots = if shown.len() < text.len() { "…" } else { "" };
    format!("\"{}{dots}\"", shown.escape_debug())
}

/// The known word that `word` was most likely meant to be: at most a third of its letters differ.
pub(super) fn nearest<'k>(word: &str, known: &'k BTreeSet<String>) -> Option<&'k str> {
    let (distance, near) = known.iter().map(|candidate| (distance(word, candidate), candidate)).min()?;
    (distance <= near.chars().count().max(3) / 3).then_some(near)
}

/// How many letters must be inserted, removed, replaced or swapped with their neighbour.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let cell = |line: &[usize], at: usize| line.get(at).copied().unwrap_or(usize::MAX - 1);
            let replaced = cell(&last, column) + usize::from(letter != other);
            let mut best = replaced.min(cell(&last, column + 1) + 1).min(cell(&current, column) + 1);
            let swapped = row > 0
                && column > 0
                && from.get(row - 1) == Some(other)
                && to.get(column - 1) == Some(letter);
            if swapped {
                best = best.min(cell(&before_last, column - 1) + 1);
            }
            current.push(best);
        }
        before_last = core::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or(usize::MAX)
}
