//! Events: their numbers and names, and the words that operators read.
//!
//! Numbers 1000 to 1999 are the node daemon's. Once released, none of them changes.

use crate::config::Config;
use picket_core::evidence::FenceOutcome;
use picket_core::ids::{NodeId, PathId, VolumeId};
use picket_core::node::{Event, ResetReason};
use picket_core::topology::DeviceVerdict;
use picket_host::clock;
use picket_host::logging::{EventCode, Level};

#[cfg(test)]
mod tests;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal, $level:ident;)*) => {
        $($(#[$doc])* pub const $name: EventCode = EventCode::new($number, $text, Level::$level);)*
        /// All of them.
        pub const ALL: &[&EventCode] = &[$(&$name),*];
    };
}

codes! {
    /// The daemon serves.
    STARTED = 1000, "node-started", Notify;
    /// The daemon ends because it was told to.
    STOPPED = 1001, "node-stopped", Notify;
    /// The daemon ends because it cannot keep its promises any more.
    FAILED = 1002, "node-failed", Crit;
    /// Something that the daemon would do better with is not there.
    DEGRADED = 1003, "node-degraded", Warn;
    /// This is a lab machine.
    LAB = 1004, "lab-machine", Warn;
    /// A heartbeat path works.
    PATH_RESTORED = 1100, "path-restored", Notify;
    /// A heartbeat is overdue.
    HEARTBEAT_MISSED = 1101, "heartbeat-missed", Info;
    /// A heartbeat path is dead.
    PATH_FAILED = 1102, "path-failed", Warn;
    /// No path to a peer is alive.
    PEER_SILENT = 1103, "peer-silent", Error;
    /// A peer is heard.
    PEER_HEARD = 1104, "peer-heard", Notify;
    /// A replayed heartbeat was refused.
    BEAT_REFUSED = 1105, "heartbeat-refused", Warn;
    /// A datagram that is no heartbeat of this cluster was refused.
    DATAGRAM_REFUSED = 1106, "datagram-refused", Warn;
    /// A connection of somebody who is no peer was refused.
    PEER_REFUSED = 1107, "peer-refused", Warn;
    /// The session with the witness counts.
    WITNESS_UP = 1200, "witness-up", Notify;
    /// The witness does not answer.
    WITNESS_LOST = 1201, "witness-lost", Error;
    /// The witness refused the session.
    WITNESS_REFUSED = 1202, "witness-refused", Error;
    /// The lease lives on the peers' promises.
    FAILSAFE = 1203, "failsafe", Warn;
    /// A promise to a holder was given.
    PROMISED = 1204, "promise-given", Notify;
    /// A fail-over begins.
    ARBITRATING = 1300, "failover-started", Notify;
    /// The witness waits for something before it grants.
    WAITING = 1301, "grant-waits", Notify;
    /// The witness refused to grant.
    NOT_GRANTED = 1302, "grant-refused", Warn;
    /// The witness granted.
    GRANTED = 1303, "granted", Notify;
    /// A grant could not be used.
    GRANT_RETURNED = 1304, "grant-returned", Warn;
    /// The volume is active here.
    PROMOTED = 1305, "promoted", Notify;
    /// A promotion failed.
    PROMOTE_FAILED = 1306, "promote-failed", Error;
    /// The volume was frozen.
    FROZEN = 1307, "frozen", Error;
    /// The freeze was lifted.
    THAWED = 1308, "thawed", Notify;
    /// The volume is verified inactive here.
    DEMOTED = 1309, "demoted", Notify;
    /// A stop failed.
    STOP_FAILED = 1310, "stop-failed", Crit;
    /// A replica was taken out of the in-sync set.
    REPLICA_REMOVED = 1311, "replica-removed", Warn;
    /// A replica came into the in-sync set.
    REPLICA_ADDED = 1312, "replica-added", Notify;
    /// A volume was activated outside the guarantee.
    OVERRIDDEN = 1313, "overridden", Crit;
    /// An operator put this node on standby.
    STANDBY = 1314, "standby", Warn;
    /// An operator put this node online again.
    ONLINE = 1315, "online", Notify;
    /// This node takes no volume until a peer is back that stopped and keeps its own.
    HELD = 1316, "held-for-peer", Warn;
    /// That peer is back.
    FREED = 1317, "freed-by-peer", Notify;
    /// This node's volumes were to stay while it is stopped, and cannot.
    NOT_STAYING = 1318, "volumes-cannot-stay", Warn;
    /// A permit to fence was given to this node.
    PERMITTED = 1400, "fence-permitted", Notify;
    /// A permit was refused or is waited for.
    NOT_PERMITTED = 1401, "fence-not-permitted", Warn;
    /// A fence device is started.
    DEVICE_STARTED = 1402, "fence-device-started", Notify;
    /// A fence device ended.
    DEVICE_ENDED = 1403, "fence-device-ended", Notify;
    /// The target is off.
    FENCED = 1404, "fenced", Notify;
    /// A fence ended without a confirmation.
    FENCE_UNKNOWN = 1405, "fence-unconfirmed", Crit;
    /// A fence ended before any device was started.
    FENCE_NOT_STARTED = 1406, "fence-not-started", Warn;
    /// An operator must confirm.
    OPERATOR_NEEDED = 1407, "operator-needed", Crit;
    /// A peer cannot be fenced.
    CANNOT_FENCE = 1408, "cannot-fence", Error;
    /// A test found that a device cannot be used.
    FENCE_TEST_FAILED = 1409, "fence-test-failed", Error;
    /// A device that failed its tests can be used again.
    FENCE_TEST_PASSED = 1410, "fence-test-passed", Notify;
    /// A wait for an operator's confirmation is over.
    OPERATOR_DONE = 1411, "operator-done", Notify;
    /// The machine ends itself.
    RESETTING = 1500, "resetting", Crit;
    /// The watchdog is armed.
    WATCHDOG_ARMED = 1501, "watchdog-armed", Notify;
    /// The watchdog is not there or cannot be petted.
    WATCHDOG_FAILED = 1502, "watchdog-failed", Error;
    /// The watchdog was petted too late.
    WATCHDOG_LATE = 1503, "watchdog-late", Crit;
    /// The driver of a volume tells something.
    VOLUME_DRIVER = 1600, "volume-driver", Warn;
    /// A resource is started or stopped.
    RESOURCE_BEGINS = 1610, "resource-begins", Notify;
    /// A resource is in service.
    RESOURCE_STARTED = 1611, "resource-started", Notify;
    /// A resource is out of service.
    RESOURCE_STOPPED = 1612, "resource-stopped", Notify;
    /// A resource failed, or was not started.
    RESOURCE_FAILED = 1613, "resource-failed", Error;
    /// A resource could not be stopped.
    RESOURCE_STUCK = 1614, "resource-stop-failed", Crit;
    /// A resource is held back until an operator cleans up.
    RESOURCE_HELD = 1615, "resource-held", Error;
    /// A resource runs that nobody here started.
    RESOURCE_FOUND = 1616, "resource-found", Warn;
    /// Another node should run the resources and cannot.
    RESOURCE_STRANDED = 1617, "resources-stranded", Error;
    /// The volume should move, because its resources cannot run here.
    RESOURCE_MOVES = 1618, "resources-move", Warn;
    /// Nobody can say whether a resource runs.
    RESOURCE_UNKNOWN = 1619, "resource-unknown", Error;
    /// This node does not meet a condition: volumes should be elsewhere.
    CONDITION_NOT_MET = 1630, "condition-not-met", Warn;
    /// It meets it again.
    CONDITION_MET = 1631, "condition-met", Notify;
    /// An alert's program failed.
    ALERT_FAILED = 1700, "alert-failed", Warn;
    /// An operator asked for something.
    OPERATOR = 1800, "operator-request", Notify;
    /// An invariant is violated.
    ALARM = 1999, "alarm", Crit;
}

/// An event in the words of operators.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its number, name and level.
    pub code: EventCode,
    /// One line.
    pub text: String,
    /// The node that it is about; empty: none.
    pub node: String,
    /// The volume that it is about; empty: none.
    pub volume: String,
    /// When, RFC 3339.
    pub at: String,
}

