//! What no step may do to a record, whatever came in. Each violation is an alarm: it must never be seen.

use super::event::Alarm;
use super::turn::Turn;
use super::{Record, Register};
use crate::ids::VolumeId;

/// Compares the record before and after a step.
pub(super) fn watch(before: &Record, after: &Record, turn: &mut Turn) {
    for (volume, now) in &after.volumes {
        if let Some(was) = before.volumes.get(volume)
            && was != now
        {
            watch_register(*volume, was, now, turn);
        }
    }
}

fn watch_register(volume: VolumeId, was: &Register, now: &Register, turn: &mut Turn) {
    let mut need = |holds: bool, invariant: &'static str| {
        if !holds {
            turn.alarm(Alarm::Broken { invariant, volume });
        }
    };
    need(now.epoch >= was.epoch, "epochs never go back");
    need(now.floor >= was.floor, "burnt epochs stay burnt");
    need(now.isr_version >= was.isr_version, "versions never go back");
    need(now.isr == was.isr || now.isr_version > was.isr_version, "each change of a set has its version");
    need(!now.isr.is_empty() || was.isr.is_empty(), "an in-sync set never becomes empty");
    let same_epoch = now.epoch == was.epoch && was.holder.is_some();
    need(!same_epoch || now.holder.is_none() || now.holder == was.holder, "an epoch has one holder");
}
