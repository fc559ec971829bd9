//! Every phase and every input: what the machine does to its volume, asks of the witness and becomes.
//!
//! The lists below are made by exhaustive matches, so that a new phase or input does not compile until the table
//! has its rows.

use super::super::*;
use super::bench::{actions, config, report, requests, resets};
use super::*;
use crate::error::Refusal;
use crate::evidence::Proof;
use crate::ids::*;
use crate::message::*;
use crate::quorum::Vote;
use crate::topology::{DeviceVerdict, OrderId};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

const PHASES: [&str; 7] = ["Unread", "Secondary", "Promoting", "Active", "Frozen", "Stopping", "Failed"];

const fn phase_name(phase: &Phase) -> &'static str {
    match phase {
        Phase::Unread => PHASES[0],
        Phase::Secondary => PHASES[1],
        Phase::Promoting(_) => PHASES[2],
        Phase::Active(_) => PHASES[3],
        Phase::Frozen(_) => PHASES[4],
        Phase::Stopping(_) => PHASES[5],
        Phase::Failed => PHASES[6],
    }
}

fn in_phase(name: &str) -> Bench {
    let refusal = || Refusal::EpochMismatch { held: Epoch(3), asked: Epoch(2) };
    match name {
        "Unread" => Bench::new(config(LossAction::Osu)),
        "Secondary" => Bench::standby(LossAction::Osu),
        "Promoting" => {
            let mut bench = Bench::standby(LossAction::Osu);
            let effects = bench.say_free(2);
            bench.grant(&effects, 2);
            bench
        }
        "Active" => Bench::holder(LossAction::Osu),
        "Frozen" => {
            let mut bench = Bench::holder(LossAction::Osu);
            bench.wait(ms(1960));
            bench
        }
        "Stopping" => {
            let mut bench = Bench::holder(LossAction::Osu);
            bench.say(Reply::Renewed {
                volumes: vec![],
                refused: vec![(V, refusal())],
                hears: NodeSet::EMPTY,
            });
            bench
        }
        _ => {
            let mut bench = in_phase("Stopping");
            let (command, outcome) = (bench.command(), CommandOutcome::Unknown("no answer".into()));
            bench.step(Input::VolumeDone { volume: V, command, outcome });
            bench
        }
    }
}

const fn input_name(input: &Input) -> &'static str {
    match input {
        Input::Tick => "tick",
        Input::Beat { .. } => "beat",
        Input::Witness(_) => "witness",
        Input::WitnessGone => "witness-gone",
        Input::Peer { .. } => "peer",
        Input::Volume { .. } => "report",
        Input::VolumeDone { .. } => "done",
        Input::DeviceDone { .. } => "device-done",
        Input::RemoteVote(_) => "remote-vote",
        Input::Operator { .. } => "operator",
    }
}

