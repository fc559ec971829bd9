//! At least one message for each variant of each type. The functions named `every_…` end in a match without `_`,
//! so that a new variant does not compile before it has a sample here.

use core::time::Duration;
use picket_core::error::Refusal;
use picket_core::evidence::{FenceOutcome, Generation, Proof, SelfFence};
use picket_core::ids::*;
use picket_core::message::*;

const VOLUME: VolumeId = VolumeId(65_535);
const NODE: NodeId = NodeId(16);
const BOOT: BootId = BootId(u128::MAX - 1);

fn isr() -> NodeSet {
    [NodeId(1), NodeId(2), NodeId(16)].into_iter().collect()
}

fn generation() -> Generation {
    let history = (0..Generation::HISTORY_MAX as u128).map(GenerationId).collect();
    Generation { current: GenerationId(7 << 100), history }
}

pub(super) fn every_refusal() -> Vec<Refusal> {
    vec![
        Refusal::NotRegistered,
        Refusal::OutOfSequence { expected: 1, came: u64::MAX },
        Refusal::WrongNonce,
        Refusal::StaleBoot { boot: BOOT },
        Refusal::NotMember,
        Refusal::StaleConfig { ours: ConfigDigest(1), theirs: ConfigDigest(u64::MAX) },
        Refusal::NoSuchVolume { volume: VOLUME },
        Refusal::Recovering { missing: isr() },
        Refusal::NotInSync { isr: NodeSet::EMPTY },
        Refusal::Incomplete,
        Refusal::DataMismatch { recorded: GenerationId(1), offered: GenerationId(2) },
        Refusal::TargetOfPermit { permit: PermitId(3) },
        Refusal::HeldOff,
        Refusal::DeclaredFailed,
        Refusal::NeedsProof { holder: NODE, alive: false, lease_will_prove: true },
        Refusal::NeedsProof { holder: NODE, alive: true, lease_will_prove: false },
        Refusal::Maintenance { node: NODE },
        Refusal::EpochMismatch { held: Epoch(0), asked: Epoch(crate::COUNT_MAX) },
        Refusal::NotHolder { holder: None },
        Refusal::NotHolder { holder: Some(NodeId(1)) },
        Refusal::VersionConflict { held: IsrVersion(4), asked: IsrVersion(5) },
        Refusal::NotAnInSyncSet { asked: isr() },
        Refusal::SeenAlive { by: NodeSet::EMPTY },
        Refusal::NothingAtStake,
        Refusal::SoloElsewhere { volume: VolumeId(0) },
        Refusal::PermitLive { fencer: NODE, permit: PermitId(9) },
        Refusal::NoSuchPermit { permit: PermitId(0) },
        Refusal::NothingPending,
        Refusal::WrongChallenge,
        Refusal::OtherStore { running: StoreId(0) },
        Refusal::Quarantined,
        Refusal::Promised { to: NODE },
        Refusal::FenceUnresolved,
        Refusal::NotConnected,
        Refusal::AlreadyThere,
        Refusal::Standby,
        Refusal::WrongState { expected: "ein Zustand, größer als keiner".into() },
    ]
}

fn acquire() -> Acquire {
    Acquire { volume: VOLUME, attempt: AttemptId(1 << 60), generation: generation(), complete: true }
}

fn release() -> SignedRelease {
    SignedRelease { volume: VOLUME, epoch: Epoch(3), boot: BOOT, signature: vec![0, 255, 1] }
}

pub(super) fn every_operator_request() -> Vec<OperatorRequest> {
    let all = vec![
        OperatorRequest::Adopt { source: None },
        OperatorRequest::Adopt { source: Some(NODE) },
        OperatorRequest::Retire,
        OperatorRequest::Evict { node: NODE, volume: VOLUME },
        OperatorRequest::Clear { node: NODE },
        OperatorRequest::ForceStale { node: NODE, volume: VOLUME },
        OperatorRequest::ConfirmMeatware { node: NODE, challenge: u32::MAX },
        OperatorRequest::DenyMeatware { node: NODE },
        OperatorRequest::Maintenance { node: NODE, length: Duration::ZERO },
    ];
    for request in &all {
        match request {
            OperatorRequest::Adopt { .. }
            | OperatorRequest::Retire
            | OperatorRequest::Evict { .. }
            | OperatorRequest::Clear { .. }
            | OperatorRequest::ForceStale { .. }
            | OperatorRequest::ConfirmMeatware { .. }
            | OperatorRequest::DenyMeatware { .. }
            | OperatorRequest::Maintenance { .. } => {}
        }
    }
    all
}

