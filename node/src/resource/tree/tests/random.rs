//! Whatever happens in whatever order: what must never be is never seen.

use super::super::{Effect, Input, Outcome, Policy, Request, Standing, State};
use super::bench::{Bench, SECOND, diamond};
use crate::resource::plan::OnFail;
use picket_core::node::{CommandId, Role};

/// A small generator: the same numbers in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn input(dice: &mut Dice) -> Input {
    let standings = [
        Standing::Unread,
        Standing::Away,
        Standing::Coming,
        Standing::Active,
        Standing::Active,
        Standing::Active,
        Standing::Frozen,
        Standing::Leaving,
    ];
    let tags = [None, Some("fs"), Some("ip"), Some("db"), Some("app")];
    let tag = |dice: &mut Dice| tags[dice.below(5) as usize].map(str::to_owned);
    match dice.below(13) {
        0 => Input::Role(
            [Role::Primary, Role::Primary, Role::Secondary, Role::Unknown][dice.below(4) as usize],
        ),
        1 | 2 => Input::Standing(standings[dice.below(8) as usize]),
        3 => Input::Leave(CommandId(dice.below(1000))),
        4 => Input::Ask(Request::Remove { tag: tag(dice) }),
        5 => Input::Ask(Request::Restore { tag: tag(dice), only: dice.below(2) == 0 }),
        6 => Input::Ask(Request::Cleanup { tag: tag(dice) }),
        7 => Input::Maintenance(dice.below(4) == 0),
        8 => Input::NotMoved("nobody".to_owned()),
        9 => Input::Ask(Request::Policy(Policy {
            failover: dice.below(2) == 0,
            local_recovery: dice.below(2) == 0,
        })),
        10 => Input::Stir(dice.below(4) as usize),
        _ => Input::Tick,
    }
}

fn outcome(dice: &mut Dice) -> Outcome {
    match dice.below(9) {
        8 => Outcome::Unknown("nobody answers".to_owned()),
        0 => Outcome::Failed("no".to_owned()),
        1 => Outcome::Unfit("not here".to_owned()),
        2 | 3 => Outcome::NotRunning,
        _ => Outcome::Done,
    }
}

fn check(bench: &mut Bench) {
    let resources = &bench.tree.resources;
    let idle = resources.iter().all(|resource| resource.work.is_none());
    let stuck = resources.iter().any(|resource| resource.state == State::Stuck);
    let down = bench.tree.is_down();
    for effect in core::mem::take(&mut bench.told) {
        if let Effect::Release(_) = effect {
            assert!(down && idle && !stuck, "released with something running");
            assert!(!bench.ran.contains(&true), "released with something that no stop has ended");
        }
    }
    if bench.tree.shown_role() == Role::Secondary {
        assert!(down, "shown as inactive with something running");
        assert!(!bench.ran.contains(&true), "shown as inactive with something that no stop has ended");
    }
}

#[test]
fn in_any_order_of_events_nothing_is_pulled_from_under_what_runs() {
    for (round, on_fail) in
        [OnFail::Restart, OnFail::Fence, OnFail::Block, OnFail::Stop].into_iter().enumerate()
    {
        let mut dice = Dice(round as u64 + 1);
        let mut released = 0;
        for _ in 0..150 {
            let mut bench = Bench::new(diamond(on_fail));
            for _ in 0..200 {
                if dice.below(2) == 0 && !bench.open.is_empty() {
                    let at = dice.below(bench.open.len() as u64) as usize;
                    let place = bench.open.values().nth(at).unwrap().0;
                    let tag = bench.tree.tag(place).to_owned();
                    bench.end(&tag, outcome(&mut dice));
                } else {
                    bench.now = bench.now + SECOND * dice.below(20) as u32;
                    bench.input(input(&mut dice));
                }
                released += bench.told.iter().filter(|effect| matches!(effect, Effect::Release(_))).count();
                check(&mut bench);
            }
        }
        assert!(released > 50, "the test must get to where it can fail: {released}");
    }
}