impl Told {
    /// An event of the daemon's own.
    #[must_use]
    pub fn new(code: EventCode, text: impl Into<String>) -> Self {
        let at = clock::rfc3339(clock::wall());
        Self { code, text: text.into(), node: String::new(), volume: String::new(), at }
    }

    /// The same about a node.
    #[must_use]
    pub fn about_node(self, node: impl Into<String>) -> Self {
        Self { node: node.into(), ..self }
    }

    /// The same about a volume.
    #[must_use]
    pub fn about_volume(self, volume: impl Into<String>) -> Self {
        Self { volume: volume.into(), ..self }
    }
}

/// Puts the core's events into words.
#[derive(Clone, Debug)]
pub struct Words<'c> {
    config: &'c Config,
}

impl<'c> Words<'c> {
    /// Words with the names of this configuration.
    #[must_use]
    pub const fn new(config: &'c Config) -> Self {
        Self { config }
    }

    fn node(&self, id: NodeId) -> String {
        self.config.node_name(id)
    }

    /// The two ends of a path, `local/remote`.
    #[must_use]
    pub fn path(&self, peer: NodeId, path: PathId) -> String {
        let found = self.config.members.get(&peer).and_then(|member| member.paths.get(usize::from(path.0)));
        found.map_or_else(|| format!("path {path}"), |path| format!("{}/{}", path.local, path.remote))
    }

