use super::*;
use picket_core::evidence::{Generation, SelfFence};
use picket_core::ids::{
    BootId, CommitIndex, ConfigDigest, Epoch, GenerationId, IsrVersion, NodeSet, Nonce, RequestId, SessionId,
    StoreId, VolumeId,
};
use picket_core::message::{Override, Register as Registration, Seen};

fn message(commit: u64, body: Request) -> ToWitness {
    let seen = Seen { store: StoreId(1), commit: CommitIndex(commit) };
    ToWitness { session: SessionId(1), request: RequestId(1), seen, body }
}

fn registration(change: impl FnOnce(&mut ReplicaReport)) -> Request {
    let mut report = ReplicaReport {
        volume: VolumeId(1),
        max_epoch: Epoch(CLAIM_MAX),
        isr: NodeSet::EMPTY,
        isr_version: IsrVersion(CLAIM_MAX),
        recorded: GenerationId(0),
        generation: Generation::first(GenerationId(7)),
        complete: true,
        held: Some(Epoch(CLAIM_MAX)),
        barrier_suffices: false,
        overridden: None,
    };
    change(&mut report);
    Request::Register(Registration {
        nonce: Nonce(0),
        boot: BootId(1),
        config: ConfigDigest(1),
        self_fence: SelfFence { watchdog_counts: true, pause_visible: true },
        replicas: vec![report],
    })
}

#[test]
fn half_of_the_room_may_be_claimed_and_not_more() {
    let record = Record::default();
    let judged = |commit, body| believable(&record, &message(commit, body)).map_err(|it| it.what);
    assert_eq!(judged(CLAIM_MAX, registration(|_| ())), Ok(()));
    assert_eq!(judged(CLAIM_MAX + 1, Request::DeclareFailed), Err("commit"));
    let far = Epoch(CLAIM_MAX + 1);
    assert_eq!(judged(0, registration(|report| report.max_epoch = far)), Err("epoch"));
    assert_eq!(judged(0, registration(|report| report.held = Some(far))), Err("held epoch"));
    let version = IsrVersion(CLAIM_MAX + 1);
    let by_hand =
        |epoch, isr_version| Override { volume: VolumeId(1), epoch, isr: NodeSet::EMPTY, isr_version };
    let claims = |claim| judged(0, registration(|report| report.overridden = Some(claim)));
    assert_eq!(claims(by_hand(far, IsrVersion(1))), Err("overridden epoch"));
    assert_eq!(claims(by_hand(Epoch(1), version)), Err("overridden version"));
    let judged = judged(0, registration(|report| report.isr_version = version));
    assert_eq!(judged, Err("version of the in-sync set"));
}

/// A node says what it heard from this witness: that is never refused, or the witness would have silenced itself.
#[test]
fn what_is_recorded_may_be_said_back() {
    let mut record = Record { commit: CommitIndex(CLAIM_MAX + 5), ..Record::default() };
    let register = Register { epoch: Epoch(CLAIM_MAX + 9), ..Register::default() };
    record.volumes.insert(VolumeId(1), register);
    let says = |epoch| registration(|report| report.max_epoch = Epoch(epoch));
    assert_eq!(believable(&record, &message(CLAIM_MAX + 5, says(CLAIM_MAX + 9))), Ok(()));
    assert!(believable(&record, &message(CLAIM_MAX + 6, Request::DeclareFailed)).is_err());
    let found =
        believable(&record, &message(0, says(CLAIM_MAX + 10))).map_err(|it| (it.claimed, it.recorded));
    assert_eq!(found, Err((CLAIM_MAX + 10, CLAIM_MAX + 9)));
}
