//! What was found so far, and whether cargo-mutants agrees.

use crate::Session;
use picket_schemata::book::Verdict;
use picket_schemata::explain;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};

impl Session {
    /// Prints counts and survivors, those that have no written reason, and reasons that fit no survivor.
    pub(crate) fn report(&self) -> Result<(), String> {
        let count = |wanted: Option<Verdict>| {
            let verdicts = self.list.faults.iter().map(|fault| self.verdict(fault).map(|found| found.0));
            verdicts.filter(|verdict| *verdict == wanted).count()
        };
        let (caught, timed_out) = (count(Some(Verdict::Caught)), count(Some(Verdict::TimedOut)));
        let (survived, unviable) = (count(Some(Verdict::Survived)), count(Some(Verdict::Unviable)));
        let left = count(None);
        println!(
            "core: {} faults; {caught} caught, {timed_out} timed out, {survived} survived, {unviable} do not compile, \
             {left} not judged yet",
            self.list.faults.len()
        );
        // The survivors are known last: what is not judged counts as one.
        let killed = caught + timed_out;
        if let Some(permille) = (killed * 1000).checked_div(killed + survived + left) {
            println!("killed: {}.{} %, at least", permille / 10, permille % 10);
        }
        let survivors: Vec<_> = self
            .list
            .faults
            .iter()
            .filter(|fault| self.verdict(fault).is_some_and(|found| found.0 == Verdict::Survived))
            .collect();
        survivors.iter().for_each(|fault| println!("  survived: {}", fault.name));
        let names: Vec<String> = survivors.iter().map(|fault| fault.lasting_name()).collect();
        let path = &self.arguments.reasons;
        let reasons =
            std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let differences = explain::compare(&reasons, &names);
        differences.unexplained.iter().for_each(|(name, count)| println!("  no reason: {name} ×{count}"));
        // A fault that is not judged yet may still be one that survives.
        let stale = if left == 0 { differences.stale.as_slice() } else { &[] };
        stale.iter().for_each(|(name, count)| println!("  a reason without survivor: {name} ×{count}"));
        println!("{} of {survived} survivors have their reason in {}", differences.explained, path.display());
        Ok(())
    }

    /// Lets cargo-mutants judge a sample by the unit tests: as many that these noticed here, that nothing noticed, and
    /// that do not compile. Whether it says the same of each.
    pub(crate) fn compare(&self) -> Result<bool, String> {
        let seed = self.arguments.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        println!("compared with cargo-mutants (--seed {seed}):");
        let by_unit_tests = |fault: &_| match self.verdict(fault)? {
            (Verdict::Caught | Verdict::TimedOut, by) if by.starts_with("unit") => Some(Verdict::Caught),
            (Verdict::Caught | Verdict::TimedOut, _) => None,
            (verdict, _) => Some(verdict),
        };
        let mut sample = Vec::new();
        for kind in [Verdict::Caught, Verdict::Survived, Verdict::Unviable] {
            let of_kind: Vec<&str> = self
                .list
                .faults
                .iter()
                .filter(|fault| by_unit_tests(fault) == Some(kind))
                .map(|fault| fault.name.as_str())
                .collect();
            let share = self.arguments.check.div_ceil(3).min(of_kind.len());
            sample.extend(chosen(of_kind, share, seed).into_iter().map(|name| (name, kind)));
        }
        let names: Vec<&str> = sample.iter().map(|(name, _)| *name).collect();
        let theirs = self.real(&names, &["picket-core"])?;
        let mut agreed = 0;
        for (name, ours) in &sample {
            let verdict = match theirs.get(*name) {
                Some(Verdict::TimedOut) => Some(Verdict::Caught),
                other => other.copied(),
            };
            if verdict == Some(*ours) {
                agreed += 1;
            } else {
                println!("  here {ours:?}, there {verdict:?}: {name}");
            }
        }
        println!("{agreed} of {} agree", sample.len());
        Ok(agreed == sample.len())
    }
}

/// So many of the names, by chance.
fn chosen(mut names: Vec<&str>, count: usize, seed: u64) -> Vec<&str> {
    let mut state = seed | 1;
    let mut taken = Vec::new();
    while taken.len() < count && !names.is_empty() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let place = usize::try_from(state % 0x1_0000_0000).unwrap_or(0) % names.len();
        taken.push(names.swap_remove(place));
    }
    taken
}