/// Sample inputs: at least one of each kind, and those of a kind that differ in what they must lead to.
fn inputs(bench: &Bench) -> Vec<(&'static str, Input)> {
    let session = SessionId(1);
    let seen = Seen { store: StoreId(9), commit: CommitIndex(11) };
    let witness = |body| Input::Witness(FromWitness { session, processed: bench.request, seen, body });
    let peer =
        |body| Input::Peer { from: B, message: PeerMessage { boot: BootId(0xB1), run: Nonce(0xBB), body } };
    let volume = |role| Input::Volume { volume: V, report: report(role) };
    let done = |outcome| Input::VolumeDone { volume: V, command: bench.command(), outcome };
    let held = Epoch(2);
    let refused = (V, Refusal::NotHolder { holder: Some(B) });
    let register = bench.register_view(Some(A), 9, Bench::both(), 9);
    let free = bench.register_view(None, 2, Bench::both(), 9);
    let beat = Beat {
        from: B,
        boot: BootId(0xB1),
        run: Nonce(0xBB),
        seq: 1000,
        echo: None,
        hears: NodeSet::EMPTY,
        holds: vec![],
    };
    vec![
        ("", Input::Tick),
        ("", Input::Beat { path: PathId(1), beat }),
        (
            "renewed",
            witness(Reply::Renewed { volumes: vec![(V, held)], refused: vec![], hears: NodeSet::EMPTY }),
        ),
        (
            "refused",
            witness(Reply::Renewed { volumes: vec![], refused: vec![refused], hears: NodeSet::EMPTY }),
        ),
        (
            "grant unasked",
            witness(Reply::Granted(Granted { attempt: AttemptId(1), register, proof: Proof::Released })),
        ),
        ("", Input::WitnessGone),
        (
            "failsafe?",
            peer(PeerBody::FailsafeLease {
                request: RequestId(5),
                volume: V,
                epoch: Epoch(1),
                lease: ms(2000),
            }),
        ),
        ("handover?", peer(PeerBody::HandoverOffer { request: RequestId(5), volume: V, epoch: Epoch(1) })),
        ("move!", peer(PeerBody::MoveRequest { volume: V, to: B })),
        ("no move", peer(PeerBody::MoveRefused { volume: V, to: B, refusal: Refusal::Incomplete })),
        ("Secondary", volume(Role::Secondary)),
        ("Primary", volume(Role::Primary)),
        ("Unknown", volume(Role::Unknown)),
        ("Done", done(CommandOutcome::Done)),
        ("Failed", done(CommandOutcome::Failed("no".into()))),
        ("Unknown", done(CommandOutcome::Unknown("no answer".into()))),
        ("", Input::DeviceDone { order: OrderId(77), verdict: DeviceVerdict::ConfirmedOff }),
        ("Lost", Input::RemoteVote(Vote::Lost)),
        ("stop", Input::Operator { ticket: 1, request: NodeRequest::StopHandOver }),
        ("standby", Input::Operator { ticket: 1, request: NodeRequest::Standby(true) }),
        ("release", Input::Operator { ticket: 1, request: NodeRequest::Release }),
        ("online", Input::Operator { ticket: 1, request: NodeRequest::Standby(false) }),
        (
            "free",
            witness(Reply::View(View { registers: vec![free], hears: Bench::both(), ..View::default() })),
        ),
    ]
}

fn summary(effects: &[Effect]) -> String {
    let mut words: Vec<String> =
        actions(effects).into_iter().map(|action| first_word(&format!("{action:?}"))).collect();
    words.extend(
        requests(effects).into_iter().map(|request| format!("→{}", first_word(&format!("{request:?}")))),
    );
    words.extend(effects.iter().filter_map(|effect| match effect {
        Effect::Peer { message, .. } => Some(format!("⇒{}", peer_word(&message.body))),
        _ => None,
    }));
    if resets(effects) {
        words.push("RESET".into());
    }
    words.join(" ")
}

fn peer_word(body: &PeerBody) -> String {
    match body {
        PeerBody::FailsafeAnswer { promise, .. } => {
            format!("promise:{}", promise.as_ref().err().map_or("yes", Refusal::word))
        }
        PeerBody::HandoverAnswer { ready, .. } => {
            format!("ready:{}", ready.as_ref().err().map_or("yes", Refusal::word))
        }
        other => first_word(&format!("{other:?}")),
    }
}

fn first_word(text: &str) -> String {
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().into()
}

/// Every phase and input, for a node that was made so before.
fn rows(prepare: impl Fn(&mut Bench)) -> String {
    let mut table = String::new();
    for phase in PHASES {
        let count = inputs(&in_phase(phase)).len();
        for index in 0..count {
            let mut bench = in_phase(phase);
            assert_eq!(phase_name(&bench.phase()), phase);
            prepare(&mut bench);
            let (label, input) = inputs(&bench).swap_remove(index);
            let name = input_name(&input);
            let effects = bench.step(input);
            let after = bench.phase();
            let line = format!(
                "{phase:9} | {name:12} {label:13} | {:9} | {}",
                phase_name(&after),
                summary(&effects)
            );
            table.push_str(line.trim_end());
            table.push('\n');
        }
    }
    table
}

#[test]
fn every_phase_and_input() {
    compare(include_str!("table.txt"), &rows(|_| ()));
}

#[test]
fn every_phase_and_input_of_a_node_on_standby() {
    let prepare = |bench: &mut Bench| {
        bench.step(Input::Operator { ticket: 7, request: NodeRequest::Standby(true) });
    };
    compare(include_str!("table_standby.txt"), &rows(prepare));
}

fn compare(expected: &str, found: &str) {
    for (number, (want, have)) in expected.lines().zip(found.lines()).enumerate() {
        assert_eq!(want, have, "row {}", number + 1);
    }
    assert_eq!(expected.lines().count(), found.lines().count(), "\n{found}");
}
