//! Whom a holder asks the witness to let into the in-sync set, and what it makes of a refusal: B and C replicate, and
//! the witness may let one of them in only.

use super::super::*;
use super::bench::{actions, params, report, requests};
use super::*;
use crate::error::Refusal;
use crate::ids::*;
use crate::message::*;
use crate::quorum::QuorumMode;
use crate::time::Duration;
use alloc::vec;
use alloc::vec::Vec;

const C: NodeId = NodeId(3);
const ALONE: NodeSet = NodeSet::only(A);

/// How long a peer that was turned down is left alone.
fn rest() -> Duration {
    params().suspect_after() * 10
}

fn three(barrier: Barrier) -> Config {
    let mut config = super::bench::config(LossAction::Osu);
    config.members = config.members.with(C);
    config.paths.insert(C, 1);
    config.quorum = QuorumMode::None;
    if let Some(volume) = config.volumes.get_mut(&V) {
        volume.members = config.members;
        volume.barrier = barrier;
    }
    config
}

/// The holder, alone in the set of version 9, with a witness that judges what it asks for.
struct Holder {
    bench: Bench,
    /// Whom the witness would let in.
    admits: NodeSet,
    hears: NodeSet,
    beats: NodeSet,
    isr: NodeSet,
    version: u64,
    beat: u64,
    asked: Vec<NodeSet>,
    done: Vec<(&'static str, NodeId)>,
}

impl Holder {
    fn new(barrier: Barrier) -> Self {
        let mut bench = Bench::holder_with(three(barrier));
        let alone = VolumeReport {
            connected: NodeSet::EMPTY,
            complete_peers: NodeSet::EMPTY,
            required: NodeSet::EMPTY,
            ..report(Role::Primary)
        };
        bench.step(Input::Volume { volume: V, report: alone });
        let register = bench.register_view(Some(A), 2, ALONE, 9);
        let effects = bench.say(Reply::InSync { register });
        let (asked, done) = (Vec::new(), Vec::new());
        let all = Bench::both().with(C);
        let mut holder = Self {
            bench,
            admits: NodeSet::EMPTY,
            hears: all,
            beats: all,
            isr: ALONE,
            version: 9,
            beat: 0,
            asked,
            done,
        };
        holder.serve(effects);
        holder
    }

    /// B was asked for and is not let in; what is asked for instead has no answer yet.
    fn turned_down() -> Self {
        let mut holder = Self::new(Barrier::Replication);
        let report = VolumeReport { required: NodeSet::EMPTY, ..report(Role::Primary) };
        holder.bench.step(Input::Volume { volume: V, report });
        holder.bench.done();
        let effects = holder.refuse(Refusal::NotAnInSyncSet { asked: Bench::both() });
        assert_eq!(requests(&effects).into_iter().find_map(change), Some((ALONE, IsrVersion(9))));
        holder
    }

    /// These replicate and have everything.
    fn follow(&mut self, peers: NodeSet) {
        let required = self.bench.node.volumes[&V].report.as_ref().map(|report| report.required);
        let report = VolumeReport {
            connected: peers,
            complete_peers: peers,
            required: required.unwrap_or_default(),
            ..report(Role::Primary)
        };
        let effects = self.bench.step(Input::Volume { volume: V, report });
        self.serve(effects);
    }

    fn beat(&mut self, from: NodeId) -> Vec<Effect> {
        if from == B {
            return self.bench.beat_from_b(false);
        }
        self.beat += 1;
        let echo = self.bench.node.peers.get(&from).map(|peer| (self.bench.node.run_id, peer.beat_seq));
        let (boot, run, hears) = (BootId(0xC1), Nonce(0xCC), ALONE);
        let beat = Beat { from, boot, run, seq: self.beat, echo, hears, holds: vec![] };
        self.bench.step(Input::Beat { path: PathId(0), beat })
    }

    fn live(&mut self, length: Duration) {
        let until = self.bench.now + length;
        while self.bench.now < until {
            self.bench.now = self.bench.now + ms(100);
            let mut effects = self.bench.step(Input::Tick);
            for peer in self.beats.without(A).iter() {
                effects.extend(self.beat(peer));
            }
            let held = self.bench.phase().held().map(|held| (V, held.epoch));
            let (volumes, hears) = (held.into_iter().collect(), self.hears);
            effects.extend(self.bench.say(Reply::Renewed { volumes, refused: vec![], hears }));
            self.serve(effects);
        }
    }

    /// The driver does and the witness answers whatever there is to do and to answer.
    fn serve(&mut self, mut effects: Vec<Effect>) {
        while !effects.is_empty() {
            let ordered: Vec<_> = actions(&effects).into_iter().filter_map(peer_action).collect();
            let asked: Vec<_> = requests(&effects).into_iter().filter_map(change).collect();
            effects.clear();
            for action in ordered {
                self.done.push(action);
                effects.extend(self.bench.done());
            }
            for (isr, expected) in asked {
                assert_eq!(expected, IsrVersion(self.version));
                self.asked.push(isr);
                effects.extend(self.judge(isr));
            }
        }
    }