    /// The core's event in words.
    #[must_use]
    pub fn tell(&self, event: &Event) -> Told {
        // Every event is named here, so that a new one does not compile before somebody finds words for it.
        let told = match event {
            Event::PathAlive { .. }
            | Event::HeartbeatMissed { .. }
            | Event::PathDead { .. }
            | Event::PeerSilent { .. }
            | Event::PeerHeard { .. }
            | Event::BeatRefused { .. } => self.about_paths(event),
            Event::WitnessUp
            | Event::WitnessLost
            | Event::WitnessRefused(_)
            | Event::Failsafe { .. }
            | Event::Promised { .. } => self.about_witness(event),
            Event::Arbitrating { .. }
            | Event::Waiting { .. }
            | Event::NotGranted { .. }
            | Event::Granted { .. }
            | Event::GrantReturned { .. }
            | Event::Promoted { .. }
            | Event::PromoteFailed { .. }
            | Event::Frozen { .. }
            | Event::Thawed { .. }
            | Event::Demoted { .. }
            | Event::StopFailed { .. }
            | Event::ReplicaRemoved { .. }
            | Event::ReplicaAdded { .. }
            | Event::Overridden { .. }
            | Event::Standby { .. }
            | Event::Resetting(_) => self.about_volumes(event),
            Event::Permitted { .. }
            | Event::NotPermitted { .. }
            | Event::DeviceStarted { .. }
            | Event::DeviceEnded { .. }
            | Event::FenceEnded { .. }
            | Event::OperatorNeeded { .. }
            | Event::OperatorDone { .. }
            | Event::Alarm(_) => self.about_fences(event),
        };
        told.unwrap_or_else(|| Told::new(ALARM, format!("an event without words: {event:?}")))
    }

    fn about_paths(&self, event: &Event) -> Option<Told> {
        let now = clock::rfc3339(clock::wall());
        let told = |code, peer: NodeId, text: String| Some(Told::new(code, text).about_node(self.node(peer)));
        match event {
            Event::PathAlive { peer, path } => {
                let by = self.path(*peer, *path);
                told(
                    PATH_RESTORED,
                    *peer,
                    format!("COMMUNICATION TO {} BY {by} RESTORE AT {now}", self.node(*peer)),
                )
            }
            Event::PathDead { peer, path } => {
                let by = self.path(*peer, *path);
                told(
                    PATH_FAILED,
                    *peer,
                    format!("COMMUNICATION TO {} BY {by} FAILED AT {now}", self.node(*peer)),
                )
            }
            Event::HeartbeatMissed { peer, path, count, limit } => {
                let by = self.path(*peer, *path);
                let text =
                    format!("missed heartbeat {count} of {limit} on path {by} to {}", self.node(*peer));
                told(HEARTBEAT_MISSED, *peer, text)
            }
            Event::PeerSilent { peer } => {
                told(PEER_SILENT, *peer, format!("COMMUNICATIONS {} FAILED AT {now}", self.node(*peer)))
            }
            Event::PeerHeard { peer } => {
                told(PEER_HEARD, *peer, format!("COMMUNICATIONS {} RESTORE AT {now}", self.node(*peer)))
            }
            Event::BeatRefused { peer } => {
                told(BEAT_REFUSED, *peer, format!("refused a replayed heartbeat of {}", self.node(*peer)))
            }
            _ => None,
        }
    }

