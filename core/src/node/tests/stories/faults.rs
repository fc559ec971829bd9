//! Drivers that fail, replicas that come and go, restarts, and a witness that is slow.

use super::*;

fn change(bench: &Bench, isr: NodeSet, version: u64) -> Reply {
    Reply::InSync { register: bench.register_view(Some(A), 2, isr, version) }
}

#[test]
fn a_replica_is_lost_and_comes_back() {
    let mut story = Story::new(Bench::holder(LossAction::Osu));
    story.live(ms(600));
    let mut lost = report(Role::Primary);
    (lost.connected, lost.complete_peers, lost.lost) = (NodeSet::EMPTY, NodeSet::EMPTY, NodeSet::only(B));
    let none = lost.clone();
    story.then("lost", |bench| bench.step(Input::Volume { volume: V, report: lost.clone() }));
    story.then("refused", |bench| {
        let subject = Subject::InSync { volume: V };
        bench.say(Reply::Refused { subject, refusal: Refusal::NotMember })
    });
    story.live(ms(5500));
    story.then("recorded", |bench| {
        let reply = change(bench, NodeSet::only(A), 4);
        bench.say(reply)
    });
    story.then("dropped", Bench::done);
    let alone = VolumeReport { required: NodeSet::EMPTY, lost: NodeSet::EMPTY, ..none };
    story.then("alone", |bench| bench.step(Input::Volume { volume: V, report: alone.clone() }));
    story.live(ms(300));
    let back = VolumeReport { connected: NodeSet::only(B), complete_peers: NodeSet::only(B), ..alone };
    story.then("a permit against B is out", |bench| {
        let register = bench.register_view(Some(A), 2, NodeSet::only(A), 4);
        let permit = PermitView { permit: PermitId(6), target: B, fencer: A };
        let view =
            View { registers: vec![register], permits: vec![permit], hears: both(), ..View::default() };
        bench.say(Reply::View(view));
        bench.step(Input::Volume { volume: V, report: back.clone() })
    });
    story.then("it is over", |bench| bench.say(Reply::View(View { hears: both(), ..View::default() })));
    story.then("required", Bench::done);
    story.then("a conflict", |bench| {
        let subject = Subject::InSync { volume: V };
        let refusal = Refusal::VersionConflict { held: IsrVersion(5), asked: IsrVersion(4) };
        bench.say(Reply::Refused { subject, refusal })
    });
    story.then("read again", |bench| {
        let register = bench.register_view(Some(A), 2, NodeSet::only(A), 5);
        bench.connect(register)
    });
    story.live(ms(5200));
    story.then("recorded", |bench| {
        let reply = change(bench, both(), 6);
        bench.say(reply)
    });
    story.live(ms(300));
    story.then("an old answer", |bench| {
        let reply = change(bench, NodeSet::only(A), 4);
        bench.say(reply)
    });
    story.end(include_str!("replicas.txt"));
}

#[test]
fn a_driver_that_fails_or_says_nothing() {
    let mut story = Story::new(Bench::standby(LossAction::Osu));
    let effects = story.then("free", |bench| bench.say_free(2));
    story.then("granted", |bench| bench.grant(&effects, 2));
    story.then("it cannot", |bench| {
        let command = bench.command();
        let outcome = CommandOutcome::Failed("no".into());
        bench.step(Input::VolumeDone { volume: V, command, outcome })
    });
    story.then("demoted", Bench::done);
    story.then("released", |bench| bench.say(Reply::Released { volume: V, epoch: Epoch(2) }));
    story.then("free", |bench| {
        let register = bench.register_view(None, 2, both(), 4);
        bench.say(Reply::View(View { registers: vec![register], hears: both(), ..View::default() }))
    });
    let effects = story.live(ms(31_000));
    story.then("granted", |bench| bench.grant(&effects, 3));
    story.live(ms(5200));
    story.then("the demote is answered to the wrong order", |bench| {
        let command = crate::node::CommandId(bench.command().0 + 7);
        bench.step(Input::VolumeDone { volume: V, command, outcome: CommandOutcome::Done })
    });
    story.live(ms(5200));
    story.end(include_str!("driver.txt"));
}

#[test]
fn a_restart_finds_its_volume_as_it_was() {
    for (role, expected) in [
        (Role::Primary, include_str!("restart_primary.txt")),
        (Role::Secondary, include_str!("restart_secondary.txt")),
    ] {
        let mut story = Story::new(Bench::holder(LossAction::Osu));
        story.then("a restart", |bench| {
            bench.restart_daemon();
            bench.step(Input::Tick)
        });
        story.wait(ms(300));
        story.then("what the driver sees", |bench| {
            bench.step(Input::Volume { volume: V, report: report(role) })
        });
        story.then("connected", |bench| {
            let register = bench.register_view(Some(A), 2, both(), 3);
            bench.connect(register)
        });
        story.live(ms(2800));
        story.end(expected);
    }
}

#[test]
fn what_nobody_granted_is_stopped() {
    let mut story = Story::new(Bench::new(bench::config(LossAction::Osu)));
    story.then("active", |bench| bench.step(Input::Volume { volume: V, report: report(Role::Primary) }));
    story.wait(ms(200));
    story.then("demoted", Bench::done);
    story.then("seen", |bench| bench.step(Input::Volume { volume: V, report: report(Role::Secondary) }));
    story.wait(ms(200));
    story.end(include_str!("unheld.txt"));
}

#[test]
fn a_witness_that_answers_late_or_not() {
    let mut story = Story::new(Bench::new(bench::config(LossAction::Osu)));
    story.then("a greeting before the first report", Bench::challenged);
    story
        .then("the report", |bench| bench.step(Input::Volume { volume: V, report: report(Role::Secondary) }));
    story.then("a view before the registration", |bench| bench.say(Reply::View(View::default())));
    story.wait(ms(11_000));
    story.then("greeted and refused", |bench| {
        bench.challenged();
        let effects = bench.step(Input::Tick);
        assert!(effects.len() < 100);
        bench.say(Reply::Refused { subject: Subject::Session, refusal: Refusal::NotMember })
    });
    story.then("greeted, and it is recovering", |bench| {
        bench.challenged();
        let register = bench.register_view(None, 0, NodeSet::EMPTY, 0);
        bench.say(Reply::Registered { registers: vec![register], recovering: Some(NodeSet::only(B)) })
    });
    story.live(ms(300));
    story.then("the data changes", |bench| {
        bench.step(Input::Volume { volume: V, report: failed(Role::Secondary) })
    });
    story.then("again", |bench| {
        let register = bench.register_view(Some(B), 1, both(), 1);
        bench.connect(register)
    });
    story.then("the data changes back", |bench| {
        bench.step(Input::Volume { volume: V, report: report(Role::Secondary) })
    });
    story.live(ms(300));
    story.then("B holds with an epoch that is news", |bench| bench.beat_with_epoch(2));
    story.then("and with one that only an override can have made", |bench| {
        bench.beat_with_epoch(3 + crate::params::EPOCH_JUMP)
    });
    story.wait(ms(200));
    story.end(include_str!("slow_witness.txt"));
}
