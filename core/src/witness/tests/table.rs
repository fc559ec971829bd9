//! Every standing of a node and every input from it: what the witness answers.
//!
//! The lists are made by exhaustive matches, so that a new kind of request, operator request or input does not
//! compile until the table has its rows. `table.txt` is the table; it is read by people and compared here.

use super::bench::{A, B, Bench, DATA, V, ms, set, wish};
use crate::evidence::{FenceOutcome, Generation};
use crate::ids::{AttemptId, Nonce, PermitId, SessionId};
use crate::message::{
    Check, FenceReason, Heartbeat, OperatorAnswer, OperatorRequest, Register, Reply, ReportFence, Request,
    RequestFence, SignedRelease, UpdateInSync,
};
use crate::witness::Input;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// How the asking node, B, stands to the volume and to A.
#[derive(Clone, Copy, Debug)]
enum Standing {
    Challenged,
    Recovering,
    Unheld,
    Holder,
    OtherAlive,
    OtherSilent,
    OtherExpired,
    OtherFenced,
    OtherMaintained,
    NotInSync,
    Fencer,
    Target,
    Revoked,
    Failed,
    HeldOff,
    Retired,
}

/// The standing after this one; the exhaustive match is what makes the list whole.
const fn after(standing: Option<Standing>) -> Option<Standing> {
    use Standing as S;
    Some(match standing {
        None => S::Challenged,
        Some(S::Challenged) => S::Recovering,
        Some(S::Recovering) => S::Unheld,
        Some(S::Unheld) => S::Holder,
        Some(S::Holder) => S::OtherAlive,
        Some(S::OtherAlive) => S::OtherSilent,
        Some(S::OtherSilent) => S::OtherExpired,
        Some(S::OtherExpired) => S::OtherFenced,
        Some(S::OtherFenced) => S::OtherMaintained,
        Some(S::OtherMaintained) => S::NotInSync,
        Some(S::NotInSync) => S::Fencer,
        Some(S::Fencer) => S::Target,
        Some(S::Target) => S::Revoked,
        Some(S::Revoked) => S::Failed,
        Some(S::Failed) => S::HeldOff,
        Some(S::HeldOff) => S::Retired,
        Some(S::Retired) => return None,
    })
}

fn bench(standing: Standing) -> Bench {
    let mut bench = match standing {
        Standing::Recovering => Bench::empty(&[A, B], &[V]),
        Standing::Unheld => Bench::up(&[A, B], &[V]),
        Standing::Holder | Standing::Target | Standing::Revoked => {
            let mut bench = Bench::up(&[A, B], &[V]);
            bench.acquire(B, V, 1);
            bench
        }
        Standing::Challenged
        | Standing::OtherAlive
        | Standing::OtherSilent
        | Standing::OtherExpired
        | Standing::OtherFenced
        | Standing::OtherMaintained
        | Standing::NotInSync
        | Standing::Fencer
        | Standing::Failed
        | Standing::HeldOff
        | Standing::Retired => Bench::held(&[A, B], &[V]),
    };
    match standing {
        Standing::Challenged => bench.connect(B),
        Standing::Recovering => bench.register(B),
        Standing::Unheld | Standing::Holder | Standing::OtherAlive => {}
        Standing::OtherSilent => bench.pass(ms(600), &[B]),
        Standing::OtherExpired => bench.pass(super::bench::params().lease_and_guard() + ms(140), &[B]),
        Standing::OtherFenced => {
            let permit = bench.permit(B, A);
            bench.report(B, permit, FenceOutcome::ConfirmedOff, vec![]);
        }
        Standing::OtherMaintained => {
            bench.operator(OperatorRequest::Maintenance { node: A, length: ms(60_000) });
        }
        Standing::NotInSync => bench.update(A, V, &[A]),
        Standing::Fencer => {
            bench.permit(B, A);
        }
        Standing::Target => {
            bench.permit(A, B);
            bench.register(B);
        }
        Standing::Revoked => {
            let permit = bench.permit(A, B);
            bench.report(A, permit, FenceOutcome::NotStarted, vec![]);
            bench.register(B);
        }
        Standing::Failed => bench.say(B, Request::DeclareFailed),
        Standing::HeldOff => {
            let mut stored = bench.disk.clone().unwrap_or_default();
            stored.nodes.get_mut(&B).unwrap().held_off = true;
            bench.disk = Some(stored);
            bench.restart();
            bench.register(A);
            bench.register(B);
        }
        Standing::Retired => {
            bench.operator(OperatorRequest::Retire);
        }
    }
    bench
}

