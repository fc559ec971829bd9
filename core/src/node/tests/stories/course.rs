//! Taking over, holding, handing over.

use super::*;

#[test]
fn a_silent_holder_is_fenced_and_its_volume_taken() {
    let mut story = Story::new(Bench::standby(LossAction::Osu));
    story.live(ms(300));
    let effects = story.wait(ms(600));
    let attempt = fence_attempt(&effects);
    let acquire = bench::asked(&effects).expect("it asks for the volume");
    story.then("the volume has to wait", |bench| {
        let refusal = Refusal::Recovering { missing: NodeSet::only(B) };
        bench.say(Reply::Pending { subject: Subject::Acquire { volume: V, attempt: acquire }, refusal })
    });
    story.then("the wait of another attempt is not this one's", |bench| {
        let refusal = Refusal::HeldOff;
        let subject = Subject::Acquire { volume: V, attempt: AttemptId(3) };
        bench.say(Reply::Pending { subject, refusal })
    });
    story.then("so has the permit", |bench| {
        let refusal = Refusal::HeldOff;
        bench.say(Reply::Pending { subject: Subject::Fence { target: B, attempt }, refusal })
    });
    story.then("and that of another attempt is not this one's", |bench| {
        let subject = Subject::Fence { target: B, attempt: AttemptId(4) };
        bench.say(Reply::Pending { subject, refusal: Refusal::NotMember })
    });
    let effects = story.then("the permit", |bench| bench.say(permit(attempt, 1)));
    let device = order(&effects);
    story.then("an answer to another order", |bench| {
        let order = crate::topology::OrderId(device.0 + 5);
        bench.step(Input::DeviceDone { order, verdict: DeviceVerdict::ConfirmedOff })
    });
    story.wait(ms(1000));
    story.then("off", |bench| {
        bench.step(Input::DeviceDone { order: device, verdict: DeviceVerdict::ConfirmedOff })
    });
    story.then("the record of another permit", |bench| {
        bench.say(Reply::FenceRecorded { permit: PermitId(9) })
    });
    story.then("recorded", |bench| bench.say(Reply::FenceRecorded { permit: PermitId(1) }));
    story.then("granted", |bench| {
        let register = bench.register_view(Some(A), 2, both(), 2);
        bench.say(Reply::Granted(Granted {
            attempt: acquire,
            register,
            proof: Proof::Fenced { permit: PermitId(1) },
        }))
    });
    story.wait(ms(50));
    story.then("promoted", Bench::promoted);
    story.wait(ms(300));
    story.end(include_str!("fenced_and_taken.txt"));
}

#[test]
fn a_refused_request_is_made_again_after_its_time() {
    let mut story = Story::new(Bench::standby(LossAction::Osu));
    let effects = story.wait(ms(600));
    let (attempt, fence) = (bench::asked(&effects).expect("asked"), fence_attempt(&effects));
    story.then("another's refusal", |bench| {
        let subject = Subject::Acquire { volume: V, attempt: AttemptId(3) };
        bench.say(Reply::Refused { subject, refusal: Refusal::HeldOff })
    });
    story.then("refused", |bench| {
        let subject = Subject::Acquire { volume: V, attempt };
        bench.say(Reply::Refused { subject, refusal: Refusal::HeldOff })
    });
    story.then("another's fence refused", |bench| {
        let subject = Subject::Fence { target: B, attempt: AttemptId(3) };
        bench.say(Reply::Refused { subject, refusal: Refusal::HeldOff })
    });
    story.then("the fence refused too", |bench| {
        let subject = Subject::Fence { target: B, attempt: fence };
        bench.say(Reply::Refused { subject, refusal: Refusal::HeldOff })
    });
    let effects = story.pass(ms(1500), Bench::renew);
    let fence = fence_attempt(&effects);
    story.then("a permit for it", |bench| bench.say(permit(fence, 1)));
    story.then("the witness knows no such permit", |bench| {
        let subject = Subject::Permit { permit: PermitId(1) };
        bench.say(Reply::Refused { subject, refusal: Refusal::HeldOff })
    });
    story.pass(ms(6000), Bench::renew);
    story.end(include_str!("refused.txt"));
}

