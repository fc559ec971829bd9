//! The invariants, one function each, looked at whenever something that they speak of changes.
//!
//! They see what no machine sees: every clock, disk and replica at once. `active` who serves and who may · `leases`
//! until when · `data` acknowledged writes · `registers` every change of the witness's record · `fences` permits and
//! agents · `resets` machines that end themselves · `liveness` what must be served, and by how many
//! · `pace` how often a node asks.

mod active;
mod data;
mod fences;
mod leases;
mod liveness;
mod pace;
mod registers;
mod resets;

use super::World;
use super::clock::{SECOND, Time};
use picket_core::ids::{BootId, Epoch, NodeId, PermitId, VolumeId};
use picket_core::node;
use picket_core::time::Instant;
use picket_core::topology::OrderId;
use picket_core::witness::{self, Record};
use std::collections::{BTreeMap, BTreeSet};

pub(super) use registers::Spoken;

/// What a witness knows of an override.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ByHand {
    /// Nothing yet.
    #[default]
    Unknown,
    /// It is in the record.
    Recorded,
    /// Its holder has a lease of the witness.
    TakenIn,
}

/// What must never be seen, and was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When.
    pub at: Time,
    /// Which invariant.
    pub invariant: &'static str,
    /// What exactly.
    pub text: String,
}

/// What the invariants remember.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    /// The first violation.
    pub violation: Option<Violation>,
    /// A person overrode the protocol: exclusivity and acknowledged writes are not guaranteed from then on.
    pub overridden: bool,
    /// How far the witness is with that.
    pub(super) by_hand: ByHand,
    /// Every acknowledged write, by volume, in order.
    committed: BTreeMap<VolumeId, Vec<u64>>,
    paces: BTreeMap<NodeId, pace::Pace>,
    holders: BTreeMap<(VolumeId, Epoch), (NodeId, BootId)>,
    durable_epochs: BTreeMap<(NodeId, VolumeId), Epoch>,
    /// Who is at work on which target.
    agents: BTreeMap<(NodeId, NodeId), AtWork>,
    /// Permits that were live in a store which is gone, and until when they would have lived. The store that took its
    /// place cannot know them, and nothing promises that it does. And permits over which their fencer's machine was
    /// paused unseen. A later permit of the same node over the same target is none of them.
    orphans: BTreeMap<fences::Fence, Time>,
    /// Who was told in which boot that it may go on with a volume, and when, by its own clock.
    told: BTreeMap<(NodeId, VolumeId), (BootId, picket_core::time::Instant)>,
    /// Replicas whose disk was swapped, and when: until they have everything again, a record may take them for whole.
    swapped: BTreeMap<(NodeId, VolumeId), Time>,
    /// Volumes that a disk was ever swapped under.
    disks_lost: BTreeSet<VolumeId>,
    /// Grants whose renewal was refused, as the node was told, and until when they may be in service.
    refused: BTreeMap<(NodeId, VolumeId), (Epoch, Instant)>,
    /// The witness's record after its newest step.
    record: Option<Record>,
    /// The store was replaced or rolled back, and does not know it yet.
    pub(super) rolled_back: bool,
    /// What the witness's clock read at its start.
    witness_started: picket_core::time::Instant,
}

/// An agent's run.
#[derive(Clone, Copy, Debug)]
struct AtWork {
    order: OrderId,
    permit: Option<PermitId>,
    /// The boot that the permit is for.
    boot: Option<BootId>,
}