/// One of each kind of request, and the kind's name; `None` after the last.
fn request(bench: &Bench, number: usize) -> Option<Request> {
    let register = bench.witness.record().volumes[&V].clone();
    let live = bench.witness.record().nodes[&A].permit;
    let (epoch, expected) = (register.epoch, register.isr_version);
    let (permit, target_boot) = live.map_or((PermitId(7), bench.nodes[&A].boot), |l| (l.id, l.target_boot));
    let outcome = FenceOutcome::ConfirmedOff;
    let all = [
        Request::Register(Register { nonce: Nonce(1), ..bench.registration(B) }),
        Request::Heartbeat(Heartbeat { hears: set(&[]), holds: vec![(V, epoch)], ..Heartbeat::default() }),
        Request::Acquire(wish(V, 40)),
        Request::Withdraw { attempt: AttemptId(40) },
        Request::UpdateInSync(UpdateInSync {
            volume: V,
            epoch,
            expected,
            isr: set(&[B]),
            generation: Generation::first(DATA),
        }),
        Request::Release { volume: V, epoch, successor: None },
        Request::RelayRelease {
            holder: A,
            release: SignedRelease { volume: V, epoch, boot: bench.nodes[&A].boot, signature: vec![] },
        },
        Request::DeclareFailed,
        Request::RequestFence(RequestFence {
            target: A,
            attempt: AttemptId(41),
            reason: FenceReason::Silent,
            levels: ms(100),
        }),
        Request::ReportFence(ReportFence { permit, target: A, target_boot, outcome, acquire: vec![] }),
        Request::AskOperator { permit },
        Request::Check(Check::Quorum),
        Request::Check(Check::Witness { peer: A }),
    ];
    let operators = [
        OperatorRequest::Adopt { source: None },
        OperatorRequest::Retire,
        OperatorRequest::Evict { node: A, volume: V },
        OperatorRequest::ForceStale { node: A, volume: V },
        OperatorRequest::Clear { node: B },
        OperatorRequest::ConfirmMeatware { node: A, challenge: 1 },
        OperatorRequest::DenyMeatware { node: A },
        OperatorRequest::Maintenance { node: A, length: ms(100) },
    ];
    let operator = |request: &OperatorRequest| Request::Operator { ticket: 1, request: request.clone() };
    all.get(number).cloned().or_else(|| operators.get(number - all.len()).map(operator))
}

fn name(request: &Request) -> String {
    let operator = |request: &OperatorRequest| match request {
        OperatorRequest::Adopt { .. } => "Adopt",
        OperatorRequest::Retire => "Retire",
        OperatorRequest::Evict { .. } => "Evict",
        OperatorRequest::ForceStale { .. } => "ForceStale",
        OperatorRequest::Clear { .. } => "Clear",
        OperatorRequest::ConfirmMeatware { .. } => "ConfirmMeatware",
        OperatorRequest::DenyMeatware { .. } => "DenyMeatware",
        OperatorRequest::Maintenance { .. } => "Maintenance",
    };
    let plain = match request {
        Request::Register(_) => "Register",
        Request::Heartbeat(_) => "Heartbeat",
        Request::Acquire(_) => "Acquire",
        Request::Withdraw { .. } => "Withdraw",
        Request::UpdateInSync(_) => "UpdateInSync",
        Request::Release { .. } => "Release",
        Request::RelayRelease { .. } => "RelayRelease",
        Request::DeclareFailed => "DeclareFailed",
        Request::RequestFence(_) => "RequestFence",
        Request::ReportFence(_) => "ReportFence",
        Request::AskOperator { .. } => "AskOperator",
        Request::Check(Check::Quorum) => "Check quorum",
        Request::Check(Check::Witness { .. }) => "Check peer",
        Request::Operator { request, .. } => return format!("Operator {}", operator(request)),
    };
    plain.into()
}

