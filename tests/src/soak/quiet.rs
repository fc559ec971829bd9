//! A time without a fault, in which nothing may move.

use crate::Failure;
use crate::rig::Rig;
use core::fmt;
use core::time::Duration;
use picket::demo::Fault;
use picket::demo::VOLUME;

/// What must not be told in a quiet time: somebody took somebody for dead, or lost an authority that it had.
const MOVES: [&str; 7] = [
    "promoted",
    "granted",
    "failover-started",
    "fence-device-started",
    "frozen",
    "resetting",
    "watchdog-late",
];

/// What a bad network brings: told apart, because nothing moves by it.
const WOBBLES: [&str; 4] = ["peer-silent", "witness-lost", "replica-removed", "path-failed"];

/// Shows that the loss is there.
const MISSED: &str = "heartbeat-missed";

/// Moves in a quiet time.
#[derive(Clone, Debug, Default)]
pub struct False {
    /// Of `MOVES`, in words.
    pub moves: Vec<String>,
    /// How often something of the network was noticed.
    pub wobbles: u64,
    /// How often a heartbeat was missed.
    pub missed: u64,
    /// Watchdogs that have bitten.
    pub bites: u64,
    /// The longest time without an acknowledgement.
    pub longest_gap: Duration,
}

impl False {
    /// Adds what another quiet time had.
    pub fn add(&mut self, other: Self) {
        self.moves.extend(other.moves);
        self.wobbles += other.wobbles;
        self.missed += other.missed;
        self.bites += other.bites;
        self.longest_gap = self.longest_gap.max(other.longest_gap);
    }

    /// Nothing moved.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.moves.is_empty() && self.bites == 0
    }
}

impl fmt::Display for False {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (moves, gap) = (self.moves.len(), self.longest_gap.as_millis());
        let Self { wobbles, missed, bites, .. } = self;
        write!(f, "{moves} false moves, {bites} watchdog bites, {wobbles} wobbles, ")?;
        write!(f, "{missed} heartbeats missed, longest gap {gap} ms")
    }
}

/// Waits for `length` and tells what happened meanwhile.
///
/// # Errors
/// A machine cannot be asked.
pub async fn quiet(rig: &Rig, length: Duration) -> Result<False, Failure> {
    let bites_before = bites(rig).await?;
    let start = Fault::now();
    let holder = rig.cluster.wait_in_service(VOLUME, crate::rig::LIMIT).await?;
    tokio::time::sleep(length).await;
    let view = rig.cluster.view().borrow().clone();
    if !view.remembers(start.wall_ms) {
        return Err("more events than are kept: what moved is not known".into());
    }
    let since = || view.events().iter().filter(|event| event.at_ms > start.wall_ms);
    let mut moves: Vec<String> = since()
        .filter(|event| MOVES.contains(&event.name.as_str()))
        .map(|event| format!("{} {} {}: {}", event.at_ms, event.by, event.name, event.text))
        .collect();
    let now = rig.cluster.wait_in_service(VOLUME, crate::rig::LIMIT).await?;
    if now != holder {
        moves.push(format!("{holder} held the volume, now {now} does"));
    }
    let wobbles = since().filter(|event| WOBBLES.contains(&event.name.as_str())).count();
    let longest_gap = Duration::from_nanos(rig.client()?.outage_since(start.boot_ns).longest_gap_ns);
    let bites = bites(rig).await?.saturating_sub(bites_before);
    let missed = u64::try_from(since().filter(|event| event.name == MISSED).count()).unwrap_or(u64::MAX);
    Ok(False { moves, wobbles: u64::try_from(wobbles).unwrap_or(u64::MAX), missed, bites, longest_gap })
}

async fn bites(rig: &Rig) -> Result<u64, Failure> {
    let mut bites = 0;
    for node in rig.cluster.spec().node_names() {
        bites += rig.cluster.machine(&node)?.status().await?.bites;
    }
    Ok(bites)
}
