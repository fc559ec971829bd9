//! Without the witness, and the ends of authority.

use super::*;

fn questions(effects: &[Effect]) -> Vec<RequestId> {
    let asked = effects.iter().filter_map(|effect| match effect {
        Effect::Peer {
            message: PeerMessage { body: PeerBody::FailsafeLease { request, .. }, .. }, ..
        } => Some(*request),
        _ => None,
    });
    asked.collect()
}

fn promise(bench: &mut Bench, request: RequestId, promise: Result<(), Refusal>) -> Vec<Effect> {
    let run = Nonce(0x55);
    bench.peer_says(PeerBody::FailsafeAnswer { request, run, volume: V, epoch: Epoch(2), promise })
}

#[test]
fn a_holder_goes_on_by_promises_and_ends_without() {
    let mut story = Story::new(Bench::holder(LossAction::Osu));
    story.then("the witness is gone", |bench| bench.step(Input::WitnessGone));
    let effects = story.alone_with_b(ms(700));
    let asked = questions(&effects);
    story.then("promised", |bench| promise(bench, asked[0], Ok(())));
    story.then("promised again", |bench| promise(bench, asked[0], Ok(())));
    story.then("refused", |bench| promise(bench, asked[1], Err(Refusal::NotConnected)));
    story.alone_with_b(ms(3000));
    story.then("frozen", Bench::done);
    story.alone_with_b(ms(1500));
    story.end(include_str!("promises.txt"));
}

#[test]
fn an_end_of_authority_is_as_its_loss_action_says() {
    for (action, expected) in [
        (LossAction::Osu, include_str!("lost_osu.txt")),
        (LossAction::Freeze, include_str!("lost_freeze.txt")),
        (LossAction::Fastboot, include_str!("lost_fastboot.txt")),
    ] {
        let mut story = Story::new(Bench::holder(action));
        story.wait(ms(1200));
        story.then("what was ordered is done", Bench::done);
        story.wait(ms(1500));
        story.end(expected);
    }
}

#[test]
fn who_has_promised_waits() {
    let mut story = Story::new(Bench::standby(LossAction::Osu));
    story.then("B asks for a promise", |bench| {
        bench.peer_says(PeerBody::FailsafeLease {
            request: RequestId(8),
            volume: V,
            epoch: Epoch(1),
            lease: ms(2000),
        })
    });
    story.pass(ms(200), Bench::renew);
    story.then("and once more", |bench| {
        bench.peer_says(PeerBody::FailsafeLease {
            request: RequestId(9),
            volume: V,
            epoch: Epoch(1),
            lease: ms(2000),
        })
    });
    story.pass(ms(1500), Bench::renew);
    story.then("a fence is asked for by hand", |bench| {
        let wish = FenceWish::Reboot;
        bench.step(Input::Operator { ticket: 3, request: NodeRequest::Fence { target: B, wish } })
    });
    let effects = story.pass(ms(1500), Bench::renew);
    assert!(bench::asked(&effects).is_some(), "the promise is over");
    story.then("B asks again, while it is asked for", |bench| {
        bench.peer_says(PeerBody::FailsafeLease {
            request: RequestId(10),
            volume: V,
            epoch: Epoch(1),
            lease: ms(2000),
        })
    });
    story.then("a restart", |bench| {
        bench.restart_daemon();
        bench.step(Input::Volume { volume: V, report: report(Role::Secondary) })
    });
    story.then("connected", |bench| {
        let register = bench.register_view(Some(B), 1, both(), 1);
        bench.connect(register)
    });
    story.pass(ms(2600), Bench::renew);
    story.end(include_str!("promised.txt"));
}

#[test]
fn what_is_released_is_told_until_it_is_recorded() {
    let mut story = Story::new(Bench::holder(LossAction::Osu));
    story.then("the daemon is to stop", |bench| {
        bench.step(Input::Volume { volume: V, report: failed(Role::Primary) });
        bench.step(Input::Operator { ticket: 1, request: NodeRequest::StopHandOver })
    });
    story.then("the witness is gone", |bench| bench.step(Input::WitnessGone));
    story.then("demoted", Bench::done);
    story.then("seen", |bench| bench.step(Input::Volume { volume: V, report: report(Role::Secondary) }));
    story.wait(ms(1200));
    story.then("a session", |bench| {
        let register = bench.register_view(Some(A), 2, both(), 3);
        bench.connect(register)
    });
    story.wait(ms(700));
    story.then("it is too old", |bench| {
        let refusal = Refusal::EpochMismatch { held: Epoch(3), asked: Epoch(1) };
        bench.say(Reply::Refused { subject: Subject::Release { volume: V }, refusal })
    });
    story.then("it is not held", |bench| {
        let refusal = Refusal::EpochMismatch { held: Epoch(3), asked: Epoch(2) };
        bench.say(Reply::Refused { subject: Subject::Release { volume: V }, refusal })
    });
    story.wait(ms(300));
    story.end(include_str!("released.txt"));
}

#[test]
fn a_stop_that_is_not_recorded_is_answered_after_a_minute() {
    let mut story = Story::new(Bench::holder(LossAction::Osu));
    story.then("the witness is gone", |bench| bench.step(Input::WitnessGone));
    story.then("the daemon is to stop", |bench| {
        bench.step(Input::Operator { ticket: 1, request: NodeRequest::StopHandOver })
    });
    story.then("demoted", Bench::done);
    story.then("seen", |bench| bench.step(Input::Volume { volume: V, report: report(Role::Secondary) }));
    story.wait(ms(500));
    let silent = story.text.len();
    story.wait(ms(60_000));
    let last: String = story.text.split_off(silent);
    for line in last.lines().filter(|line| line.contains("Answer") || line.contains("= ")) {
        story.text.push_str(line);
        story.text.push('\n');
    }
    story.end(include_str!("stopped_late.txt"));
}
