//! A real fault, and how long it took until writes went on, beside what was promised.

use crate::Failure;
use crate::rig::Rig;
use core::time::Duration;
use picket::demo::cluster::View;
use picket::demo::{Fault, Scene};
use picket_core::params::Params;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The active machine loses its power; a device proves it.
    Fence,
    /// The active machine is cut from everything, its power switch too; its lease proves it.
    Lease,
}

impl Kind {
    /// What proves the old holder inactive after it, in the daemons' words.
    const fn proof(self) -> &'static str {
        match self {
            Self::Fence => "FENCED",
            Self::Lease => "LEASE",
        }
    }
}

/// How long the volume may take from the grant to its promotion: some syncs of small files, and the times that a busy
/// machine makes it wait between them; 2 ms are usual, also under full load. The promise counts what it took, so
/// something else has to be its bound.
const PROMOTION_MS_MAX: u64 = 100;

/// A takeover, in milliseconds since the fault.
#[derive(Clone, Debug)]
pub struct Takeover {
    /// After which fault.
    pub kind: Kind,
    /// Until the silence was noticed.
    pub detection_ms: u64,
    /// Until a write was acknowledged again.
    pub outage_ms: u64,
    /// What the rules promise, with what the device and the volume took here.
    pub promised_ms: u64,
    /// Of that, from the grant to the promotion: the volume's time, which is promised as it was.
    pub promotion_ms: u64,
    /// What proved the old holder inactive.
    pub proof: String,
    /// The host stood still meanwhile, for so long: then the times say nothing.
    pub stalled: Option<Duration>,
}

impl Takeover {
    /// It took longer than its formula says, or the volume took longer to be promoted than a volume may.
    #[must_use]
    pub const fn is_late(&self) -> bool {
        self.outage_ms > self.promised_ms || self.promotion_ms > PROMOTION_MS_MAX
    }

    /// It was proven by what this fault leaves to prove it.
    #[must_use]
    pub fn is_as_it_should_be(&self) -> bool {
        self.proof == self.kind.proof()
    }
}

/// Plays the fault and measures. `round_trip`: the longest of this network.
///
/// # Errors
/// Nobody took over in time.
pub async fn takeover(
    rig: &Rig,
    kind: Kind,
    params: &Params,
    round_trip: Duration,
) -> Result<Takeover, Failure> {
    let holder = rig.serves().await?;
    let other = rig.other(&holder)?;
    let scene = Scene { cluster: &rig.cluster, client: rig.client()? };
    let fault = Fault::now();
    match kind {
        Kind::Fence => rig.cluster.machine(&holder)?.power_off().await?,
        Kind::Lease => rig.cluster.links().cut_all_of(&holder),
    }
    let report = scene.takeover(&other, fault).await?;
    let view = rig.cluster.view().borrow().clone();
    let took = took(&view, &other, fault);
    let whole_ms = |length: Duration| u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    Ok(Takeover {
        kind,
        detection_ms: report.detection_ms.unwrap_or_default(),
        outage_ms: report.outage_ms.unwrap_or_default(),
        promised_ms: whole_ms(promised(kind, params, round_trip, &took)),
        promotion_ms: whole_ms(took.promotion),
        proof: report.proof.unwrap_or_default(),
        stalled: None,
    })
}

/// What is not the protocol's: how long the device and the promotion took.
struct Took {
    device: Duration,
    promotion: Duration,
}

fn took(view: &View, node: &str, fault: Fault) -> Took {
    let at = |name: &str| view.first(node, name, fault.wall_ms).map(|event| event.at_ms);
    let between = |from: &str, to: &str| match (at(from), at(to)) {
        (Some(from), Some(to)) => Duration::from_millis(to.saturating_sub(from)),
        (Some(_) | None, _) => Duration::ZERO,
    };
    Took {
        device: between("fence-device-started", "fence-device-ended"),
        promotion: between("granted", "promoted"),
    }
}

/// T_fence = (m+1)·h + RTT + 2·RTT + t_off + t_verify + t_promote; T_lease = L + G + RTT + t_promote. After the
/// promotion the new holder is frozen until the old one is out of the in-sync set, and the client's write travels
/// there and is answered: a round trip each.
fn promised(kind: Kind, params: &Params, round_trip: Duration, took: &Took) -> Duration {
    let proof = match kind {
        Kind::Fence => params.suspect_after() + 3 * round_trip + took.device,
        Kind::Lease => params.lease_and_guard() + round_trip,
    };
    proof + took.promotion + 2 * round_trip
}

#[cfg(test)]
mod tests {
    use super::*;
    use picket_core::params::Profile;

    #[test]
    fn a_takeover_has_its_time_and_its_proof() {
        let takeover = Takeover {
            kind: Kind::Fence,
            detection_ms: 400,
            outage_ms: 700,
            promised_ms: 700,
            promotion_ms: PROMOTION_MS_MAX,
            proof: "FENCED".to_owned(),
            stalled: None,
        };
        assert!(!takeover.is_late() && takeover.is_as_it_should_be());
        assert!(Takeover { outage_ms: 701, ..takeover.clone() }.is_late());
        let slow = PROMOTION_MS_MAX + 1;
        // What the promotion took is in the promise, so it would never be late by that.
        assert!(Takeover { promotion_ms: slow, promised_ms: 700 + slow, ..takeover.clone() }.is_late());
        assert!(!Takeover { proof: "LEASE".to_owned(), ..takeover.clone() }.is_as_it_should_be());
        assert!(!Takeover { kind: Kind::Lease, ..takeover.clone() }.is_as_it_should_be());
        assert!(!Takeover { proof: String::new(), ..takeover }.is_as_it_should_be());
    }

    #[test]
    fn the_promise_is_the_sum_of_its_parts() {
        let ms = Duration::from_millis;
        let took = Took { device: ms(30), promotion: ms(20) };
        let params = Profile::Fast.params();
        assert_eq!(promised(Kind::Fence, &params, ms(10), &took), ms(500 + 30 + 30 + 20 + 20));
        let lease = params.lease_and_guard();
        assert_eq!(promised(Kind::Lease, &params, ms(10), &took), lease + ms(10 + 20 + 20));
    }
}
