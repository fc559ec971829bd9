//! The core's states and reasons in the words that operators read.

use crate::config::Config;
use core::time::Duration;
use picket_core::message::QuorumVerdict;
use picket_core::node::{Phase, Role, VolumeStatus, WhyNot};
use picket_core::quorum::{QuorumMode, Vote};
use picket_core::time::Instant;
use picket_core::topology::DeviceKind;

/// Milliseconds of a length.
pub(super) fn ms(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// The state of a volume here: in service, out of service, failed.
pub(super) const fn state(phase: &Phase) -> &'static str {
    match phase {
        Phase::Active(_) => "ISP",
        Phase::Frozen(_) | Phase::Failed => "OSF",
        Phase::Unread | Phase::Secondary | Phase::Promoting(_) | Phase::Stopping(_) => "OSU",
    }
}

pub(super) const fn phase(status: &VolumeStatus) -> &'static str {
    match status.phase {
        Phase::Unread => "STARTING",
        Phase::Secondary if status.why_not.is_none() => "ARBITRATING",
        Phase::Secondary => "SECONDARY",
        Phase::Promoting(_) => "PROMOTING",
        Phase::Active(_) => "HOLDER",
        Phase::Frozen(_) => "FROZEN",
        Phase::Stopping(stopping) if stopping.successor.is_some() => "HANDOVER",
        Phase::Stopping(_) => "DEMOTING",
        Phase::Failed => "STOPPED",
    }
}

pub(super) const fn role(role: Role) -> &'static str {
    match role {
        Role::Primary => "PRIMARY",
        Role::Secondary => "SECONDARY",
        Role::Unknown => "UNKNOWN",
    }
}

pub(super) const fn mode(mode: QuorumMode) -> &'static str {
    match mode {
        QuorumMode::Majority => "majority",
        QuorumMode::TcpRemote => "tcp_remote",
        QuorumMode::Storage => "storage",
        QuorumMode::None => "none",
    }
}

/// The verdict of the quorum check: the witness's refusals first, then the count here.
pub(super) const fn quorum(witness: Option<QuorumVerdict>, vote: Vote) -> &'static str {
    match (witness, vote) {
        (Some(QuorumVerdict::StaleConfig), _) => "STALE_CONFIG",
        (Some(QuorumVerdict::Quarantined), _) => "QUARANTINED",
        (Some(QuorumVerdict::Quorate | QuorumVerdict::NoQuorum) | None, Vote::Won) => "QUORATE",
        (Some(QuorumVerdict::Quorate | QuorumVerdict::NoQuorum) | None, Vote::Lost | Vote::Pending) => {
            "NO_QUORUM"
        }
    }
}

/// Whether an operator activated the volume here and no witness has recorded it: an override burns an epoch that no
/// witness has given, and the record is behind it until then.
pub(crate) fn is_overridden(status: &VolumeStatus) -> bool {
    let recorded = status.register.as_ref().map_or(0, |register| register.epoch.0);
    status.phase.held().is_some_and(|held| held.epoch.0 >= recorded + picket_core::params::EPOCH_JUMP)
}

/// Why a volume is, or is not, active here: a stable word (empty when nothing is missing), and a sentence.
pub(super) fn why(config: &Config, now: Instant, status: &VolumeStatus) -> (&'static str, String) {
    if let Phase::Active(held) = status.phase {
        let how = if is_overridden(status) {
            "activated by an operator, outside the guarantee, until a witness takes it in"
        } else if status.solo {
            "nobody else can be elected"
        } else if status.failsafe {
            "on its peers' promises, without the witness"
        } else {
            "under a lease of the witness"
        };
        return ("", format!("in service here with epoch {}, {how}", held.epoch));
    }
    if let Some(refusal) = &status.refused {
        return (refusal.word(), format!("its lease was not renewed: {}", refusal.told(config)));
    }
    match (&status.why_not, &status.waiting) {
        (None, Some(refusal)) => {
            (refusal.word(), format!("asked for, and the witness waits: {}", refusal.told(config)))
        }
        (None, None) => ("ASKING", "asked for; the witness has not answered yet".to_owned()),
        (Some(why), _) => why_not(config, now, status, why),
    }
}

fn why_not(config: &Config, now: Instant, status: &VolumeStatus, why: &WhyNot) -> (&'static str, String) {
    let left = |until: Instant| format!("{} ms", ms(until.since(now)));
    let (word, text) = match why {
        WhyNot::HeldHere => ("HELD_HERE", format!("held here, {}", phase(status).to_lowercase())),
        WhyNot::Stopping => {
            ("STOPPING", "it is being stopped here, or its release is not recorded yet".to_owned())
        }
        WhyNot::DaemonStops => ("DAEMON_STOPS", "the daemon is about to stop".to_owned()),
        WhyNot::Standby => {
            let me = config.node_name(config.me);
            ("STANDBY", format!("{me} is on standby; 'picket node online {me}' lets it take volumes"))
        }
        WhyNot::RoleUnknown => {
            ("ROLE_UNKNOWN", "the driver has not said that the replica is inactive".to_owned())
        }
        WhyNot::Incomplete => ("INCOMPLETE", "the replica here lacks some of its data".to_owned()),
        WhyNot::WitnessNeverHeard => {
            ("NO_WITNESS", "the witness has not been heard since the daemon started".to_owned())
        }
        WhyNot::WitnessLost => ("NO_WITNESS", "there is no session with the witness".to_owned()),
        WhyNot::WitnessRecovers { missing } => (
            "RECOVERING",
            format!("the witness recovers and waits for {}", config.node_names(*missing).join(", ")),
        ),
        WhyNot::NotInSync { isr } => (
            "NOT_IN_SYNC",
            format!(
                "the replica here may lack acknowledged writes; in sync: {}",
                config.node_names(*isr).join(", ")
            ),
        ),
        WhyNot::Quarantined { until } => {
            ("QUARANTINED", format!("promises of an earlier run may hold for another {}", left(*until)))
        }
        WhyNot::Promised { to, until } => {
            ("PROMISED", format!("promised to {} for another {}", config.node_name(*to), left(*until)))
        }
        WhyNot::DeclaredFailed => ("DECLARED_FAILED", "a stop failed in this boot".to_owned()),
        WhyNot::HeldOff => ("HELD_OFF", "fenced too often; an operator must clear this node".to_owned()),
        WhyNot::NoQuorum => ("NO_QUORUM", "this node is not part of a quorum".to_owned()),
        WhyNot::HolderAlive { holder } => {
            ("HOLDER_ALIVE", format!("{} holds it and is heard", config.node_name(*holder)))
        }
        WhyNot::HandedOverTo { successor } => {
            ("HANDED_OVER", format!("it is being handed over to {}", config.node_name(*successor)))
        }
        WhyNot::Refused(refusal) => {
            (refusal.word(), format!("the witness refused: {}", refusal.told(config)))
        }
        WhyNot::PromoteFailed { until } => {
            ("PROMOTE_FAILED", format!("a promotion failed; others go first for another {}", left(*until)))
        }
    };
    (word, text)
}

/// What a fence device can do.
pub(super) const fn device_kind(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Power => "power",
        DeviceKind::Gate => "gate",
        DeviceKind::Meatware => "meatware",
    }
}
