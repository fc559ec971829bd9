//! Random runs: whatever comes in, in whatever order, the invariants of the record hold.
//!
//! The nodes of these runs keep no rules at all; what holds here is kept by the witness alone.

use super::bench::{A, B, Bench, C, DATA, U, V, ms, set, wish};
use crate::evidence::{FenceOutcome, Generation};
use crate::ids::{AttemptId, Epoch, IsrVersion, NodeId, NodeSet, Nonce, PermitId, VolumeId};
use crate::message::{
    FenceReason, Heartbeat, OperatorRequest, Reply, ReportFence, Request, RequestFence, SignedRelease,
    UpdateInSync,
};
use crate::time::{Instant, Instants};
use crate::witness::{Input, Record};
use alloc::collections::BTreeMap;
use alloc::vec;

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

/// What was ever seen in a run.
#[derive(Default)]
struct Seen {
    holders: BTreeMap<(VolumeId, Epoch), NodeId>,
    newest: BTreeMap<VolumeId, (Epoch, IsrVersion)>,
    permits: BTreeMap<PermitId, NodeId>,
}

impl Seen {
    fn check(&mut self, bench: &Bench) {
        let record = bench.witness.record();
        for (volume, register) in &record.volumes {
            let newest = self.newest.entry(*volume).or_default();
            assert!(register.epoch >= newest.0 && register.isr_version >= newest.1);
            *newest = (register.epoch, register.isr_version);
            if let Some(holder) = register.holder {
                let first = self.holders.entry((*volume, register.epoch)).or_insert(holder.node);
                assert_eq!(*first, holder.node, "one holder per epoch");
            }
        }
        for (node, known) in &record.nodes {
            if let Some(permit) = known.permit {
                let target = self.permits.entry(permit.id).or_insert(*node);
                assert_eq!(target, node, "a permit has one target");
            }
        }
        for (node, message) in &bench.sent {
            if let Reply::Granted(granted) = &message.body {
                assert_eq!(granted.register.holder.map(|h| h.node), Some(*node));
                assert!(granted.register.isr.contains(*node), "only an in-sync replica");
                assert!(record.nodes[node].permit.is_none() && record.nodes[node].failed.is_none());
            }
        }
        assert!(bench.witness.deadline().is_none_or(|at| at > bench.now), "everything due was done");
        same_at_another_time(bench);
    }
}

/// A machine whose every instant is moved does the same, as much later: no instant is hidden from a checker.
fn same_at_another_time(bench: &Bench) {
    let later = ms(3_600_000);
    let (mut here, mut there) = (bench.witness.clone(), bench.witness.clone());
    there.instants(&mut |at: &mut Instant| *at = *at + later);
    assert_eq!(there.deadline(), here.deadline().map(|at| at + later));
    let due = here.deadline().unwrap_or(bench.now).max(bench.now);
    let (fresh, tick) = (Nonce(1), || Input::Tick);
    assert_eq!(here.step(due, tick(), fresh), there.step(due + later, tick(), fresh));
    there.instants(&mut |at: &mut Instant| *at = *at - later);
    assert_eq!(here, there);
}

