//! The witness's operator events: numbers 3000 to 3999. None of them changes once released.

use picket_host::logging::{EventCode, Level};

/// The witness serves.
pub const STARTED: EventCode = EventCode::new(3000, "witness-started", Level::Notify);
/// The witness ends because it was told to.
pub const STOPPED: EventCode = EventCode::new(3001, "witness-stopped", Level::Notify);
/// The witness ends because it cannot keep its promises any more.
pub const FAILED: EventCode = EventCode::new(3002, "witness-failed", Level::Crit);
/// A node's connection was let in.
pub const CONNECTED: EventCode = EventCode::new(3010, "witness-node-connected", Level::Info);
/// A node's connection ended.
pub const DISCONNECTED: EventCode = EventCode::new(3011, "witness-node-disconnected", Level::Warn);
/// Somebody was refused: another cluster, an unknown node, the wrong role, or not our protocol.
pub const TURNED_AWAY: EventCode = EventCode::new(3012, "witness-turned-away", Level::Warn);
/// An operator asked for something.
pub const OPERATOR: EventCode = EventCode::new(3020, "witness-operator-request", Level::Notify);
/// A node is heard.
pub const NODE_HEARD: EventCode = EventCode::new(3100, "witness-node-heard", Level::Info);
/// A node was not heard in time.
pub const NODE_SILENT: EventCode = EventCode::new(3101, "witness-node-silent", Level::Notify);
/// A boot of a node became the current one.
pub const NEW_BOOT: EventCode = EventCode::new(3102, "witness-node-booted", Level::Notify);
/// A session or a message on it was refused.
pub const SESSION_REFUSED: EventCode = EventCode::new(3103, "witness-session-refused", Level::Warn);
/// A volume was granted.
pub const GRANTED: EventCode = EventCode::new(3104, "witness-volume-granted", Level::Notify);
/// A volume is not granted yet.
pub const WAITING: EventCode = EventCode::new(3105, "witness-grant-waiting", Level::Notify);
/// An in-sync set changed.
pub const IN_SYNC: EventCode = EventCode::new(3106, "witness-in-sync-changed", Level::Notify);
/// A holder is inactive by its own word.
pub const RELEASED: EventCode = EventCode::new(3107, "witness-volume-released", Level::Notify);
/// Nobody took a handed-over volume in time.
pub const SUCCESSOR_GONE: EventCode = EventCode::new(3108, "witness-successor-gone", Level::Warn);
/// A lease and the guard ran out.
pub const LEASE_EXPIRED: EventCode = EventCode::new(3109, "witness-lease-expired", Level::Notify);
/// A node cannot stop what it holds.
pub const DECLARED_FAILED: EventCode = EventCode::new(3110, "witness-node-declared-failed", Level::Error);
/// A permit was issued.
pub const PERMITTED: EventCode = EventCode::new(3111, "witness-fence-permitted", Level::Notify);
/// A permit is over.
pub const PERMIT_ENDED: EventCode = EventCode::new(3112, "witness-permit-ended", Level::Notify);
/// A fence needs an operator.
pub const OPERATOR_ASKED: EventCode =
    EventCode::new(3113, "witness-operator-intervention-required", Level::Crit);
/// An operator confirmed a node off.
pub const CONFIRMED: EventCode = EventCode::new(3114, "witness-off-confirmed", Level::Notify);
/// A node that was confirmed off was heard.
pub const CONFIRMATION_VOID: EventCode = EventCode::new(3115, "witness-confirmation-void", Level::Crit);
/// A member whose report an adoption was to do without was heard.
pub const ADOPTION_VOID: EventCode = EventCode::new(3124, "witness-adoption-void", Level::Crit);
/// A node was fenced too often.
pub const HELD_OFF: EventCode = EventCode::new(3116, "witness-node-held-off", Level::Error);
/// An operator cleared a node.
pub const CLEARED: EventCode = EventCode::new(3117, "witness-node-cleared", Level::Notify);
/// A maintenance was declared.
pub const MAINTENANCE_BEGUN: EventCode = EventCode::new(3118, "witness-maintenance-begun", Level::Notify);
/// A maintenance ended.
pub const MAINTENANCE_ENDED: EventCode = EventCode::new(3119, "witness-maintenance-ended", Level::Notify);
/// A node's clock crossed the bound.
pub const DRIFT: EventCode = EventCode::new(3120, "witness-clock-drift", Level::Warn);
/// History may be missing.
pub const RECOVERY_BEGUN: EventCode = EventCode::new(3121, "witness-recovery-begun", Level::Crit);
/// The recovery is over.
pub const RECOVERY_ENDED: EventCode = EventCode::new(3122, "witness-recovery-ended", Level::Notify);
/// The store was retired.
pub const RETIRED: EventCode = EventCode::new(3123, "witness-store-retired", Level::Notify);
/// An invariant was violated.
pub const ALARM: EventCode = EventCode::new(3099, "witness-alarm", Level::Crit);

/// All of them.
pub const ALL: [&EventCode; 33] = [
    &STARTED,
    &STOPPED,
    &FAILED,
    &CONNECTED,
    &DISCONNECTED,
    &TURNED_AWAY,
    &OPERATOR,
    &ALARM,
    &NODE_HEARD,
    &NODE_SILENT,
    &NEW_BOOT,
    &SESSION_REFUSED,
    &GRANTED,
    &WAITING,
    &IN_SYNC,
    &RELEASED,
    &SUCCESSOR_GONE,
    &LEASE_EXPIRED,
    &DECLARED_FAILED,
    &PERMITTED,
    &PERMIT_ENDED,
    &OPERATOR_ASKED,
    &CONFIRMED,
    &CONFIRMATION_VOID,
    &ADOPTION_VOID,
    &HELD_OFF,
    &CLEARED,
    &MAINTENANCE_BEGUN,
    &MAINTENANCE_ENDED,
    &DRIFT,
    &RECOVERY_BEGUN,
    &RECOVERY_ENDED,
    &RETIRED,
];

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_and_names_are_unique() {
        assert_eq!(picket_host::logging::check_codes(super::ALL), Ok(()));
    }
}
