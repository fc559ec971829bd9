//! Which rules of the protocol were seen at work.

use picket_core::error::Refusal;
use picket_core::evidence::{FenceOutcome, Proof};
use picket_core::message::{FenceReason, OperatorAnswer, OperatorRequest, PeerBody, Reply};
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
    TOLD_AGAIN = "grant: an attempt that has it is told it again";
    TAKEN_OUT = "grant: a takeover takes the old holder out of the in-sync set";
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
    RENEWAL_REFUSED = "lease: a renewal is refused";
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
    SHRINK_VOIDS = "in-sync set: a removal that changes nothing makes a new version";
    NOT_SOLO = "in-sync set: alone in it, and not solo below the last grow";
    FAILSAFE = "failsafe: a lease on promises";
    PROMISE = "failsafe: a promise is given";
    FAILSAFE_FENCING = "failsafe: refused by a peer whose fence is open";
    FAILSAFE_APART = "failsafe: refused by a peer that is not connected";
    FAILSAFE_OLD = "failsafe: refused by a peer that knows a higher epoch";
    FAILSAFE_HELD = "failsafe: refused by a peer that is not secondary";
    RELAY = "failsafe: a release is relayed by a peer";
    RESTART = "witness: restarts with leases that count as fresh";
    RECOVERY = "RECOVERY: begins";
    RECOVERED = "RECOVERY: every member has reported";
    ADOPTS = "RECOVERY: a person has what was reported adopted";
    ADOPTION_VOID = "RECOVERY: an adoption is void, because who did not report is heard";
    CONTRADICTION = "RECOVERY: claims contradict each other";
    OVERRIDE = "override: a volume is activated without a witness";
    OVERRIDE_RECORDED = "override: the witness has recorded it";
    FORCED_STALE = "data: a person says that a replica's data is not what is recorded";
    PERMIT_SILENT = "permit: for silence";
    PERMIT_OPERATOR = "permit: a person asks";
    PERMIT_DRILL = "permit: a drill";
    PERMIT_FAILED = "permit: over a node that declared itself failed";
    PERMIT_TARGET = "permit: waits because the asker is a target itself";
    NOTHING_AT_STAKE = "permit: refused with nothing at stake";
    SOLO_ELSEWHERE = "permit: waits while the target alone has some data";
    SEEN_ALIVE = "permit: waits while the target is seen alive";
    PERMIT_LIVE = "permit: waits while another one lives";
    TOO_LATE = "permit: an agent that is too late is not started";
    SURRENDER = "permit: its target surrenders, and the permit lives on";
    NEXT_LEVEL = "fence: the next level is tried";
    SWITCHED_ON = "fence: a target that was seen off is switched on";
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
    TORN = "store: a start leaves out what a crash cut off in the middle";
    NOT_KEPT = "store: a write that fails ends the process";
    HALF_KEPT = "store: a process dies between its two records";
    NO_START = "store: a start that cannot write is tried again";
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
            node::Event::NotPermitted { refusal: Refusal::TargetOfPermit { .. }, .. } => PERMIT_TARGET,
            node::Event::DeviceStarted { level, .. } if *level > 1 => NEXT_LEVEL,
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

    /// What a daemon says to another one.
    pub(super) fn peer(&mut self, body: &PeerBody) {
        let PeerBody::FailsafeAnswer { promise: Err(refusal), .. } = body else { return };
        match refusal {
            Refusal::FenceUnresolved => self.hit(FAILSAFE_FENCING),
            Refusal::NotConnected => self.hit(FAILSAFE_APART),
            Refusal::EpochMismatch { .. } => self.hit(FAILSAFE_OLD),
            Refusal::WrongState { .. } => self.hit(FAILSAFE_HELD),
            _ => {}
        }
    }

    /// What the witness says in a step that changed its record, or did not.
    pub(super) fn reply(&mut self, reply: &Reply, changed: bool) {
        match reply {
            Reply::Renewed { refused, .. } if !refused.is_empty() => self.hit(RENEWAL_REFUSED),
            Reply::Granted(_) if !changed => self.hit(TOLD_AGAIN),
            Reply::Refused { refusal: Refusal::VersionConflict { .. }, .. } => self.hit(CONFLICT),
            _ => {}
        }
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
            witness::Event::AdoptionVoid { .. } => ADOPTION_VOID,
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
    /// What of a witness's event needs its record to be understood.
    pub(super) fn rules_of_record(&mut self, event: &witness::Event) {
        let Some(record) = self.witness.machine().map(witness::Witness::record) else { return };
        let known = |node| record.nodes.get(node);
        let rule = match event {
            witness::Event::Permitted { target, reason: FenceReason::Silent, .. } => {
                known(target).and_then(|known| known.failed).map(|_| PERMIT_FAILED)
            }
            witness::Event::Released { node, .. } => {
                known(node).and_then(|known| known.permit).map(|_| SURRENDER)
            }
            _ => None,
        };
        rule.into_iter().for_each(|rule| self.rules.hit(rule));
    }

    /// A change of a register that is a rule at work.
    pub(super) fn rules_of_register(&mut self, was: &witness::Register, now: &witness::Register) {
        let old = was.holder.filter(|old| now.holder.is_some_and(|new| new.node != old.node));
        if old.is_some_and(|old| was.isr.contains(old.node) && !now.isr.contains(old.node)) {
            self.rules.hit(TAKEN_OUT);
        }
        let same = (was.epoch, was.holder, was.isr) == (now.epoch, now.holder, now.isr);
        if same && now.isr_version > was.isr_version {
            self.rules.hit(SHRINK_VOIDS);
        }
    }

    /// The witness answered a person.
    pub(super) fn witness_answered(&mut self, ticket: u64, answer: &OperatorAnswer) {
        let asked = self.asked.remove(&ticket).filter(|_| !matches!(answer, OperatorAnswer::Refused(_)));
        match asked {
            Some(OperatorRequest::Adopt { .. }) => self.rules.hit(ADOPTS),
            Some(OperatorRequest::ForceStale { .. }) => self.rules.hit(FORCED_STALE),
            _ => {}
        }
    }

    /// A node's disk has it alone in an in-sync set, and a grow that may be recorded all the same.
    pub(super) fn rules_of_disk(&mut self, node: picket_core::ids::NodeId) {
        let alone = |volume: &node::DiskVolume| {
            volume.isr == picket_core::ids::NodeSet::only(node) && volume.maximal_isr() != volume.isr
        };
        let disk = self.machine(node).store.disk.read();
        if disk.is_some_and(|disk| disk.volumes.values().any(alone)) {
            self.rules.hit(NOT_SOLO);
        }
    }

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
