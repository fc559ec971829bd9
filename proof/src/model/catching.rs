//! Whether a known-wrong rule is caught: by the smallest schedule that the families built for it find, and only if that
//! schedule violates nothing without the rule.

use super::explore::{Search, Violation, violated};
use super::families::Family;

/// How the search for a known-wrong rule ended.
#[derive(Debug)]
pub enum Catch<'a> {
    /// It is found, and it alone is to blame.
    Caught {
        /// The family with the smallest schedule.
        family: &'a Family,
        /// What that schedule violates.
        violation: Violation,
        /// States that were visited in all families.
        states: u64,
    },
    /// Something is found, but the protocol as it is fails it too.
    FailsAnyway {
        /// In which family.
        family: &'a Family,
        /// What is violated without the rule.
        text: String,
    },
    /// Nothing is found.
    Missed,
}

/// Searches the families with the rule switched on, with one fault, then with two, and so on. Of what is found the
/// smallest counts: the fewest faults, then the shortest time; and it is run again with the rule switched off.
pub fn catch<'a>(homes: &[&'a Family], bound: u64, switch: &dyn Fn(bool)) -> Catch<'a> {
    switch(true);
    let deepest = homes.iter().map(|family| family.stages.len()).max().unwrap_or(0);
    let (mut states, mut finds) = (0, Vec::new());
    for depth in 1..=deepest {
        for family in homes.iter().filter(|family| family.stages.len() >= depth) {
            let found = Search::new(family, depth, bound).shortest().run();
            states += found.states;
            finds.extend(found.violation.map(|violation| (*family, violation)));
        }
        if !finds.is_empty() {
            break;
        }
    }
    switch(false);
    finds.sort_by_key(|(_, violation)| (violation.schedule.len(), violation.after));
    let mut fails = None;
    for (family, violation) in finds {
        match violated(family, &violation.schedule) {
            None => return Catch::Caught { family, violation, states },
            Some(text) => fails = fails.or(Some((family, text))),
        }
    }
    fails.map_or(Catch::Missed, |(family, text)| Catch::FailsAnyway { family, text })
}

#[cfg(test)]
mod tests;
