//! Permits and the agents that work under them.

use super::super::World;
use super::super::clock::{SECOND, Time, nanos};
use super::super::event::Order;
use super::AtWork;
use picket_core::ids::{NodeId, NodeSet, PermitId};
use picket_core::message::{FenceReason, Holder};
use picket_core::topology::PowerAction;
use picket_core::witness::{PermitRecord, Record, Register};

/// What a device's timeout, its retries and the next level may take after a pause.
const PERMIT_LONGEST: u64 = 30 * SECOND;

/// A permit, with whom it is about. A store that took another one's place may give its numbers again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fence {
    target: NodeId,
    fencer: NodeId,
    permit: PermitId,
}

impl Fence {
    const fn of(target: NodeId, permit: &PermitRecord) -> Self {
        Self { target, fencer: permit.fencer, permit: permit.id }
    }
}

/// What the target holds in the boot that the permit is for: what an earlier boot held is no service that could end.
fn held<'a>(
    record: &'a Record,
    target: NodeId,
    permit: &PermitRecord,
) -> impl Iterator<Item = &'a Register> + use<'a> {
    let holder = Holder { node: target, boot: permit.target_boot };
    record.volumes.values().filter(move |register| register.holder == Some(holder))
}

/// Nobody asked for it, neither a person nor the target by declaring itself failed.
fn is_for_silence(record: &Record, target: NodeId, permit: &PermitRecord) -> bool {
    let failed = record.nodes.get(&target).is_some_and(|known| known.failed.is_some());
    permit.reason == FenceReason::Silent && !failed
}

impl World {
    /// A permit was issued in the step that made this record.
    pub(super) fn check_permit(&mut self, record: &Record, target: NodeId, permit: PermitRecord) {
        self.permits += 1;
        self.check_permit_target(record, target, &permit);
        self.check_permit_drill(record, target, &permit);
        self.check_permit_stake(record, target, &permit);
        self.check_permit_solo(record, target, &permit);
        self.check_permit_early(record, target, &permit);
    }

    /// Who is to be fenced gets no permit: two nodes with one over each other would both end.
    fn check_permit_target(&mut self, record: &Record, target: NodeId, permit: &PermitRecord) {
        let fencer = permit.fencer;
        if record.nodes.get(&fencer).is_some_and(|known| known.permit.is_some()) {
            let text = format!("node {fencer} may fence node {target}, and is to be fenced itself");
            self.violated("permit-target", text);
        }
    }

    /// A drill is of a node that holds nothing.
    fn check_permit_drill(&mut self, record: &Record, target: NodeId, permit: &PermitRecord) {
        let holds = |register: &Register| register.holder.is_some_and(|holder| holder.node == target);
        if permit.reason == FenceReason::Drill && record.volumes.values().any(holds) {
            let text = format!("node {} may drill node {target}, which holds something", permit.fencer);
            self.violated("permit-drill", text);
        }
    }

    /// A permit goes to a node that has an in-sync replica of what the target holds.
    fn check_permit_stake(&mut self, record: &Record, target: NodeId, permit: &PermitRecord) {
        let stake = held(record, target, permit).any(|register| register.isr.contains(permit.fencer));
        if permit.reason != FenceReason::Drill && !stake {
            let text = format!("node {} may fence node {target} for nothing", permit.fencer);
            self.violated("permit-stake", text);
        }
    }

    /// For silence only when the target has nothing alone.
    fn check_permit_solo(&mut self, record: &Record, target: NodeId, permit: &PermitRecord) {
        let solo = held(record, target, permit).any(|register| register.isr == NodeSet::only(target));
        if solo && is_for_silence(record, target, permit) {
            let text = format!("node {} may fence node {target}, which has some data alone", permit.fencer);
            self.violated("permit-solo", text);
        }
    }

    /// For silence only when the witness has run long enough to have missed anybody.
    fn check_permit_early(&mut self, record: &Record, target: NodeId, permit: &PermitRecord) {
        let up = self.witness.clock.read(self.now).since(self.oracle.witness_started);
        if is_for_silence(record, target, permit) && up < self.setup.params().lease_and_guard() {
            let text = format!(
                "node {} may fence node {target} {} ms after the witness's start",
                permit.fencer,
                up.as_millis()
            );
            self.violated("permit-early", text);
        }
    }

    /// An agent is started only under a live permit, no two nodes work on one target, and nobody breaks a promise.
    pub(in super::super) fn check_agent_start(&mut self, node: NodeId, order: Order) {
        if order.action == PowerAction::On {
            return;
        }
        let target = order.target;
        let others = self.oracle.agents.iter().filter(|((of, by), _)| *of == target && *by != node);
        let mut others = others.map(|((_, by), run)| (*by, run.permit));
        let other = others.find(|(by, permit)| !self.is_orphan(target, *by, *permit)).map(|(by, _)| by);
        if let Some(other) = other {
            let text = format!("agents of nodes {other} and {node} work on node {target}");
            self.violated("one-fence", text);
        }
        let now = self.now;
        let machine = self.machine(node);
        let Some(core) = machine.node() else { return };
        let status = core.status(machine.now(now));
        let permit = status.fences.iter().find(|f| f.target == target).and_then(|f| f.permit);
        let boot =
            self.live_permit(target).filter(|live| Some(live.id) == permit).map(|live| live.target_boot);
        self.oracle.agents.insert((target, node), AtWork { order: order.id, permit, boot });
        if !self.has_permit(target, node, permit) {
            let text = format!("node {node} starts an agent against node {target} without a live permit");
            self.violated("fence-permit", text);
        }
        self.check_promise(node, target);
    }

