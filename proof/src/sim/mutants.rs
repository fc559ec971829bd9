//! Each known-wrong rule, put in, is found in an aim whose every seed the protocol as it is passes.

use super::aims::{self, Aim};
use super::many;
use super::run::Plan;
use super::shrink::shrink_while;
use crate::world::World;
use crate::world::oracle::Violation;
use std::collections::BTreeMap;

/// How a known-wrong rule was found.
#[derive(Clone, Debug)]
pub struct Caught {
    /// In which aim.
    pub aim: &'static str,
    /// With which seed.
    pub seed: u64,
    /// What was violated.
    pub violation: Violation,
    /// The shortest story that was found, in sentences.
    pub story: Vec<String>,
}

/// The aims that find a known-wrong rule.
#[must_use]
pub fn aims_for(number: u8) -> Vec<Aim> {
    aims::all().into_iter().filter(|aim| aim.finds.contains(&number)).collect()
}

/// Runs every seed of an aim. None: nothing was violated.
#[must_use]
pub fn first_violation(aim: &Aim, threads: u64) -> Option<(u64, Violation)> {
    let found = many::run(1..aim.seeds + 1, threads, true, |seed| Plan::of_aim(aim, seed));
    found.violations.into_iter().next()
}

/// Looks for the rule that is switched on. A story is made shorter only while the protocol as it is passes it, which
/// `passes` tells.
#[must_use]
pub fn find(number: u8, threads: u64, passes: &dyn Fn(&Plan) -> bool) -> Option<Caught> {
    aims_for(number).iter().find_map(|aim| {
        let (seed, _) = first_violation(aim, threads)?;
        let plan = shrink_while(&Plan::of_aim(aim, seed), passes);
        let outcome = plan.run(true, false);
        let violation = outcome.violation?;
        Some(Caught { aim: aim.name, seed, violation, story: tell(&outcome.world) })
    })
}

/// A sentence is told so often at most in one story; what flaps is told twice and known by then.
const TOLD_MAX: usize = 2;

/// The story of a run from its first fault on.
#[must_use]
pub fn tell(world: &World) -> Vec<String> {
    let lines = world.log.story();
    let from = lines.iter().position(|line| line.contains("FAULT")).unwrap_or(0);
    let mut told: BTreeMap<&str, usize> = BTreeMap::new();
    let mut story = Vec::new();
    for line in &lines[from..] {
        let sentence = line.split_once(" s  ").map_or(line.as_str(), |(_, sentence)| sentence);
        let times = told.entry(sentence).or_default();
        *times += 1;
        if *times <= TOLD_MAX || sentence.starts_with("FAULT") {
            story.push(line.clone());
        }
    }
    story
}