    fn about_witness(&self, event: &Event) -> Option<Told> {
        Some(match event {
            Event::WitnessUp => Told::new(WITNESS_UP, "the witness answers"),
            Event::WitnessLost => {
                Told::new(WITNESS_LOST, "the witness does not answer: no fail-over until it does")
            }
            Event::WitnessRefused(refusal) => Told::new(
                WITNESS_REFUSED,
                format!("the witness refused the session: {}", refusal.told(self.config)),
            ),
            Event::Failsafe { volume } => self.volume(FAILSAFE, *volume, |name| {
                format!(
                    "{name} goes on without the witness on its peers' promises: no fail-over until it is back"
                )
            }),
            Event::Promised { volume, to } => self
                .volume(PROMISED, *volume, |name| {
                    format!("promised {} not to ask for {name} for the time of a lease", self.node(*to))
                })
                .about_node(self.node(*to)),
            _ => return None,
        })
    }

    fn volume(&self, code: EventCode, id: VolumeId, text: impl FnOnce(&str) -> String) -> Told {
        let name = self.config.volume_name(id);
        Told::new(code, text(&name)).about_volume(name)
    }

    fn about_volumes(&self, event: &Event) -> Option<Told> {
        let me = &self.config.name;
        Some(match event {
            Event::Arbitrating { volume, holder } => self.volume(ARBITRATING, *volume, |name| match holder {
                Some(holder) => format!("Start to fail-over {name}: {} holds it", self.node(*holder)),
                None => format!("Start to bring {name} into service: nobody holds it"),
            }),
            Event::Waiting { volume, refusal } => self.volume(WAITING, *volume, |name| {
                format!("the grant of {name} waits: {}", refusal.told(self.config))
            }),
            Event::NotGranted { volume, refusal } => self.volume(NOT_GRANTED, *volume, |name| {
                format!("{name} is not granted: {}", refusal.told(self.config))
            }),
            Event::Granted { volume, epoch, proof } => self.volume(GRANTED, *volume, |name| {
                format!("{name} is granted with epoch {epoch}, proof {}", proof.word())
            }),
            Event::GrantReturned { volume, epoch } => self.volume(GRANT_RETURNED, *volume, |name| {
                format!("the grant of {name} with epoch {epoch} came too late or unasked and was given back")
            }),
            Event::Promoted { volume, epoch } => self.volume(PROMOTED, *volume, |name| {
                format!("fail-over succeeded: {name} is in service on {me} with epoch {epoch}")
            }),
            Event::PromoteFailed { volume, text } => {
                self.volume(PROMOTE_FAILED, *volume, |name| format!("{name} could not be promoted: {text}"))
            }
            Event::Frozen { volume } => {
                self.volume(FROZEN, *volume, |name| format!("{name} is frozen: its lease runs out"))
            }
            Event::Thawed { volume } => {
                self.volume(THAWED, *volume, |name| format!("{name} goes on: its lease is renewed"))
            }
            Event::Demoted { volume } => {
                self.volume(DEMOTED, *volume, |name| format!("{name} is verified inactive on {me}"))
            }
            Event::StopFailed { volume, text } => self.volume(STOP_FAILED, *volume, |name| {
                format!("{name} cannot be stopped, {me} declares itself failed: {text}")
            }),
            Event::ReplicaRemoved { volume, isr } => self.volume(REPLICA_REMOVED, *volume, |name| {
                format!(
                    "a replica of {name} was taken out; in sync: {}",
                    self.config.node_names(*isr).join(", ")
                )
            }),
            Event::ReplicaAdded { volume, isr } => self.volume(REPLICA_ADDED, *volume, |name| {
                format!("a replica of {name} came in; in sync: {}", self.config.node_names(*isr).join(", "))
            }),
            Event::Overridden { volume, epoch } => self.volume(OVERRIDDEN, *volume, |name| {
                format!("{name} was activated OUTSIDE THE GUARANTEE by an operator, epoch {epoch}")
            }),
            Event::Standby { on: true } => Told::new(
                STANDBY,
                format!("{me} is on standby: it takes no volume, and hands over what it holds"),
            ),
            Event::Standby { on: false } => {
                Told::new(ONLINE, format!("{me} is online again: it may take volumes"))
            }
            Event::Resetting(reason) => self.resetting(reason),
            _ => return None,
        })
    }

