//! When the watchdog may be petted.
//!
//! Petting stops early enough before a lease ends for the watchdog to have killed the machine by then: at the end
//! minus 2W minus p. One W is the watchdog's own time. The other is the longest that a pet can come after the look
//! at the clock that allowed it: a stall between the two ends within W of the pet before it, or the machine is dead.
//! It depends on *every* held volume: one that is solo or verified inactive allows it for ever, one that is neither
//! only until then.

use super::state::{Node, Phase};
use crate::ids::VolumeId;
use crate::mutant::{self, Mutant};
use crate::time::Instant;

impl Node {
    /// Until when the watchdog may be petted. [`Instant::BOOT`]: not at all; [`Instant::NEVER`]: nothing that is
    /// held bounds it. The petting thread compares it with the clock before each pet, and again after it.
    #[must_use]
    pub fn pet_until(&self, _now: Instant) -> Instant {
        if self.resetting {
            return Instant::BOOT;
        }
        if mutant::on(Mutant::M5) {
            return Instant::NEVER;
        }
        let bounds = self.volumes.keys().map(|id| self.volume_pet_until(*id));
        let bound = if mutant::on(Mutant::M27) { bounds.max() } else { bounds.min() };
        bound.unwrap_or(Instant::NEVER)
    }

    fn volume_pet_until(&self, id: VolumeId) -> Instant {
        let Some(volume) = self.volumes.get(&id) else { return Instant::NEVER };
        let margin = self.config.params.petting_margin();
        match volume.phase {
            Phase::Secondary => Instant::NEVER,
            Phase::Failed => Instant::BOOT,
            Phase::Unread => match self.run.held.get(&id) {
                Some(held) if !self.kept && !self.was_alone(id) => held.lease_until - margin,
                Some(_) | None => Instant::NEVER,
            },
            Phase::Promoting(held) | Phase::Active(held) | Phase::Frozen(held) => {
                if self.is_solo(id) || self.counts_as_inactive(id) {
                    Instant::NEVER
                } else {
                    held.lease_until - margin
                }
            }
            Phase::Stopping(stopping) => match stopping.held {
                Some(_) if self.is_solo(id) || volume.is_verified_inactive() => Instant::NEVER,
                Some(held) => held.lease_until - margin,
                None => Instant::NEVER,
            },
        }
    }
}