    fn judge(&mut self, asked: NodeSet) -> Vec<Effect> {
        if !asked.minus(self.isr).is_subset(self.admits) {
            return self.refuse(Refusal::NotAnInSyncSet { asked });
        }
        (self.isr, self.version) = (asked, self.version + 1);
        let register = self.bench.register_view(Some(A), 2, self.isr, self.version);
        self.bench.say(Reply::InSync { register })
    }

    fn refuse(&mut self, refusal: Refusal) -> Vec<Effect> {
        self.bench.say(Reply::Refused { subject: Subject::InSync { volume: V }, refusal })
    }

    fn intends(&self) -> NodeSet {
        self.bench.disk.volumes[&V].intents.iter().map(|intent| intent.peer).collect()
    }
}

fn peer_action(action: &VolumeAction) -> Option<(&'static str, NodeId)> {
    match action {
        VolumeAction::RequirePeer { peer } => Some(("require", *peer)),
        VolumeAction::DropPeer { peer } => Some(("drop", *peer)),
        _ => None,
    }
}

fn change(request: &Request) -> Option<(NodeSet, IsrVersion)> {
    match request {
        Request::UpdateInSync(update) => Some((update.isr, update.expected)),
        _ => None,
    }
}

const fn both_peers() -> NodeSet {
    NodeSet::only(B).with(C)
}

#[test]
fn a_peer_that_the_witness_does_not_let_in_keeps_nobody_else_out() {
    for barrier in [Barrier::Replication, Barrier::None] {
        let mut holder = Holder::new(barrier);
        holder.admits = NodeSet::only(C);
        holder.beats = Bench::both();
        holder.follow(NodeSet::only(B));
        holder.live(ms(100));
        assert_eq!(holder.asked, [Bench::both(), ALONE], "the same set, a new version: {barrier:?}");
        assert!(holder.bench.node.is_solo(V) && holder.intends().is_empty());
        holder.beats = Bench::both().with(C);
        holder.follow(both_peers());
        holder.live(ms(300));
        let with_c = ALONE.with(C);
        assert_eq!(holder.asked, [Bench::both(), ALONE, with_c], "{barrier:?}");
        assert_eq!(holder.isr, with_c);
    }
}

#[test]
fn a_peer_that_was_turned_down_is_required_until_the_new_version_is_recorded() {
    let mut holder = Holder::turned_down();
    assert!(actions(&holder.bench.live(ms(1000))).is_empty(), "the request for it has no answer");
    assert!(holder.intends() == NodeSet::only(B) && !holder.bench.node.is_solo(V));
    let register = holder.bench.register_view(Some(A), 2, ALONE, 10);
    let effects = holder.bench.say(Reply::InSync { register });
    assert!(matches!(actions(&effects)[..], [VolumeAction::DropPeer { peer: B }]), "{effects:?}");
    assert!(holder.intends().is_empty() && holder.bench.node.is_solo(V));
}

/// What was asked for was not answered meanwhile.
#[test]
fn a_peer_that_was_turned_down_is_known_for_it_until_the_grow_has_ended() {
    let mut holder = Holder::turned_down();
    holder.bench.live(rest() + ms(100));
    assert_eq!(holder.intends(), NodeSet::only(B));
    assert!(holder.bench.node.volumes[&V].turned_down.contains_key(&B));
}

#[test]
fn a_peer_that_was_turned_down_may_be_asked_for_in_the_instant_in_which_that_ends() {
    let mut holder = Holder::turned_down();
    let register = holder.bench.register_view(Some(A), 2, ALONE, 10);
    holder.bench.say(Reply::InSync { register });
    let until = holder.bench.node.volumes[&V].turned_down[&B];
    holder.bench.live(until.since(holder.bench.now) - ms(150));
    assert!(holder.bench.node.volumes[&V].turned_down.contains_key(&B));
    holder.bench.now = until;
    holder.bench.step(Input::Tick);
    assert!(!holder.bench.node.volumes[&V].turned_down.contains_key(&B));
}

#[test]
fn a_peer_that_was_turned_down_is_left_alone_for_a_while() {
    let mut holder = Holder::new(Barrier::Replication);
    holder.follow(NodeSet::only(B));
    holder.live(rest() - ms(100));
    assert_eq!(holder.asked, [Bench::both(), ALONE], "once, and not five times a second");
    holder.admits = NodeSet::only(B);
    holder.live(ms(300));
    assert_eq!(holder.asked, [Bench::both(), ALONE, Bench::both()], "and then again");
    assert_eq!(holder.isr, Bench::both());
}

#[test]
fn a_peer_that_speaks_now_and_then_and_is_not_let_in_is_left_alone_just_the_same() {
    let mut holder = Holder::new(Barrier::Replication);
    holder.follow(NodeSet::only(B));
    for _ in 0..4 {
        holder.hears = Bench::both();
        holder.live(ms(500));
        holder.hears = ALONE;
        holder.live(ms(500));
    }
    assert_eq!(
        holder.asked,
        [Bench::both(), ALONE],
        "a wrong configuration is heard with each try to register"
    );
}

#[test]
fn a_peer_that_registers_is_asked_for_with_the_first_renewal_that_says_so() {
    let mut holder = Holder::new(Barrier::Replication);
    (holder.hears, holder.admits) = (ALONE, NodeSet::only(B));
    holder.live(ms(100));
    holder.follow(NodeSet::only(B));
    holder.live(ms(1000));
    assert!(holder.asked.is_empty());
    holder.hears = Bench::both();
    holder.live(ms(100));
    assert_eq!(holder.isr, Bench::both());
}

#[test]
fn a_grow_of_a_peer_that_is_gone_for_good_does_not_stay_open() {
    let mut holder = Holder::new(Barrier::None);
    holder.follow(NodeSet::EMPTY);
    assert_eq!(holder.asked, [Bench::both(), ALONE]);
    (holder.hears, holder.beats) = (ALONE, ALONE);
    holder.live(ms(10_000));
    assert_eq!(holder.asked, [Bench::both(), ALONE]);
    assert!(holder.bench.node.is_solo(V));
}

#[test]
fn whom_the_witness_cannot_let_in_is_not_asked_for() {
    let only_b = NodeSet::only(B);
    let permit = PermitView { permit: PermitId(6), target: B, fencer: C };
    let views = [
        View { hears: ALONE, ..View::default() },
        View { hears: Bench::both(), permits: vec![permit], ..View::default() },
        View { hears: Bench::both(), held_off: only_b, ..View::default() },
        View { hears: Bench::both(), failed: only_b, ..View::default() },
    ];
    for view in views {
        let mut holder = Holder::new(Barrier::Replication);
        (holder.hears, holder.admits) = (view.hears, only_b);
        holder.bench.say(Reply::View(view.clone()));
        holder.follow(only_b);
        holder.live(ms(1000));
        assert!(holder.asked.is_empty() && holder.bench.node.is_solo(V), "{view:?}");
        holder.hears = Bench::both();
        let effects = holder.bench.say(Reply::View(View { hears: Bench::both(), ..View::default() }));
        holder.serve(effects);
        assert_eq!(holder.isr, Bench::both(), "at once when nothing is against it any more: {view:?}");
    }
}

#[test]
fn no_refusal_by_itself_ends_a_grow() {
    let (held, asked) = (IsrVersion(10), IsrVersion(9));
    let generation = |number| GenerationId(number);
    let refusals = [
        Refusal::VersionConflict { held, asked },
        Refusal::Recovering { missing: NodeSet::only(C) },
        Refusal::NoSuchVolume { volume: V },
        Refusal::TargetOfPermit { permit: PermitId(6) },
        Refusal::DeclaredFailed,
        Refusal::NotMember,
        Refusal::NotHolder { holder: Some(C) },
        Refusal::EpochMismatch { held: Epoch(3), asked: Epoch(2) },
        Refusal::DataMismatch { recorded: generation(8), offered: generation(7) },
        Refusal::NotAnInSyncSet { asked: Bench::both() },
    ];
    for refusal in refusals {
        let mut holder = Holder::new(Barrier::Replication);
        let report = VolumeReport { required: NodeSet::EMPTY, ..report(Role::Primary) };
        holder.bench.step(Input::Volume { volume: V, report });
        let effects = holder.bench.done();
        assert_eq!(requests(&effects).into_iter().find_map(change), Some((Bench::both(), asked)));
        let named = matches!(refusal, Refusal::NotAnInSyncSet { .. });
        let mut effects = holder.refuse(refusal.clone());
        effects.extend(holder.bench.live(ms(250)));
        assert_eq!(holder.intends(), NodeSet::only(B), "{refusal:?}");
        assert!(!holder.bench.node.is_solo(V) && actions(&effects).is_empty(), "{refusal:?} {effects:?}");
        let next = requests(&effects).into_iter().find_map(change).map(|(isr, _)| isr);
        let conflicts = matches!(refusal, Refusal::VersionConflict { .. });
        let again = if named { ALONE } else { Bench::both() };
        assert_eq!(
            next,
            Some(again).filter(|_| !conflicts),
            "a refusal of B, and of nobody else, is followed by a void"
        );
    }
}

#[test]
fn a_grow_that_was_refused_is_open_for_the_next_daemon_too() {
    let mut holder = Holder::new(Barrier::Replication);
    let back = VolumeReport { required: NodeSet::EMPTY, ..report(Role::Primary) };
    holder.bench.step(Input::Volume { volume: V, report: back });
    holder.bench.done();
    holder.refuse(Refusal::NotAnInSyncSet { asked: Bench::both() });
    holder.bench.restart_daemon();
    holder.bench.step(Input::Volume { volume: V, report: report(Role::Primary) });
    let register = holder.bench.register_view(Some(A), 2, ALONE, 9);
    holder.bench.connect(register);
    assert!(!holder.bench.node.is_solo(V), "no newer version is known");
}
