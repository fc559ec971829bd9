//! What stands on what, and the rules of each resource. Never changes while the daemon runs.

use core::time::Duration;

#[cfg(test)]
pub(super) mod tests;

/// Resources above one volume: that many agents may be at work at once when the tree stops, because a stop never
/// waits for a free place.
pub const RESOURCES_MAX: usize = 256;

/// What a failure of a resource leads to. A failed *stop* has no choice: it is the volume's stop failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OnFail {
    /// It is restarted here until its threshold; then, or when its start fails, the volume moves.
    #[default]
    Restart,
    /// This node is reset as soon as another one can take over.
    Fence,
    /// Nothing is done until an operator cleans up.
    Block,
    /// It and what stands on it are stopped until an operator cleans up.
    Stop,
}

/// One resource's rules.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rules {
    /// Its name.
    pub tag: String,
    /// What must run before it, by place in the plan; each smaller than its own.
    pub needs: Vec<usize>,
    /// How long a start may take.
    pub start_timeout: Duration,
    /// How long a stop may take until it counts as failed.
    pub stop_timeout: Duration,
    /// How long a look may take until the resource counts as failed.
    pub monitor_timeout: Duration,
    /// How often it is looked at while it runs; absent: never.
    pub monitor_interval: Option<Duration>,
    /// What it leads to that a look finds it failed.
    pub on_fail: OnFail,
    /// What it leads to that its start fails; [`OnFail::Restart`]: the volume moves.
    pub on_start_fail: OnFail,
    /// With so many failures it is not restarted here any more.
    pub threshold: u32,
    /// After so long without another failure they are forgotten; absent: never.
    pub expiry: Option<Duration>,
}

/// The tree above one volume, in an order in which it can be started.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Plan {
    rules: Vec<Rules>,
    above: Vec<Vec<usize>>,
}

impl Plan {
    /// Of resources in an order in which they can be started; what a resource needs must come before it.
    #[must_use]
    pub fn new(rules: Vec<Rules>) -> Self {
        let mut above = vec![Vec::new(); rules.len()];
        for (place, rule) in rules.iter().enumerate() {
            for needed in &rule.needs {
                debug_assert!(*needed < place);
                if let Some(above) = above.get_mut(*needed) {
                    above.push(place);
                }
            }
        }
        Self { rules, above }
    }

    /// All rules, in the plan's order.
    #[must_use]
    pub fn rules(&self) -> &[Rules] {
        &self.rules
    }

    /// What a resource needs.
    #[must_use]
    pub fn needs(&self, place: usize) -> &[usize] {
        self.rules.get(place).map_or(&[], |rules| &rules.needs)
    }

    /// What stands directly on a resource.
    #[must_use]
    pub fn above(&self, place: usize) -> &[usize] {
        self.above.get(place).map_or(&[], Vec::as_slice)
    }

    /// The place of a resource.
    #[must_use]
    pub fn find(&self, tag: &str) -> Option<usize> {
        self.rules.iter().position(|rules| rules.tag == tag)
    }

    /// A resource and everything that it needs, near and far.
    #[must_use]
    pub fn down_from(&self, place: usize) -> Vec<usize> {
        self.reach(place, |place| self.needs(place))
    }

    /// A resource and everything that stands on it, near and far.
    #[must_use]
    pub fn up_from(&self, place: usize) -> Vec<usize> {
        self.reach(place, |place| self.above(place))
    }

    /// Ends: each place is visited once.
    fn reach<'p>(&'p self, from: usize, next: impl Fn(usize) -> &'p [usize]) -> Vec<usize> {
        let mut found = vec![from];
        let mut at = 0;
        while let Some(place) = found.get(at).copied() {
            at += 1;
            for other in next(place) {
                if !found.contains(other) {
                    found.push(*other);
                }
            }
        }
        found
    }

    /// How long a stop of the whole tree takes at most: the longest chain of stops, one after the other. What does
    /// not stand on each other stops at the same time.
    #[must_use]
    pub fn longest_stop(&self) -> Duration {
        self.longest_chain().0
    }

    /// The same with the chain itself, what stops first first.
    #[must_use]
    pub fn longest_chain(&self) -> (Duration, Vec<usize>) {
        let mut until: Vec<(Duration, Option<usize>)> = Vec::with_capacity(self.rules.len());
        for rules in &self.rules {
            let length = |place: &usize| until.get(*place).map_or(Duration::ZERO, |(length, _)| *length);
            let below = rules.needs.iter().max_by_key(|needed| length(needed)).copied();
            let of_below = below.as_ref().map(length).unwrap_or_default();
            until.push((rules.stop_timeout + of_below, below));
        }
        let top = (0..until.len()).max_by_key(|place| until.get(*place).map(|(length, _)| *length));
        let whole = top.and_then(|top| until.get(top)).map(|(length, _)| *length).unwrap_or_default();
        // Ends: what a resource needs stands before it.
        let chain = core::iter::successors(top, |place| until.get(*place).and_then(|(_, below)| *below));
        (whole, chain.collect())
    }
}
