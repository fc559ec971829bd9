//! A node that slept reads what came meanwhile before it takes anybody for silent.

use super::super::*;
use super::bench::{params, requests};
use super::*;
use crate::message::Request;

fn asks_for_a_fence(effects: &[Effect]) -> bool {
    requests(effects).iter().any(|request| matches!(request, Request::RequestFence(_)))
}

#[test]
fn a_node_that_slept_does_not_take_its_own_sleep_for_the_holders_silence() {
    for slept in (0..3000).step_by(10).map(ms) {
        let mut bench = Bench::standby(LossAction::Osu);
        bench.beat_from_b(true);
        bench.now = bench.now + slept;
        let woken = bench.step(Input::Tick);
        assert!(!asks_for_a_fence(&woken), "slept for {slept:?}");
        let read = bench.beat_from_b(true);
        assert!(!asks_for_a_fence(&read), "slept for {slept:?}");
    }
}

#[test]
fn whoever_says_nothing_after_a_sleep_either_is_silent_a_heartbeat_later() {
    let mut bench = Bench::standby(LossAction::Osu);
    bench.beat_from_b(true);
    bench.now = bench.now + params().suspect_after() * 2;
    assert!(!asks_for_a_fence(&bench.step(Input::Tick)));
    assert!(asks_for_a_fence(&bench.wait(params().heartbeat)));
}
