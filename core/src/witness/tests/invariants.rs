//! What no step may do to a register: each is an alarm of its own.

use super::bench::{A, B, V, boot, set};
use crate::ids::{Epoch, IsrVersion, Nonce};
use crate::message::Holder;
use crate::time::Instant;
use crate::witness::turn::Turn;
use crate::witness::{Alarm, Effect, Record, Register, invariants};
use alloc::vec;
use alloc::vec::Vec;

fn register() -> Register {
    Register {
        epoch: Epoch(5),
        floor: Epoch(4),
        holder: Some(Holder { node: A, boot: boot(A, 1) }),
        isr: set(&[A, B]),
        isr_version: IsrVersion(7),
        ..Register::default()
    }
}

/// The invariants that a step breaks which makes this of the register.
fn broken(now: Register) -> Vec<&'static str> {
    let record = |register| Record { volumes: [(V, register)].into(), ..Record::default() };
    let mut turn = Turn::new(Instant::BOOT, Nonce(1));
    invariants::watch(&record(register()), &record(now), &mut turn);
    let alarms = turn.effects.into_iter().filter_map(|effect| match effect {
        Effect::Alarm(Alarm::Broken { invariant, .. }) => Some(invariant),
        _ => None,
    });
    alarms.collect()
}

#[test]
fn a_step_that_breaks_an_invariant_is_an_alarm() {
    let was = register();
    let other = Some(Holder { node: B, boot: boot(B, 1) });
    for (now, expected) in [
        (was.clone(), vec![]),
        (Register { epoch: Epoch(4), ..was.clone() }, vec!["epochs never go back"]),
        (Register { epoch: Epoch(6), holder: other, ..was.clone() }, vec![]),
        (Register { floor: Epoch(3), ..was.clone() }, vec!["burnt epochs stay burnt"]),
        (Register { floor: Epoch(9), ..was.clone() }, vec![]),
        (Register { isr_version: IsrVersion(6), ..was.clone() }, vec!["versions never go back"]),
        (Register { isr: set(&[A]), ..was.clone() }, vec!["each change of a set has its version"]),
        (Register { isr: set(&[A]), isr_version: IsrVersion(8), ..was.clone() }, vec![]),
        (
            Register { isr: set(&[]), isr_version: IsrVersion(8), ..was.clone() },
            vec!["an in-sync set never becomes empty"],
        ),
        (Register { holder: other, ..was.clone() }, vec!["an epoch has one holder"]),
        (Register { holder: None, ..was.clone() }, vec![]),
    ] {
        assert_eq!(broken(now.clone()), expected, "{now:?}");
    }
}
