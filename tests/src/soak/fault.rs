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
    /// What proved the old holder inactive.
    pub proof: String,
}

impl Takeover {
    /// It took longer than its formula says.
    #[must_use]
    pub const fn is_late(&self) -> bool {
        self.outage_ms > self.promised_ms
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
    let promised = promised(kind, params, round_trip, &took(&view, &other, fault));
    Ok(Takeover {
        kind,
        detection_ms: report.detection_ms.unwrap_or_default(),
        outage_ms: report.outage_ms.unwrap_or_default(),
        promised_ms: u64::try_from(promised.as_millis()).unwrap_or(u64::MAX),
        proof: report.proof.unwrap_or_default(),
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
    fn the_promise_is_the_sum_of_its_parts() {
        let ms = Duration::from_millis;
        let took = Took { device: ms(30), promotion: ms(20) };
        let params = Profile::Fast.params();
        assert_eq!(promised(Kind::Fence, &params, ms(10), &took), ms(500 + 30 + 30 + 20 + 20));
        let lease = params.lease_and_guard();
        assert_eq!(promised(Kind::Lease, &params, ms(10), &took), lease + ms(10 + 20 + 20));
    }
}