pub(super) fn every_operator_answer() -> Vec<OperatorAnswer> {
    let confirmed =
        OperatorAnswer::Confirmed { permit: PermitId(1), effective_in: Duration::from_nanos(12_345_678_901) };
    let mut all = vec![OperatorAnswer::Done, confirmed];
    all.extend(every_refusal().into_iter().map(OperatorAnswer::Refused));
    all
}

fn replica() -> ReplicaReport {
    let overridden = Override {
        volume: VOLUME,
        epoch: Epoch(1 << 16),
        isr: NodeSet::only(NODE),
        isr_version: IsrVersion(2),
    };
    ReplicaReport {
        volume: VOLUME,
        max_epoch: Epoch(8),
        isr: isr(),
        isr_version: IsrVersion(3),
        recorded: GenerationId(4),
        generation: generation(),
        complete: true,
        held: Some(Epoch(8)),
        barrier_suffices: true,
        overridden: Some(overridden),
    }
}

fn register(replicas: Vec<ReplicaReport>) -> Request {
    Request::Register(Register {
        nonce: Nonce(1 << 127),
        boot: BOOT,
        config: ConfigDigest(u64::MAX),
        self_fence: SelfFence { watchdog_counts: true, pause_visible: false },
        replicas,
    })
}

fn report(outcome: FenceOutcome, acquire: Vec<Acquire>) -> Request {
    Request::ReportFence(ReportFence {
        permit: PermitId(1),
        target: NODE,
        target_boot: BOOT,
        outcome,
        acquire,
    })
}

fn request_fence(reason: FenceReason) -> Request {
    let levels = Duration::from_secs(100);
    Request::RequestFence(RequestFence { target: NODE, attempt: AttemptId(1), reason, levels })
}

pub(super) fn every_request() -> Vec<Request> {
    let bare =
        ReplicaReport { held: None, overridden: None, complete: false, barrier_suffices: false, ..replica() };
    let hears = Heartbeat { hears: isr(), holds: vec![(VOLUME, Epoch(2))], clock: Duration::from_nanos(1) };
    let in_sync = UpdateInSync {
        volume: VOLUME,
        epoch: Epoch(1),
        expected: IsrVersion(2),
        isr: isr(),
        generation: generation(),
    };
    let mut all = vec![
        register(vec![]),
        register(vec![replica(), bare]),
        Request::Heartbeat(Heartbeat::default()),
        Request::Heartbeat(hears),
        Request::Acquire(acquire()),
        Request::Withdraw { attempt: AttemptId(3) },
        Request::UpdateInSync(in_sync),
        Request::Release { volume: VOLUME, epoch: Epoch(1), successor: None },
        Request::Release { volume: VOLUME, epoch: Epoch(1), successor: Some(NODE) },
        Request::RelayRelease { holder: NODE, release: release() },
        Request::DeclareFailed,
        request_fence(FenceReason::Silent),
        request_fence(FenceReason::Operator),
        request_fence(FenceReason::Drill),
        report(FenceOutcome::ConfirmedOff, vec![acquire()]),
        report(FenceOutcome::Unknown, vec![]),
        report(FenceOutcome::NotStarted, vec![]),
        Request::AskOperator { permit: PermitId(1) },
        Request::Check(Check::Quorum),
        Request::Check(Check::Witness { peer: NODE }),
    ];
    all.extend(every_operator_request().into_iter().map(|request| Request::Operator { ticket: 5, request }));
    all
}

fn view(holder: Option<Holder>, successor: Option<NodeId>) -> RegisterView {
    RegisterView {
        volume: VOLUME,
        epoch: Epoch(9),
        holder,
        isr: isr(),
        isr_version: IsrVersion(1),
        generation: GenerationId(u128::MAX),
        successor,
    }
}

fn pending(effective_in: Option<Duration>) -> PendingConfirmation {
    PendingConfirmation { target: NODE, permit: PermitId(1), challenge: 4711, heard_by: isr(), effective_in }
}

fn every_proof() -> Vec<Proof> {
    vec![
        Proof::Released,
        Proof::SameHolder,
        Proof::NewerBoot { boot: BOOT },
        Proof::Fenced { permit: PermitId(1) },
        Proof::Attested { permit: PermitId(2) },
        Proof::LeaseExpired,
    ]
}

fn every_subject() -> Vec<Subject> {
    vec![
        Subject::Session,
        Subject::Acquire { volume: VOLUME, attempt: AttemptId(1) },
        Subject::InSync { volume: VOLUME },
        Subject::Release { volume: VOLUME },
        Subject::Fence { target: NODE, attempt: AttemptId(1) },
        Subject::Permit { permit: PermitId(1) },
    ]
}