fn answer(reply: &Reply) -> Option<String> {
    Some(match reply {
        Reply::Challenge { .. } => "challenged".into(),
        Reply::Registered { .. } => "registered".into(),
        Reply::Refused { refusal, .. } => refusal.word().into(),
        Reply::Pending { refusal, .. } => format!("waits: {}", refusal.word()),
        Reply::Renewed { refused, .. } => {
            refused.first().map_or("renewed".into(), |(_, refusal)| format!("renewal {}", refusal.word()))
        }
        Reply::Granted(granted) => format!("granted: {}", granted.proof.word()),
        Reply::InSync { register } => format!("in sync {}", register.isr),
        Reply::Released { .. } => "released".into(),
        Reply::Permit(_) => "permit".into(),
        Reply::FenceRecorded { .. } => "recorded".into(),
        Reply::OperatorAsked(_) => "operator asked".into(),
        Reply::View(_) => return None,
        Reply::Checked(answer) => format!("{answer:?}").chars().filter(|c| !c.is_ascii_digit()).collect(),
        Reply::Operator { answer: OperatorAnswer::Refused(refusal), .. } => refusal.word().into(),
        Reply::Operator { answer: OperatorAnswer::Done, .. } => "done".into(),
        Reply::Operator { answer: OperatorAnswer::Confirmed { .. }, .. } => "confirmed".into(),
    })
}

fn outcome(bench: &Bench) -> String {
    let mut words: Vec<String> = bench.replies(B).filter_map(answer).collect();
    if !bench.closed.is_empty() {
        words.push("closed".into());
    }
    if bench.persisted {
        words.push("(stored)".into());
    }
    if words.is_empty() { "–".into() } else { words.join(", ") }
}

fn table() -> String {
    let mut text = String::new();
    let mut standing = after(None);
    while let Some(now) = standing {
        text.push_str(&format!("{now:?}\n"));
        let mut row = |name: &str, bench: &Bench| {
            text.push_str(&format!("  {name:<26}{}\n", outcome(bench)));
        };
        let mut number = 0;
        loop {
            let mut bench = bench(now);
            let Some(request) = request(&bench, number) else { break };
            let name = name(&request);
            bench.say(B, request);
            row(&name, &bench);
            number += 1;
        }
        for (name, input) in inputs(bench(now).nodes[&B].session) {
            let mut bench = bench(now);
            bench.step(input);
            row(name, &bench);
        }
        standing = after(Some(now));
    }
    text
}

/// The inputs that are no requests of a node.
fn inputs(session: SessionId) -> Vec<(&'static str, Input)> {
    let all = [
        Input::Tick,
        Input::Connected { node: B },
        Input::Disconnected { session },
        Input::Operator { ticket: 1, request: OperatorRequest::Clear { node: B } },
    ];
    let name = |input: &Input| match input {
        Input::Tick => "Tick",
        Input::Connected { .. } => "Connected",
        Input::Disconnected { .. } => "Disconnected",
        Input::Message { .. } => "Message",
        Input::Operator { .. } => "Operator at the witness",
    };
    all.into_iter().map(|input| (name(&input), input)).collect()
}

#[test]
fn every_standing_and_every_input() {
    let (is, expected) = (table(), include_str!("table.txt"));
    for (is, expected) in is.lines().zip(expected.lines()) {
        assert_eq!(is, expected);
    }
    assert_eq!(is.lines().count(), expected.lines().count(), "the whole table:\n{is}");
}
