//! What a member says it has seen, before the machine takes it in.
//!
//! The machine takes the largest numbers that anybody has seen and counts on from them. A number close to the end of
//! what can be written would leave nothing to count: from then on no node could read what the witness says, and one
//! member had silenced it for all. So a member may claim half of the room at most. The other half is the witness's own,
//! for counting; what it has counted itself may be said back to it, whatever it is.

use picket_core::message::{ReplicaReport, Request, ToWitness};
use picket_core::witness::{Record, Register};
use picket_proto::COUNT_MAX;
use std::fmt;

/// The largest number that is believed without being in the record. Nobody gets there by counting: see [`COUNT_MAX`].
pub const CLAIM_MAX: u64 = COUNT_MAX / 2;

/// A number that nobody can have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unbelievable {
    /// Which number.
    pub what: &'static str,
    /// What was claimed.
    pub claimed: u64,
    /// What this witness has recorded.
    pub recorded: u64,
}

impl fmt::Display for Unbelievable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, claimed, recorded } = self;
        write!(
            f,
            "{what} {claimed} is claimed, {recorded} is recorded, and nobody can have counted beyond {CLAIM_MAX}: \
             the node's record is damaged, or it lies"
        )
    }
}

/// Whether a message can be taken in.
///
/// # Errors
/// The first number in it that nobody can have seen.
pub fn believable(record: &Record, message: &ToWitness) -> Result<(), Unbelievable> {
    judge("commit", message.seen.commit.0, record.commit.0)?;
    if let Request::Register(register) = &message.body {
        for report in &register.replicas {
            judge_report(record.volumes.get(&report.volume), report)?;
        }
    }
    Ok(())
}

fn judge_report(register: Option<&Register>, report: &ReplicaReport) -> Result<(), Unbelievable> {
    let epoch = register.map_or(0, |register| register.epoch.0);
    let version = register.map_or(0, |register| register.isr_version.0);
    judge("epoch", report.max_epoch.0, epoch)?;
    judge("held epoch", report.held.map_or(0, |held| held.0), epoch)?;
    judge("overridden epoch", report.overridden.map_or(0, |claim| claim.epoch.0), epoch)?;
    judge("version of the in-sync set", report.isr_version.0, version)?;
    judge("overridden version", report.overridden.map_or(0, |claim| claim.isr_version.0), version)
}

const fn judge(what: &'static str, claimed: u64, recorded: u64) -> Result<(), Unbelievable> {
    if claimed > CLAIM_MAX && claimed > recorded {
        return Err(Unbelievable { what, claimed, recorded });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