    /// Who promised a holder not to take its volume does not switch it off either.
    fn check_promise(&mut self, node: NodeId, target: NodeId) {
        let machine = self.machine(node);
        let local = machine.now(self.now);
        let Some(core) = machine.node() else { return };
        let promised = |promise: &picket_core::node::Promise| promise.to == target && local < promise.until;
        if core.status(local).promises.iter().any(promised) {
            self.violated(
                "promise-kept",
                format!("node {node} fences node {target}, to which it gave a promise"),
            );
        }
    }

    pub(in super::super) fn agent_over(&mut self, node: NodeId, order: Order) {
        let key = (order.target, node);
        if self.oracle.agents.get(&key).is_some_and(|at_work| at_work.order == order.id) {
            self.oracle.agents.remove(&key);
        }
    }

    fn live_permit(&self, target: NodeId) -> Option<PermitRecord> {
        let live = |record: &Record| record.nodes.get(&target).and_then(|known| known.permit);
        self.witness.disk.read().and_then(live)
    }

    fn has_permit(&self, target: NodeId, fencer: NodeId, permit: Option<PermitId>) -> bool {
        if self.is_orphan(target, fencer, permit) {
            return true;
        }
        let live = self.live_permit(target);
        live.is_some_and(|live| live.fencer == fencer && permit.is_none_or(|id| id == live.id))
    }

    /// The witness's store is about to be gone, and its live permits with it.
    pub(in super::super) fn orphan_permits(&mut self) {
        let ends = |lives| self.now + nanos(lives) + SECOND;
        let orphans: Vec<_> =
            self.live_permits().map(|(target, live)| (Fence::of(target, &live), ends(live.lives))).collect();
        self.oracle.orphans.extend(orphans);
    }

    fn live_permits(&self) -> impl Iterator<Item = (NodeId, PermitRecord)> + '_ {
        let nodes = self.witness.disk.read().into_iter().flat_map(|record| &record.nodes);
        nodes.filter_map(|(target, known)| Some((*target, known.permit?)))
    }

    /// A machine pauses unseen under a permit of its own. It cannot know how late it is when it wakes: its clock stood still.
    pub(in super::super) fn fencer_pauses(&mut self, fencer: NodeId) {
        let its = self.live_permits().filter(|(_, live)| live.fencer == fencer);
        let late: Vec<_> = its.map(|(target, live)| (Fence::of(target, &live), Time(u64::MAX))).collect();
        self.oracle.orphans.extend(late);
    }

    /// It wakes: what its own clock still allows comes soon, or never.
    pub(in super::super) fn fencer_wakes(&mut self, fencer: NodeId) {
        let ends = self.now + PERMIT_LONGEST;
        let its = |(fence, until): &(&Fence, &mut Time)| fence.fencer == fencer && **until == Time(u64::MAX);
        self.oracle.orphans.iter_mut().filter(its).for_each(|(_, until)| *until = ends);
    }

    pub(super) fn is_orphan(&self, target: NodeId, fencer: NodeId, permit: Option<PermitId>) -> bool {
        let fence = permit.map(|permit| Fence { target, fencer, permit });
        fence.and_then(|fence| self.oracle.orphans.get(&fence)).is_some_and(|until| self.now < *until)
    }

    /// Whether a volume is in service there, also where a write would wait.
    fn is_serving(&self, node: NodeId) -> bool {
        let machine = self.machine(node);
        machine.replicas.keys().any(|volume| machine.is_open(*volume))
    }

    /// A power-off under a permit: the permit lives, no promise was given meanwhile, and a later boot than the
    /// permit's has nothing in service.
    pub(in super::super) fn check_fence_hits(&mut self, fencer: NodeId, target: NodeId, order: Order) {
        let at_work = self.oracle.agents.get(&(target, fencer)).filter(|run| run.order == order.id).copied();
        let permit = at_work.and_then(|run| run.permit);
        if self.oracle.overridden {
            return;
        }
        // Whatever became of the permit: a node knows both its fence and its promise.
        self.check_promise(fencer, target);
        if self.is_orphan(target, fencer, permit) {
            return;
        }
        if !self.has_permit(target, fencer, permit) {
            let text = format!("an agent of node {fencer} hits node {target} without a live permit");
            self.violated("fence-permit", text);
        }
        let later = at_work.and_then(|run| run.boot).is_some_and(|boot| boot != self.machine(target).boot);
        if later && self.is_serving(target) {
            let text = format!("an agent of node {fencer} ends the service of a later boot of node {target}");
            self.violated("later-boot", text);
        }
    }
}
