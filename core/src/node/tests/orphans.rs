//! What this boot holds, and the configuration of the next daemon does not look after.

use super::super::*;
use super::bench::{BOOT, W};
use super::*;
use crate::ids::{BootId, Epoch};
use crate::message::{OperatorAnswer, Reply};
use alloc::string::ToString;
use alloc::vec;

/// The configuration of a daemon that does not know the volume which is held, and another one instead.
fn without(bench: &Bench) -> Config {
    let mut config = bench.node.config().clone();
    let own = config.volumes.remove(&V).unwrap();
    config.volumes.insert(W, own);
    config
}

#[test]
fn a_daemon_does_not_start_beside_what_is_held_and_not_configured() {
    let bench = Bench::holder(LossAction::Fastboot);
    let found = bench.restarted(without(&bench), BOOT).unwrap_err();
    assert_eq!(found, vec![Orphan { volume: V, epoch: Epoch(2), configured: false }]);
    let text = "this boot holds volume 1 with epoch 2, and the configuration does not have it";
    assert_eq!(found[0].to_string(), text);
}

#[test]
fn nor_beside_what_was_left_running() {
    let mut bench = Bench::holder(LossAction::Fastboot);
    let length = ms(60_000);
    bench.step(Input::Operator { ticket: 7, request: NodeRequest::StopKeepRunning { length } });
    bench.say(Reply::Operator { ticket: 7, answer: OperatorAnswer::Done });
    assert!(bench.run.keeps_running);
    assert!(bench.restarted(without(&bench), BOOT).is_err());
}

#[test]
fn nor_when_something_else_is_driven_for_what_is_held() {
    let mut bench = Bench::holder(LossAction::Fastboot);
    let mut config = bench.node.config().clone();
    config.volumes.get_mut(&V).unwrap().driver += 1;
    let found = bench.restarted(config.clone(), BOOT).unwrap_err();
    assert_eq!(found, vec![Orphan { volume: V, epoch: Epoch(2), configured: true }]);
    let text = "this boot holds volume 1 with epoch 2, and the configuration drives something else for it";
    assert_eq!(found[0].to_string(), text);
    // A record that does not say what was driven is believed.
    bench.run.held.get_mut(&V).unwrap().driver = None;
    let node = bench.restarted(config, BOOT).unwrap();
    assert_eq!(node.records().1.held[&V].driver, Some(2), "and says it from then on");
}

#[test]
fn another_boot_holds_nothing_and_a_released_volume_may_go() {
    let bench = Bench::holder(LossAction::Fastboot);
    assert!(bench.restarted(without(&bench), BootId(0xA2)).is_ok(), "the boot has ended what was held");
    let bench = Bench::standby(LossAction::Fastboot);
    assert!(bench.restarted(without(&bench), BOOT).is_ok());
}
