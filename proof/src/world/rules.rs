//! Which rules of the protocol were seen at work.

use picket_core::error::Refusal;
use picket_core::evidence::{FenceOutcome, Proof};
use picket_core::message::FenceReason;
use picket_core::node::{self, ResetReason, WhyNot};
use picket_core::witness::{self, PermitEnd};
use std::collections::BTreeMap;

/// How often each rule was seen at work.
#[derive(Clone, Debug, Default)]
pub struct Rules(BTreeMap<&'static str, u64>);

macro_rules! rules {
    ($($name:ident = $text:literal;)*) => {
        $(pub(super) const $name: &str = $text;)*
        /// Every rule that is watched, in the order of the protocol's description.
        pub const RULES: &[&str] = &[$($name,)*];
    };
}

rules! {
    NEW_BOOT = "boot order: a newer boot becomes the current one";
    STALE_BOOT = "boot order: a superseded or fenced boot is refused";
    WRONG_NONCE = "boot order: a registration with another nonce is refused";
    SEQUENCE = "sessions: a request out of sequence is refused";
    RELEASED = "grant: after a release";
    SAME_HOLDER = "grant: to its holder again";
    NEWER_BOOT = "grant: on a newer boot of the holder";
    FENCED = "grant: on a confirmed fence";
    ATTESTED = "grant: on a person's attestation";
    LEASE = "grant: on the end of a lease";
    NOT_IN_SYNC = "grant: refused to a replica that is not in sync";
    INCOMPLETE = "grant: refused to an incomplete replica";
    DATA_MISMATCH = "grant: refused to other data";
    RECOVERING = "grant: waits for the end of RECOVERY";
    TARGET = "grant: waits for the end of a permit against the asker";
    HELD_OFF_ASKS = "grant: refused to a node that is held off";
    FAILED_ASKS = "grant: refused to a node that declared itself failed";
    NEEDS_PROOF = "grant: waits for a proof of inactivity";
    QUARANTINE = "grant: not asked for in the start quarantine";
    NO_QUORUM = "grant: not asked for without quorum";
    PROMISED_ASKS = "grant: not asked for under a promise";
    STANDBY_ASKS = "grant: not asked for on standby";
    STANDBY_LEAVES = "standby: what a node on standby holds is offered to a peer";
    RETURNED = "accepting: a grant that cannot be used is given back";
    FROZEN = "step down: frozen before the lease ends";
    THAWED = "step down: thawed when the lease is renewed";
    STOPPED = "step down: stopped and verified inactive";
    FASTBOOT = "loss action: fastboot";
    FASTKILL = "loss action: fastkill";
    NOT_VERIFIED = "step down: a reset because inactivity was not verified";
    STOP_FAILED = "step down: a stop that fails ends the machine";
    WATCHDOG = "watchdog: kills a machine that is not petted";
    LATE_PET = "watchdog: a late pet is seen and ends the machine";
    PAUSED = "pauses: a machine is paused unseen";
    ADOPTED = "daemon restart: a volume that runs is adopted";
    KEPT = "daemon restart: volumes run on under a maintenance";
    MAINTAINED = "maintenance: no takeover meanwhile";
    SHRINK = "in-sync set: a removal is recorded";
    GROW = "in-sync set: an addition is recorded";
    CONFLICT = "in-sync set: a request on an old version is refused";
    FAILSAFE = "failsafe: a lease on promises";
    PROMISE = "failsafe: a promise is given";
    RELAY = "failsafe: a release is relayed by a peer";
    RESTART = "witness: restarts with leases that count as fresh";
    RECOVERY = "RECOVERY: begins";
    RECOVERED = "RECOVERY: every member has reported";
    CONTRADICTION = "RECOVERY: claims contradict each other";
    OVERRIDE = "override: a volume is activated without a witness";
    PERMIT_SILENT = "permit: for silence";
    PERMIT_OPERATOR = "permit: a person asks";
    PERMIT_DRILL = "permit: a drill";
    NOTHING_AT_STAKE = "permit: refused with nothing at stake";
    SOLO_ELSEWHERE = "permit: waits while the target alone has some data";
    SEEN_ALIVE = "permit: waits while the target is seen alive";
    PERMIT_LIVE = "permit: waits while another one lives";
    END_CONFIRMED = "permit: ends with a confirmed fence";
    END_UNKNOWN = "permit: ends with an unknown outcome";
    END_NOT_STARTED = "permit: ends without an agent's start";
    END_TIMED_OUT = "permit: ends by its time";
    END_DENIED = "permit: a person denies";
    END_BOOTED = "permit: the target boots while a person is asked";
    DECLARED = "declaration: a node declares itself failed";
    HELD_OFF = "fence loop: a node is held off";
    CLEARED = "fence loop: a person clears it";
    ASKED = "meatware: a person is asked";
    CONFIRMED = "meatware: a person confirms";
    VOID = "meatware: a confirmation is void, because the target is heard";
    DRIFT = "drift: a clock outside the bound proves nothing";
    SUCCESSOR_GONE = "handover: the successor does not take it in time";
    OFF_BUT_SPEAKS = "alarm: a boot that was confirmed off speaks";
}

impl Rules {
    /// One more time.
    pub(super) fn hit(&mut self, rule: &'static str) {
        *self.0.entry(rule).or_default() += 1;
    }

    /// So many more times.
    pub fn add(&mut self, rule: &'static str, count: u64) {
        *self.0.entry(rule).or_default() += count;
    }

    /// How often each was seen.
    #[must_use]
    pub const fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.0
    }

    /// Adds what was seen elsewhere.
    pub fn merge(&mut self, other: &Self) {
        for (rule, count) in &other.0 {
            *self.0.entry(rule).or_default() += count;
        }
    }

    pub(super) fn refusal(&mut self, refusal: &Refusal) {
        let rule = match refusal {
            Refusal::NotInSync { .. } => NOT_IN_SYNC,
            Refusal::Incomplete => INCOMPLETE,
            Refusal::DataMismatch { .. } => DATA_MISMATCH,
            Refusal::Recovering { .. } => RECOVERING,
            Refusal::TargetOfPermit { .. } => TARGET,
            Refusal::HeldOff => HELD_OFF_ASKS,
            Refusal::DeclaredFailed => FAILED_ASKS,
            Refusal::NeedsProof { .. } => NEEDS_PROOF,
            Refusal::Maintenance { .. } => MAINTAINED,
            Refusal::VersionConflict { .. } => CONFLICT,
            Refusal::SeenAlive { .. } => SEEN_ALIVE,
            Refusal::NothingAtStake => NOTHING_AT_STAKE,
            Refusal::SoloElsewhere { .. } => SOLO_ELSEWHERE,
            Refusal::PermitLive { .. } => PERMIT_LIVE,
            Refusal::StaleBoot { .. } => STALE_BOOT,
            Refusal::WrongNonce => WRONG_NONCE,
            Refusal::OutOfSequence { .. } => SEQUENCE,
            _ => return,
        };
        self.hit(rule);
    }

    pub(super) fn node(&mut self, event: &node::Event) {
        let rule = match event {
            node::Event::Granted { proof, .. } => match proof {
                Proof::Released => RELEASED,
                Proof::SameHolder => SAME_HOLDER,
                Proof::NewerBoot { .. } => NEWER_BOOT,
                Proof::Fenced { .. } => FENCED,
                Proof::Attested { .. } => ATTESTED,
                Proof::LeaseExpired => LEASE,
            },
            node::Event::Waiting { refusal, .. }
            | node::Event::NotGranted { refusal, .. }
            | node::Event::NotPermitted { refusal, .. }
            | node::Event::WitnessRefused(refusal) => return self.refusal(refusal),
            node::Event::GrantReturned { .. } => RETURNED,
            node::Event::Frozen { .. } => FROZEN,
            node::Event::Thawed { .. } => THAWED,
            node::Event::Demoted { .. } => STOPPED,
            node::Event::Failsafe { .. } => FAILSAFE,
            node::Event::Promised { .. } => PROMISE,
            node::Event::ReplicaRemoved { .. } => SHRINK,
            node::Event::ReplicaAdded { .. } => GROW,
            node::Event::Overridden { .. } => OVERRIDE,
            node::Event::Resetting(ResetReason::NotVerifiedInactive { .. }) => NOT_VERIFIED,
            node::Event::Resetting(ResetReason::StopFailed { .. }) => STOP_FAILED,
            _ => return,
        };
        self.hit(rule);
    }

    pub(super) fn why_not(&mut self, why: &WhyNot) {
        match why {
            WhyNot::Quarantined { .. } => self.hit(QUARANTINE),
            WhyNot::NoQuorum => self.hit(NO_QUORUM),
            WhyNot::Promised { .. } => self.hit(PROMISED_ASKS),
            WhyNot::Standby => self.hit(STANDBY_ASKS),
            WhyNot::NotInSync { .. } => self.hit(NOT_IN_SYNC),
            WhyNot::Incomplete => self.hit(INCOMPLETE),
            WhyNot::WitnessRecovers { .. } => self.hit(RECOVERING),
            WhyNot::HeldOff => self.hit(HELD_OFF_ASKS),
            WhyNot::DeclaredFailed => self.hit(FAILED_ASKS),
            WhyNot::Refused(refusal) => self.refusal(refusal),
            _ => {}
        }
    }

    pub(super) fn witness(&mut self, event: &witness::Event) {
        let rule = match event {
            witness::Event::NewBoot { .. } => NEW_BOOT,
            witness::Event::SessionRefused { refusal, .. } => return self.refusal(refusal),
            witness::Event::DeclaredFailed { .. } => DECLARED,
            witness::Event::Permitted { reason, .. } => match reason {
                FenceReason::Operator => PERMIT_OPERATOR,
                FenceReason::Drill => PERMIT_DRILL,
                FenceReason::Silent => PERMIT_SILENT,
            },
            witness::Event::PermitEnded { end, .. } => match end {
                PermitEnd::Reported(FenceOutcome::ConfirmedOff) => END_CONFIRMED,
                PermitEnd::Reported(FenceOutcome::Unknown) => END_UNKNOWN,
                PermitEnd::Reported(FenceOutcome::NotStarted) => END_NOT_STARTED,
                PermitEnd::TimedOut => END_TIMED_OUT,
                PermitEnd::Attested => END_CONFIRMED,
                PermitEnd::Denied => END_DENIED,
                PermitEnd::TargetBooted => END_BOOTED,
            },
            witness::Event::HeldOff { .. } => HELD_OFF,
            witness::Event::Cleared { .. } => CLEARED,
            witness::Event::OperatorAsked { .. } => ASKED,
            witness::Event::Confirmed { .. } => CONFIRMED,
            witness::Event::ConfirmationVoid { .. } => VOID,
            witness::Event::Drift { outside: true, .. } => DRIFT,
            witness::Event::SuccessorGone { .. } => SUCCESSOR_GONE,
            witness::Event::RecoveryBegun { .. } => RECOVERY,
            witness::Event::RecoveryEnded { .. } => RECOVERED,
            _ => return,
        };
        self.hit(rule);
    }

    pub(super) fn alarm(&mut self, alarm: &witness::Alarm) {
        match alarm {
            witness::Alarm::OffButSpeaks { .. } => self.hit(OFF_BUT_SPEAKS),
            witness::Alarm::Contradiction { .. } => self.hit(CONTRADICTION),
            witness::Alarm::Broken { .. } => {}
        }
    }
}

impl super::World {
    /// Looks at why nodes do not ask for volumes, which no event tells.
    pub fn sample_rules(&mut self) {
        for index in 0..self.machines.len() {
            let machine = &self.machines[index];
            let local = machine.now(self.now);
            let Some(core) = machine.node() else { continue };
            for volume in machine.replicas.keys() {
                if let Err(why) = core.wants(local, *volume) {
                    self.rules.why_not(&why);
                }
            }
        }
    }
}