/// Every invariant that is looked at, with what it says.
pub const INVARIANTS: &[(&str, &str)] = &[
    ("exclusive", "no two nodes can acknowledge writes to a volume"),
    ("active", "no two nodes have a volume in service, whatever the barrier holds back"),
    ("authority", "when a volume is granted, no other node has a lease on it or is solo"),
    ("acknowledged", "who is active has every acknowledged write"),
    ("barrier", "every write waits for the whole recorded in-sync set"),
    ("in-sync", "every member of the recorded in-sync set has every acknowledged write"),
    ("one-holder", "an epoch has one holder"),
    ("one-epoch", "an attempt gets one epoch"),
    ("epochs-grow", "durable epochs and versions only grow"),
    ("intent-first", "who comes into an in-sync set was a durable intent of the holder before"),
    ("target-silent", "from its permit on, a target changes no in-sync set"),
    (
        "takeover-set",
        "a grant takes whom its proof speaks of out of the set, the old holder and fenced nodes, and nobody else",
    ),
    (
        "grant-barred",
        "nobody is granted a volume who is to be fenced, has declared itself failed or is held off",
    ),
    ("boot-order", "a superseded boot never becomes the current one again"),
    ("refused-final", "a lease after its renewal was refused, a grant is in service nowhere"),
    ("lease-over", "a lease after a holder was told last that it may go on, it is in service no more"),
    ("fenced-off", "a boot that a device proved off does not run"),
    ("permit-stake", "a permit goes to a node that has something of the target's in sync"),
    ("permit-target", "no permit goes to a node that is to be fenced itself"),
    ("permit-solo", "no permit for silence over a node that alone has some data"),
    ("permit-drill", "a drill is of a node that holds nothing"),
    ("permit-early", "no permit for silence before the witness has run for a lease and a guard"),
    ("fence-permit", "an agent starts and acts under a live permit only"),
    ("one-fence", "agents of one node at most work on a target"),
    ("later-boot", "a permit for one boot never ends a service of a later one"),
    ("promise-kept", "nobody fences a node to which it has a live promise"),
    ("left-running", "a daemon that ends and leaves its volumes running has no stop of them under way"),
    ("kept-once", "what was left running under a maintenance counts as that at one start"),
    ("standby", "who has said that it stands by asks for no volume until it is put online"),
    ("innocent-reset", "a machine with nothing active on it is not reset by itself or its watchdog"),
    ("lease-begun", "no machine resets itself within the lease that begins with what was left running"),
    ("alone-reset", "who is alone with a volume by the record is not reset because a lease of it has ended"),
    ("solo-killed", "a volume that is solo is not killed for another one"),
    ("alarm", "no machine sees one of its own invariants broken"),
    ("pace", "a node does not ask as fast as it is refused"),
    ("survived", "in an aim that leaves somebody who could, every volume is served while its faults last"),
    ("kept", "in an aim that gives no reason to, no volume is granted anew"),
    ("standing", "in an aim that gives no reason to, no machine is reset"),
    ("served", "after healing, every volume that somebody has in full and who is not on standby is served"),
    ("online", "after healing, no node is on standby that nobody wants there"),
    ("redundant", "after healing, every replica comes back into the in-sync set"),
    ("steady", "after healing, all is well for some seconds without a break"),
    ("registered", "after healing, every running daemon has a session with the witness"),
];

impl World {
    /// Notes a violation; the first one counts.
    pub(super) fn violated(&mut self, invariant: &'static str, text: String) {
        self.log.line(self.now, "!!!!", || format!("VIOLATED {invariant}: {text}"));
        self.log.tell(self.now, || format!("VIOLATED {invariant}: {text}"));
        if self.oracle.violation.is_none() {
            self.oracle.violation = Some(Violation { at: self.now, invariant, text });
        }
    }

    pub(super) fn node_event(&mut self, node: NodeId, event: &node::Event) {
        self.log.line(self.now, node, || format!("{event:?}"));
        self.log.tell_of(self.now, || super::prose::of_node(node, event));
        self.rules.node(event);
        self.note_node_alarm(super::net::place(node), event);
        match event {
            node::Event::Alarm(text) if !self.oracle.overridden => {
                self.violated("alarm", format!("node {node}: {text}"));
            }
            node::Event::Granted { volume, proof, .. } => {
                *self.proofs.entry(proof.word()).or_default() += 1;
                self.last_proof.insert(*volume, proof.word());
            }
            node::Event::Waiting { refusal, .. }
            | node::Event::NotGranted { refusal, .. }
            | node::Event::NotPermitted { refusal, .. }
            | node::Event::WitnessRefused(refusal) => {
                self.refusals.insert(refusal.word());
            }
            _ => {}
        }
    }

    pub(super) fn witness_event(&mut self, event: &witness::Event) {
        self.log.line(self.now, "wit", || format!("{event:?}"));
        self.log.tell_of(self.now, || super::prose::of_witness(event));
        self.rules.witness(event);
        self.rules_of_record(event);
        self.note_witness_event(event);
        if matches!(event, witness::Event::RecoveryBegun { .. }) {
            self.oracle.rolled_back = false;
        }
        if let witness::Event::OperatorAsked { target, .. } = event
            && self.careless.contains(*target)
        {
            let at = self.now + self.rng.range(SECOND / 10, SECOND);
            self.put(at, super::event::Ev::Confirm(*target));
        }
    }

    pub(super) fn witness_alarm(&mut self, alarm: &witness::Alarm) {
        self.log.line(self.now, "wit", || format!("ALARM {alarm:?}"));
        self.rules.alarm(alarm);
        self.note_witness_alarm(alarm);
        match alarm {
            witness::Alarm::Broken { invariant, volume } => {
                self.violated("alarm", format!("witness, volume {volume}: {invariant}"));
            }
            witness::Alarm::OffButSpeaks { node, .. } => {
                self.speak_though_off = self.speak_though_off.with(*node);
            }
            witness::Alarm::Contradiction { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;