fn every_check_answer() -> Vec<CheckAnswer> {
    let verdicts = [
        WitnessVerdict::AliveHolds { lease_left: Duration::from_millis(1) },
        WitnessVerdict::AliveIdle,
        WitnessVerdict::Expired,
        WitnessVerdict::Fenced { permit: PermitId(1) },
        WitnessVerdict::Unknown,
        WitnessVerdict::Diverged,
    ];
    let quorum = [
        QuorumVerdict::Quorate,
        QuorumVerdict::NoQuorum,
        QuorumVerdict::StaleConfig,
        QuorumVerdict::Quarantined,
    ];
    let peer = |verdict| CheckAnswer::Witness { peer: NODE, verdict };
    quorum.into_iter().map(CheckAnswer::Quorum).chain(verdicts.into_iter().map(peer)).collect()
}

fn full_view() -> View {
    View {
        registers: vec![view(Some(Holder { node: NODE, boot: BOOT }), Some(NodeId(1))), view(None, None)],
        hears: isr(),
        permits: vec![PermitView { permit: PermitId(1), target: NODE, fencer: NodeId(1) }],
        pending: vec![pending(None), pending(Some(Duration::from_secs(2)))],
        maintenance: isr(),
        held_off: NodeSet::EMPTY,
        failed: isr(),
        recovering: Some(NodeSet::EMPTY),
    }
}

pub(super) fn every_reply() -> Vec<Reply> {
    let permit = |keep_off| Permit {
        permit: PermitId(1),
        attempt: AttemptId(2),
        target: NODE,
        target_boot: BOOT,
        keep_off,
    };
    let refused = every_refusal().into_iter().map(|refusal| (VOLUME, refusal)).collect();
    let mut all = vec![
        Reply::Challenge { nonce: Nonce(5) },
        Reply::Registered { registers: vec![view(None, None)], recovering: None },
        Reply::Registered { registers: vec![], recovering: Some(isr()) },
        Reply::Renewed { volumes: vec![(VOLUME, Epoch(1))], refused, hears: isr() },
        Reply::InSync { register: view(None, Some(NODE)) },
        Reply::Released { volume: VOLUME, epoch: Epoch(1) },
        Reply::Permit(permit(true)),
        Reply::Permit(permit(false)),
        Reply::FenceRecorded { permit: PermitId(1) },
        Reply::OperatorAsked(pending(None)),
        Reply::View(View::default()),
        Reply::View(full_view()),
    ];
    let granted =
        |proof| Reply::Granted(Granted { attempt: AttemptId(1), register: view(None, None), proof });
    all.extend(every_proof().into_iter().map(granted));
    let refusal = Refusal::Quarantined;
    for subject in every_subject() {
        all.push(Reply::Refused { subject, refusal: refusal.clone() });
        all.push(Reply::Pending { subject, refusal: refusal.clone() });
    }
    all.extend(every_check_answer().into_iter().map(Reply::Checked));
    all.extend(
        every_operator_answer().into_iter().map(|answer| Reply::Operator { ticket: u64::MAX, answer }),
    );
    all
}

pub(super) fn every_peer_body() -> Vec<PeerBody> {
    let (request, volume, epoch) = (RequestId(1), VOLUME, Epoch(2));
    let mut all = vec![
        PeerBody::FailsafeLease { request, volume, epoch, lease: Duration::from_millis(2000) },
        PeerBody::FailsafeAnswer { request, run: Nonce(1), volume, epoch, promise: Ok(()) },
        PeerBody::HandoverOffer { request, volume, epoch },
        PeerBody::HandoverAnswer { request, volume, ready: Ok(()) },
        PeerBody::MoveRequest { volume, to: NODE },
        PeerBody::RelayRelease { release: release() },
    ];
    for refusal in every_refusal() {
        let promise = Err(refusal.clone());
        all.push(PeerBody::FailsafeAnswer { request, run: Nonce(1), volume, epoch, promise });
        all.push(PeerBody::HandoverAnswer { request, volume, ready: Err(refusal.clone()) });
        all.push(PeerBody::MoveRefused { volume, to: NODE, refusal });
    }
    all
}

pub(super) fn to_witness(body: Request) -> ToWitness {
    let seen = Seen { store: StoreId(u128::MAX), commit: CommitIndex(1) };
    ToWitness { session: SessionId(1), request: RequestId(u64::MAX), seen, body }
}

pub(super) fn from_witness(body: Reply) -> FromWitness {
    let seen = Seen::default();
    FromWitness { session: SessionId(u64::MAX), processed: RequestId(0), seen, body }
}

pub(super) fn peer_message(body: PeerBody) -> PeerMessage {
    PeerMessage { boot: BOOT, run: Nonce(77), body }
}
