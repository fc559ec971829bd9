//! The kinds of faults, for counting.

use super::super::disk::DiskMode;
use super::super::fence::DeviceMode;
use super::super::volume::DriverMode;
use super::Fault;

impl Fault {
    /// The kind, for counting.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Cut(word, _) => word,
            Self::Slow { .. } => "slow",
            Self::Crash(_) => "crash",
            Self::PowerLoss { devices_too: true, .. } => "power-loss-with-bmc",
            Self::PowerLoss { .. } => "power-loss",
            Self::Stall { torn: true, .. } => "stall-torn",
            Self::Stall { .. } => "stall",
            Self::DaemonStall { torn: true, .. } => "daemon-stall-torn",
            Self::DaemonStall { .. } => "daemon-stall",
            Self::Pause(_) => "pause",
            Self::DaemonKill(_) => "daemon-kill",
            Self::DiesBetween(_) => "dies-between",
            Self::DaemonStop(_) => "daemon-stop",
            Self::KeepRunning { .. } => "keep-running",
            Self::Standby(_) => "standby",
            Self::NodeDisk { mode: DiskMode::SyncFails, .. } => "node-disk",
            Self::NodeDisk { mode: DiskMode::Full, .. } => "node-disk-full",
            Self::NodeDisk { mode: DiskMode::Slow, .. } => "node-disk-slow",
            Self::NodeDisk { mode: DiskMode::Tears, .. } => "node-write-torn",
            Self::Driver { mode: DriverMode::Hangs, .. } => "driver-hangs",
            Self::Driver { mode: DriverMode::Blind, .. } => "driver-blind",
            Self::Driver { mode: DriverMode::Slow, .. } => "driver-slow",
            Self::Driver { mode: DriverMode::ThawsLate, .. } => "driver-thaws-late",
            Self::Driver { mode: DriverMode::ThawsUnheard, .. } => "driver-thaws-unheard",
            Self::Driver { mode: DriverMode::Unseeing, .. } => "driver-unseeing",
            Self::Driver { mode: DriverMode::EndsFrozen, .. } => "driver-ends-frozen",
            Self::Driver { .. } => "driver-fails",
            Self::Device { mode: DeviceMode::ActsLate, .. } => "device-acts-late",
            Self::Device { mode: DeviceMode::ActsUnheard, .. } => "device-unheard",
            Self::Device { mode: DeviceMode::Hangs, .. } => "device-hangs",
            Self::Device { mode: DeviceMode::Slow, .. } => "device-slow",
            Self::Device { mode: DeviceMode::TellsLate, .. } => "device-tells-late",
            Self::Device { .. } => "device-fails",
            Self::DiskSwapped { .. } => "disk-swapped",
            Self::Drift { .. } => "drift",
            Self::WitnessKill => "witness-kill",
            Self::WitnessStall => "witness-stall",
            Self::WitnessDisk(DiskMode::SyncFails) => "witness-disk",
            Self::WitnessDisk(DiskMode::Full) => "witness-disk-full",
            Self::WitnessDisk(DiskMode::Slow) => "witness-disk-slow",
            Self::WitnessDisk(DiskMode::Tears) => "witness-write-torn",
            Self::WitnessReplaced { .. } => "witness-replaced",
            Self::WitnessBackedUp => "witness-backed-up",
            Self::Retimed(_) => "retimed",
            Self::WitnessRetimed => "witness-retimed",
            Self::WitnessRolledBack => "witness-rolled-back",
            Self::Ghosts(_) => "ghosts",
            Self::Repeated(_) => "repeated",
            Self::ResetHangs(_) => "reset-hangs",
            Self::Evict { .. } => "evict",
            Self::ForceStale { .. } => "force-stale",
            Self::Adopt { .. } => "adopt",
            Self::Move { .. } => "move",
            Self::FenceByHand { .. } => "fence-by-hand",
            Self::ConfirmWrongly(_) => "confirm-wrongly",
            Self::Override { .. } => "override",
        }
    }
}