fn random_request(bench: &Bench, dice: &mut Dice, node: NodeId, volume: VolumeId) -> Request {
    let nodes = [A, B, C];
    let other = nodes[dice.below(3) as usize];
    let register = bench.witness.record().volumes[&volume].clone();
    let some: NodeSet = nodes.iter().copied().filter(|_| dice.below(3) > 0).collect();
    let epoch = Epoch(register.epoch.0.saturating_sub(u64::from(dice.below(8) == 0)));
    let live = bench.witness.record().nodes[&other].permit;
    match dice.below(16) {
        0..=4 => {
            let holds = vec![(V, bench.epoch(V)), (U, bench.epoch(U))];
            Request::Heartbeat(Heartbeat { hears: some, holds, ..Heartbeat::default() })
        }
        5 | 6 => Request::Acquire(wish(volume, dice.below(4))),
        7 => Request::Withdraw { attempt: AttemptId(dice.below(4)) },
        8 | 9 => {
            let (expected, isr) = (register.isr_version, some.with(node));
            let generation = Generation::first(DATA);
            Request::UpdateInSync(UpdateInSync { volume, epoch, expected, isr, generation })
        }
        10 => Request::Release { volume, epoch, successor: (dice.below(2) == 0).then_some(other) },
        11 => {
            let boot = bench.nodes[&other].boot;
            Request::RelayRelease {
                holder: other,
                release: SignedRelease { volume, epoch, boot, signature: vec![] },
            }
        }
        12 if dice.below(6) == 0 => Request::DeclareFailed,
        12 | 13 => {
            let reason = if dice.below(4) == 0 { FenceReason::Operator } else { FenceReason::Silent };
            let (attempt, levels) = (AttemptId(dice.below(4)), ms(dice.below(2000)));
            Request::RequestFence(RequestFence { target: other, attempt, reason, levels })
        }
        14 if live.is_some() && dice.below(3) == 0 => {
            Request::AskOperator { permit: live.map(|live| live.id).unwrap_or_default() }
        }
        _ => {
            let outcomes = [FenceOutcome::ConfirmedOff, FenceOutcome::Unknown, FenceOutcome::NotStarted];
            let (permit, target_boot) =
                live.map_or((PermitId(1), bench.nodes[&other].boot), |live| (live.id, live.target_boot));
            let (outcome, acquire) = (outcomes[dice.below(3) as usize], vec![wish(volume, dice.below(4))]);
            Request::ReportFence(ReportFence { permit, target: other, target_boot, outcome, acquire })
        }
    }
}

fn random_operator(bench: &Bench, dice: &mut Dice, node: NodeId) -> OperatorRequest {
    let asked = bench.witness.record().nodes[&node].permit.and_then(|live| live.asked);
    match dice.below(6) {
        0 => OperatorRequest::Adopt { source: (dice.below(2) == 0).then_some(node) },
        1 => OperatorRequest::Evict { node, volume: V },
        2 => OperatorRequest::Clear { node },
        3 => OperatorRequest::ConfirmMeatware { node, challenge: asked.map_or(1, |asked| asked.challenge) },
        4 => OperatorRequest::DenyMeatware { node },
        _ => OperatorRequest::Maintenance { node, length: ms(dice.below(3) * 700) },
    }
}

fn run(seed: u64) -> Record {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut bench = Bench::up(&[A, B, C], &[V, U]);
    let mut seen = Seen::default();
    for _ in 0..400 {
        let node = [A, B, C][dice.below(3) as usize];
        let volume = [V, U][dice.below(2) as usize];
        let passed = [0, 0, 1, 40, 100, 300, 900][dice.below(7) as usize];
        bench.now = bench.now + ms(passed);
        match dice.below(40) {
            0 => bench.reboot(node),
            1 => bench.register(node),
            2 => {
                let session = bench.nodes[&node].session;
                bench.step(Input::Disconnected { session });
            }
            3 => bench.restart(),
            4 => {
                let request = random_operator(&bench, &mut dice, node);
                bench.operator(request);
            }
            5 => bench.pass(ms(600), &[node]),
            6..=8 => bench.step(Input::Tick),
            9 => bench.beat(node, set(&[A, B, C])),
            _ => {
                let request = random_request(&bench, &mut dice, node, volume);
                bench.say(node, request);
            }
        }
        // A restart is no step: what is due is done by the first one.
        bench.step(Input::Tick);
        seen.check(&bench);
        assert_eq!(bench.disk.as_ref(), Some(bench.witness.record()), "what is known durably is stored");
    }
    bench.disk.unwrap_or_default()
}

#[test]
fn no_order_of_inputs_breaks_the_record() {
    let mut grants = 0;
    for seed in 1..=150 {
        let record = run(seed);
        grants += record.volumes.values().map(|register| register.epoch.0).sum::<u64>();
        let text = serde_json::to_string(&record).expect("a record in JSON");
        let read: Record = serde_json::from_str(&text).expect("and back");
        assert_eq!(read, record);
    }
    assert!(grants > 1000, "the runs go through many grants: {grants}");
}

#[test]
fn the_same_inputs_give_the_same_record() {
    assert_eq!(run(7), run(7));
}