#[test]
fn fences_that_prove_nothing_are_tried_again() {
    let mut story = Story::new(Bench::standby(LossAction::Osu));
    let effects = story.wait(ms(600));
    let effects = story.then("the permit", |bench| bench.say(permit(fence_attempt(&effects), 1)));
    let device = order(&effects);
    story.then("nobody knows", |bench| {
        bench.step(Input::DeviceDone { order: device, verdict: DeviceVerdict::Unknown })
    });
    story.then("recorded", |bench| bench.say(Reply::FenceRecorded { permit: PermitId(1) }));
    let effects = story.pass(ms(40_000), Bench::renew);
    let effects = story.then("a permit", |bench| bench.say(permit(fence_attempt(&effects), 2)));
    let device = order(&effects);
    story.then("too late", |bench| {
        bench.step(Input::DeviceDone { order: device, verdict: DeviceVerdict::TooLate })
    });
    story.then("the session ends", |bench| bench.step(Input::WitnessGone));
    story.then("a new one", |bench| {
        let register = bench.register_view(Some(B), 1, both(), 1);
        bench.connect(register)
    });
    story.then("recorded", |bench| bench.say(Reply::FenceRecorded { permit: PermitId(2) }));
    story.pass(ms(2000), Bench::renew);
    story.then("B is back", |bench| bench.beat_from_b(true));
    story.live(ms(300));
    story.end(include_str!("fenced_in_vain.txt"));
}

#[test]
fn a_volume_is_moved_there_and_back() {
    let mut story = Story::new(Bench::holder(LossAction::Osu));
    story.live(ms(200));
    story.then("the peer asks for it", |bench| bench.peer_says(PeerBody::MoveRequest { volume: V, to: B }));
    let request = RequestId(story.bench.node.counters.request);
    story.then("an answer to another offer", |bench| {
        let request = RequestId(request.0 + 9);
        bench.peer_says(PeerBody::HandoverAnswer { request, volume: V, ready: Ok(()) })
    });
    story.live(ms(700));
    story.then("asked again", |bench| {
        bench.step(Input::Operator { ticket: 1, request: NodeRequest::Move { volume: V, to: B } })
    });
    let request = RequestId(story.bench.node.counters.request);
    story.then("ready", |bench| {
        bench.peer_says(PeerBody::HandoverAnswer { request, volume: V, ready: Ok(()) })
    });
    story.live(ms(200));
    story.then("demoted", Bench::done);
    story.then("seen", |bench| bench.step(Input::Volume { volume: V, report: report(Role::Secondary) }));
    story.then("released", |bench| bench.say(Reply::Released { volume: V, epoch: Epoch(2) }));
    story.then("B has it", |bench| {
        let register = bench.register_view(Some(B), 3, both(), 4);
        bench.say(Reply::View(View { registers: vec![register], hears: both(), ..View::default() }))
    });
    story.live(ms(300));
    story.then("B offers it", |bench| {
        bench.peer_says(PeerBody::HandoverOffer { request: RequestId(5), volume: V, epoch: Epoch(3) })
    });
    story.live(ms(2500));
    story.then("B offers it again", |bench| {
        bench.peer_says(PeerBody::HandoverOffer { request: RequestId(6), volume: V, epoch: Epoch(3) })
    });
    let effects = story.then("B has released it", |bench| {
        let register = bench.register_view(None, 3, both(), 5);
        bench.say(Reply::View(View { registers: vec![register], hears: both(), ..View::default() }))
    });
    drop(effects);
    story.live(ms(200));
    story.end(include_str!("moved.txt"));
}

#[test]
fn a_holder_that_has_stepped_down_or_rebooted_is_not_waited_for() {
    let mut story = Story::new(Bench::standby(LossAction::Osu));
    story.then("B is heard and claims nothing", |bench| bench.beat_from_b(false));
    story.pass(ms(700), |bench| {
        let mut effects = bench.beat_from_b(false);
        effects.extend(bench.renew());
        effects
    });
    story.then("B claims it again", |bench| bench.beat_from_b(true));
    story.live(ms(200));
    story.then("the witness has another boot of B as the holder", |bench| {
        let mut register = bench.register_view(Some(B), 2, both(), 2);
        register.holder = Some(Holder { node: B, boot: BootId(0xB0) });
        bench.say(Reply::View(View { registers: vec![register], hears: both(), ..View::default() }))
    });
    story.pass(ms(200), Bench::renew);
    story.then("the holder is said to have failed", |bench| {
        let register = bench.register_view(Some(B), 3, both(), 3);
        let failed = NodeSet::only(B);
        bench.say(Reply::View(View { registers: vec![register], hears: both(), failed, ..View::default() }))
    });
    story.live(ms(200));
    story.then("free, with B as the successor", |bench| {
        let mut register = bench.register_view(None, 3, both(), 4);
        register.successor = Some(B);
        bench.say(Reply::View(View { registers: vec![register], hears: both(), ..View::default() }))
    });
    story.live(ms(200));
    story.wait(ms(700));
    story.then("free, with this node as the successor", |bench| {
        let mut register = bench.register_view(None, 3, both(), 5);
        register.successor = Some(A);
        bench.say(Reply::View(View { registers: vec![register], hears: both(), ..View::default() }))
    });
    story.wait(ms(100));
    story.end(include_str!("stepped_down.txt"));
}