    fn resetting(&self, reason: &ResetReason) -> Told {
        match reason {
            ResetReason::AuthorityLost { volume } => self.volume(RESETTING, *volume, |name| {
                format!("this machine resets itself: authority over {name} is lost")
            }),
            ResetReason::NotVerifiedInactive { volume } => self.volume(RESETTING, *volume, |name| {
                format!("this machine resets itself: {name} is not seen inactive in time")
            }),
            ResetReason::StopFailed { volume } => self.volume(RESETTING, *volume, |name| {
                format!("this machine resets itself: {name} could not be stopped")
            }),
        }
    }

    fn about_fences(&self, event: &Event) -> Option<Told> {
        let told = |code, target: NodeId, text: String| Told::new(code, text).about_node(self.node(target));
        Some(match event {
            Event::Permitted { target, permit } => {
                told(PERMITTED, *target, format!("permit {permit} to fence {}", self.node(*target)))
            }
            Event::NotPermitted { target, refusal } => told(
                NOT_PERMITTED,
                *target,
                format!("no permit to fence {}: {}", self.node(*target), refusal.told(self.config)),
            ),
            Event::DeviceStarted { target, level, device } => {
                let text = format!("fencing {} with device {device} of level {level}", self.node(*target));
                told(DEVICE_STARTED, *target, text)
            }
            Event::DeviceEnded { target, level, verdict } => {
                let text = format!("level {level} of {}: {}", self.node(*target), verdict_word(*verdict));
                told(DEVICE_ENDED, *target, text)
            }
            Event::FenceEnded { target, outcome, .. } => {
                let name = self.node(*target);
                match outcome {
                    FenceOutcome::ConfirmedOff => {
                        told(FENCED, *target, format!("{name} is off: its device read it back"))
                    }
                    FenceOutcome::Unknown => told(
                        FENCE_UNKNOWN,
                        *target,
                        format!("no device could confirm {name} off; it may be on"),
                    ),
                    FenceOutcome::NotStarted => told(
                        FENCE_NOT_STARTED,
                        *target,
                        format!("the fence of {name} ended before a device was started"),
                    ),
                }
            }
            Event::OperatorNeeded { target, challenge } => {
                let name = self.node(*target);
                let text = format!(
                    "OPERATOR INTERVENTION REQUIRED to reset {name}: see that it is off, then type 'picket confirm {name}' and the challenge {challenge}"
                );
                told(OPERATOR_NEEDED, *target, text)
            }
            Event::OperatorDone { target, confirmed } => {
                let name = self.node(*target);
                let text = if *confirmed {
                    format!("{name} is off: a person confirmed it")
                } else {
                    format!("{name} waits for no confirmation any more, and none was seen to count")
                };
                told(OPERATOR_DONE, *target, text)
            }
            Event::Alarm(text) => Told::new(ALARM, format!("an invariant is violated: {text}")),
            _ => return None,
        })
    }
}

/// The word for a verdict.
#[must_use]
pub const fn verdict_word(verdict: DeviceVerdict) -> &'static str {
    match verdict {
        DeviceVerdict::ConfirmedOff => "CONFIRMED_OFF",
        DeviceVerdict::Failed => "FAILED",
        DeviceVerdict::Unknown => "UNKNOWN",
        DeviceVerdict::TooLate => "NOT_STARTED",
        DeviceVerdict::GatePassed => "GATE_PASSED",
        DeviceVerdict::GateAbort => "GATE_ABORT",
    }
}

/// The word for an outcome.
#[must_use]
pub const fn outcome_word(outcome: FenceOutcome) -> &'static str {
    match outcome {
        FenceOutcome::ConfirmedOff => "CONFIRMED_OFF",
        FenceOutcome::Unknown => "UNKNOWN",
        FenceOutcome::NotStarted => "NOT_STARTED",
    }
}
