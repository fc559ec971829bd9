//! The written reasons why some faults are not noticed, held against those that are not.
//!
//! In the document each stands on a line of its own: a dash, and the fault between grave accents, without line and
//! column; `×2` behind it if there are two of that name. The reason is the text above the lines.

use std::collections::BTreeMap;

/// What does not fit.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Faults that survived and have no reason, and how many of that name.
    pub unexplained: Vec<(String, usize)>,
    /// Reasons for faults that did not survive.
    pub stale: Vec<(String, usize)>,
    /// Survivors that have a reason.
    pub explained: usize,
}

/// Compares the document with the names of those that survived.
#[must_use]
pub fn compare(document: &str, survivors: &[String]) -> Differences {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for name in survivors {
        counts.entry(name).or_default().0 += 1;
    }
    for (name, count) in document.lines().filter_map(entry) {
        counts.entry(name).or_default().1 += count;
    }
    let mut differences = Differences::default();
    for (name, (survived, reasons)) in counts {
        differences.explained += survived.min(reasons);
        let list = if survived > reasons { &mut differences.unexplained } else { &mut differences.stale };
        if survived != reasons {
            list.push((name.to_owned(), survived.abs_diff(reasons)));
        }
    }
    differences
}

fn entry(line: &str) -> Option<(&str, usize)> {
    let (name, rest) = line.strip_prefix("- `")?.split_once('`')?;
    match rest.trim().strip_prefix('×') {
        Some(count) => Some((name, count.parse().ok()?)),
        None => Some((name, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Differences, compare};

    #[test]
    fn every_survivor_needs_a_reason_and_every_reason_a_survivor() {
        let document = "Because.\n\n- `a.rs: x`\n- `a.rs: y` ×2\n- `gone.rs: z`\n";
        let survivors = ["a.rs: x", "a.rs: x", "a.rs: y", "a.rs: y", "new.rs: w"].map(String::from);
        let expected = Differences {
            unexplained: vec![("a.rs: x".into(), 1), ("new.rs: w".into(), 1)],
            stale: vec![("gone.rs: z".into(), 1)],
            explained: 3,
        };
        assert_eq!(compare(document, &survivors), expected);
    }
}
