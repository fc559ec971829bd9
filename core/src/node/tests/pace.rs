//! When a node beats: by its own timer, and with the holder when it holds nothing.

use super::bench::{A, B, Bench, V, config, ms, params};
use crate::ids::{BootId, Epoch, NodeId, Nonce, PathId};
use crate::message::{Beat, Request, ToWitness};
use crate::node::{Effect, Input, LossAction};
use crate::time::{Duration, Instant};
use alloc::vec;
use alloc::vec::Vec;

const C: NodeId = NodeId(3);

/// Whether these effects beat: to the peers and to the witness, or to none of them.
fn beats(effects: &[Effect]) -> bool {
    let to_peers = effects.iter().filter(|effect| matches!(effect, Effect::Beat { .. })).count();
    let to_witness = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Witness(ToWitness { body: Request::Heartbeat(_), .. })));
    let to_witness = to_witness.count();
    assert_eq!(to_peers > 0, to_witness > 0, "{effects:?}");
    assert!(to_witness <= 1);
    to_witness == 1
}

/// Waits so long; when the node beat.
fn beaten_at(bench: &mut Bench, length: Duration) -> Vec<Instant> {
    let (until, mut at) = (bench.now + length, Vec::new());
    while bench.now < until {
        bench.now = bench.node.deadline(bench.now).min(until).max(bench.now + Duration::from_micros(1));
        let effects = bench.step(Input::Tick);
        at.extend(beats(&effects).then_some(bench.now));
    }
    at
}

/// The holder beats each heartbeat, first after `phase`; when the node beat.
fn with_the_holder(bench: &mut Bench, phase: Duration, rounds: usize) -> Vec<Instant> {
    let mut at = beaten_at(bench, phase);
    for _ in 0..rounds {
        let effects = bench.beat_from_b(true);
        at.extend(beats(&effects).then_some(bench.now));
        at.extend(beaten_at(bench, params().heartbeat));
        bench.renew();
    }
    at
}

fn gaps(at: &[Instant]) -> Vec<Duration> {
    at.windows(2).map(|two| two[1].since(two[0])).collect()
}

#[test]
fn who_holds_nothing_beats_when_the_holder_does_whenever_that_is() {
    for phase in [0, 1, 20, 49, 50, 51, 56, 57, 80, 99] {
        let mut bench = Bench::standby(LossAction::Osu);
        let from = bench.now + ms(phase);
        let at = with_the_holder(&mut bench, ms(phase), 8);
        let locked: Vec<_> = at.iter().filter(|at| **at >= from + ms(200)).collect();
        assert!(locked.len() >= 6, "{phase}: {locked:?}");
        for at in locked {
            assert_eq!(at.since(from).as_millis() % 100, 0, "{phase}");
        }
        let longest = gaps(&at).into_iter().max();
        assert!(longest <= Some(params().heartbeat + params().heartbeat / 16), "{phase}: {longest:?}");
        assert!(gaps(&at).iter().all(|gap| *gap >= ms(40)), "{phase}: {at:?}");
    }
}

#[test]
fn a_holder_that_falls_silent_is_not_waited_for() {
    let mut bench = Bench::standby(LossAction::Osu);
    let heartbeat = params().heartbeat;
    let mut at: Vec<_> = with_the_holder(&mut bench, ms(30), 4).into_iter().rev().take(1).collect();
    at.extend(beaten_at(&mut bench, heartbeat * 4));
    let slack = heartbeat / 16;
    assert_eq!(gaps(&at), [heartbeat + slack, heartbeat, heartbeat, heartbeat]);
}

#[test]
fn beats_of_who_holds_nothing_are_not_followed() {
    let mut bench = Bench::standby(LossAction::Osu);
    bench.say_free(2);
    let mut at = Vec::new();
    for _ in 0..5 {
        at.extend(beaten_at(&mut bench, ms(60)));
        assert!(!beats(&bench.beat_from_b(false)));
        at.extend(beaten_at(&mut bench, ms(40)));
    }
    assert!(gaps(&at).iter().all(|gap| *gap == params().heartbeat), "{at:?}");
}

#[test]
fn a_holder_keeps_its_own_pace() {
    let mut bench = Bench::holder(LossAction::Osu);
    let mut at = Vec::new();
    for _ in 0..5 {
        at.extend(beaten_at(&mut bench, ms(60)));
        let effects = bench.beat_with_epoch(1);
        assert!(!beats(&effects));
        at.extend(beaten_at(&mut bench, ms(40)));
        bench.renew();
    }
    assert!(gaps(&at).iter().all(|gap| *gap == params().heartbeat), "{at:?}");
}

fn beat(from: NodeId, seq: u64, echo: u64, path: u8) -> Input {
    let beat = Beat {
        from,
        boot: BootId(0xC0 + u128::from(from.0)),
        run: Nonce(0xCC + u128::from(from.0)),
        seq,
        echo: Some((Nonce(0x55), echo)),
        hears: crate::ids::NodeSet::only(A),
        holds: vec![(V, Epoch(1))],
    };
    Input::Beat { path: PathId(path), beat }
}

#[test]
fn one_beat_answers_what_came_on_two_paths() {
    let mut bench = Bench::new(config(LossAction::Osu));
    let mut beaten = 0;
    for seq in 1..=6 {
        bench.now = bench.now + ms(100);
        for path in [0, 1] {
            let echo = bench.node.peers[&B].beat_seq;
            let effects = bench.step(beat(B, seq, echo, path));
            beaten += effects.iter().filter(|effect| matches!(effect, Effect::Beat { .. })).count();
            bench.now = bench.now + ms(60 * u64::from(path == 0));
        }
        bench.now = bench.now - ms(60);
    }
    assert_eq!(beaten, 6);
}

#[test]
fn the_first_of_several_holders_sets_the_pace() {
    let mut three = config(LossAction::Osu);
    three.members = three.members.with(C);
    three.paths = [(B, 1), (C, 1)].into();
    let mut bench = Bench::new(three);
    let mut at = Vec::new();
    for seq in 1..=8 {
        for (node, phase) in [(C, 50), (B, 50)] {
            bench.now = bench.now + ms(phase);
            let echo = bench.node.peers[&node].beat_seq;
            let effects = bench.step(beat(node, seq, echo, 0));
            let beat = effects.iter().any(|effect| matches!(effect, Effect::Beat { .. }));
            at.extend(beat.then_some((node, bench.now)));
        }
    }
    let late: Vec<_> = at.iter().rev().take(5).collect();
    assert!(late.iter().all(|(node, _)| *node == B), "{at:?}");
    assert_eq!(gaps(&late.iter().rev().map(|(_, at)| *at).collect::<Vec<_>>()), [ms(100); 4]);
}
