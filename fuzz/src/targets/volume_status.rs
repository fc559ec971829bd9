//! What the status program of a volume writes.

use crate::must;
use crate::target::{Answer, Broken, Target};
use picket_core::evidence::Generation;
use picket_core::ids::{GenerationId, NodeId, NodeSet, VolumeId};
use picket_core::node::{Recorded, Role, VolumeReport};
use picket_node::volume::command::read_status;
use picket_node::volume::{About, Gaps};
use tokio::sync::watch;

/// The other node.
const PEER: NodeSet = NodeSet::only(NodeId(2));

/// The target. An input is one byte (with a barrier or without), then the output.
pub const TARGET: Target = Target {
    name: "volume-status",
    about: "a status program's output: a role only where it stands, members only, and the same report when written again",
    seeds,
    words: &[
        "role=",
        "primary",
        "secondary",
        "unknown",
        "frozen=",
        "yes",
        "no",
        "complete=",
        "generation=",
        "history=",
        "connected=",
        "complete_peers=",
        "required=",
        "lost=",
        "n1",
        "n2",
        "n3",
        "n9",
        "\n",
        ",",
        "=",
        " ",
        "+",
        "_",
        "ffffffffffffffffffffffffffffffff",
        "\r\n",
        "\u{0}",
    ],
    check,
};

/// What a driver of a volume of two nodes is told of it.
pub(super) fn about(heard: NodeSet, has_barrier: bool) -> About {
    About {
        id: VolumeId(1),
        name: "data".to_owned(),
        me: NodeId(1),
        members: [NodeId(1), NodeId(2)].into_iter().collect(),
        names: (1..=3).map(|id| (NodeId(id), format!("n{id}"))).collect(),
        state_dir: "/nonexistent".into(),
        heard: watch::channel(heard).1,
        fenced: watch::channel(NodeSet::EMPTY).1,
        recorded: watch::channel(Recorded::default()).1,
        gaps: Gaps::default(),
        has_barrier,
    }
}

fn otherwise() -> VolumeReport {
    VolumeReport {
        role: Role::Unknown,
        frozen: false,
        complete: true,
        generation: Generation::first(GenerationId(1)),
        connected: NodeSet::EMPTY,
        complete_peers: NodeSet::EMPTY,
        required: NodeSet::EMPTY,
        lost: NodeSet::EMPTY,
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let full = VolumeReport {
        role: Role::Primary,
        frozen: true,
        generation: Generation {
            current: GenerationId(255),
            history: vec![GenerationId(1), GenerationId(2)],
        },
        connected: NodeSet::only(NodeId(2)),
        lost: NodeSet::only(NodeId(2)),
        ..otherwise()
    };
    let plain = VolumeReport { role: Role::Secondary, ..otherwise() };
    let both = |report: &VolumeReport| {
        [false, true].map(|barrier| [vec![u8::from(barrier)], written(report, barrier).into_bytes()].concat())
    };
    [both(&full), both(&plain)].concat()
}

/// A report as a status program has to write it.
fn written(report: &VolumeReport, has_barrier: bool) -> String {
    let word = |is: bool| if is { "yes" } else { "no" };
    let role = match report.role {
        Role::Primary => "primary",
        Role::Secondary => "secondary",
        Role::Unknown => "unknown",
    };
    let mut text = format!("role={role}\nfrozen={}\n", word(report.frozen));
    if has_barrier {
        let names = |set| about(PEER, true).names_of(set);
        let history: Vec<String> = report.generation.history.iter().map(ToString::to_string).collect();
        text.push_str(&format!("complete={}\n", word(report.complete)));
        text.push_str(&format!("generation={}\nhistory={}\n", report.generation.current, history.join(",")));
        for (key, set) in [
            ("connected", report.connected),
            ("complete_peers", report.complete_peers),
            ("required", report.required),
            ("lost", report.lost),
        ] {
            text.push_str(&format!("{key}={}\n", names(set)));
        }
    }
    text
}

fn check(input: &[u8]) -> Result<Answer, Broken> {
    let Some((which, rest)) = input.split_first() else { return Ok(Answer::new("empty")) };
    let about = about(PEER, which & 1 == 1);
    let Ok(text) = core::str::from_utf8(rest) else { return Ok(Answer::new("not UTF-8")) };
    let report = match read_status(text, &about, otherwise) {
        Ok(report) => report,
        Err(error) => return Ok(Answer::new(error)),
    };
    let lines = |line: &str| text.lines().filter(|found| found.trim() == line).count();
    let (primary, secondary) = (lines("role=primary"), lines("role=secondary"));
    must!(primary + secondary == 1, "{primary} lines say primary, {secondary} secondary");
    let role = if primary == 1 { Role::Primary } else { Role::Secondary };
    must!(report.role == role, "{:?} was read where {role:?} stands", report.role);
    must!(report.frozen == (lines("frozen=yes") == 1), "frozen {} was read", report.frozen);
    let sets = [report.connected, report.complete_peers, report.required, report.lost];
    must!(sets.iter().all(|set| set.is_subset(about.members)), "{sets:?} has no replica");
    must!(report.generation.history.len() <= Generation::HISTORY_MAX, "a history without end");
    let again = read_status(&written(&report, about.has_barrier), &about, otherwise);
    must!(again.as_ref() == Ok(&report), "written again it is {again:?}, not {report:?}");
    Ok(Answer::new(format!("{role:?}, frozen {}, complete {}", report.frozen, report.complete)))
}
