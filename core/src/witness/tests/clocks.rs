//! A node's clock, judged by its heartbeats: the bound, and what only looks like drift.

use super::bench::{A, B, Bench, V, ms};
use crate::message::{Heartbeat, Request};
use crate::time::Duration;
use alloc::vec;

/// A's clock reads this at the start: a boot earlier than the witness's.
const STARTED: Duration = Duration::from_secs(7);

/// A holds V and says every half second what its clock reads; B is heard as well.
struct Clocks {
    bench: Bench,
    clock: Duration,
}

impl Clocks {
    fn new() -> Self {
        Self { bench: Bench::held(&[A, B], &[V]), clock: STARTED }
    }

    /// Half a second goes by, in which A's clock runs at this rate.
    fn pass(&mut self, rate_ppm: u64) {
        self.bench.pass(ms(500), &[B]);
        self.clock += Duration::from_nanos(500 * rate_ppm);
    }

    /// A heartbeat arrives that read the clock this long ago.
    fn arrive(&mut self, held: Duration) {
        let clock = Duration::from_nanos(nanos(self.clock) - nanos(held));
        let holds = vec![(V, self.bench.epoch(V))];
        self.bench.say(A, Request::Heartbeat(Heartbeat { holds, clock, ..Heartbeat::default() }));
    }

    /// This many half seconds at a rate, with a heartbeat each; how often the judgement was true.
    fn run(&mut self, count: u32, rate_ppm: u64) -> u32 {
        let mut drifting = 0;
        for _ in 0..count {
            self.pass(rate_ppm);
            self.arrive(Duration::ZERO);
            drifting += u32::from(self.drifts());
        }
        drifting
    }

    fn drifts(&self) -> bool {
        self.bench.witness.record().nodes[&A].drifts
    }
}

fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).expect("a test's clock")
}

#[test]
fn a_clock_outside_the_bound_switches_the_lease_proof_off_until_it_is_inside_again() {
    let mut clocks = Clocks::new();
    assert_eq!(clocks.run(100, 1_004_000), 0);
    clocks.run(300, 1_030_000);
    assert!(clocks.drifts());
    clocks.bench.acquire(B, V, 1);
    clocks.bench.pass(ms(3000), &[B]);
    assert_eq!(clocks.bench.holder(V), Some(A));
    assert!(clocks.bench.told(B).is_none(), "the reason has not changed since it was told");
    clocks.bench.register(A);
    clocks.run(180, 1_000_000);
    assert!(!clocks.drifts());
}

#[test]
fn a_slow_clock_is_found_however_its_messages_come() {
    for held in [0, 300, 3000] {
        let mut clocks = Clocks::new();
        for turn in 0..1000_u64 {
            clocks.pass(990_000);
            clocks.arrive(if turn % 3 == 0 { Duration::ZERO } else { ms(held) });
            assert!(
                turn < 150 || clocks.drifts(),
                "with {held} ms, at {turn}: found once, it is not lost again"
            );
        }
    }
}

#[test]
fn messages_that_a_cut_link_held_back_are_no_drift() {
    for cut in 1..60 {
        let mut clocks = Clocks::new();
        assert_eq!(clocks.run(40, 1_000_000), 0);
        for _ in 0..cut {
            clocks.pass(1_000_000);
        }
        for sent in (0..cut).rev() {
            clocks.arrive(ms(500 * sent));
            assert!(!clocks.drifts(), "after {cut}");
        }
        assert_eq!(clocks.run(240, 1_000_000), 0, "after {cut}");
    }
}

#[test]
fn a_few_readings_far_apart_are_no_judgement() {
    let mut clocks = Clocks::new();
    for turn in 0..7 {
        for _ in 0..30 {
            clocks.pass(1_050_000);
        }
        clocks.arrive(Duration::ZERO);
        assert!(!clocks.drifts(), "at {turn}: all of these may have been held back by one fault");
    }
}

#[test]
fn single_messages_between_many_cuts_are_no_drift() {
    let mut clocks = Clocks::new();
    assert_eq!(clocks.run(40, 1_000_000), 0);
    for turn in 0..40_u64 {
        for _ in 0..5 {
            clocks.pass(1_000_000);
        }
        clocks.arrive(if turn % 2 == 0 { Duration::ZERO } else { ms(2400) });
        assert!(!clocks.drifts(), "at {turn}");
    }
}
