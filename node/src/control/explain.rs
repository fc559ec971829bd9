//! Why a volume is, or is not, active here: every condition, and how it stands.

use super::words;
use crate::config::Config;
use crate::driver::Snapshot;
use picket_core::ids::VolumeId;
use picket_core::node::{Phase, Role, VolumeStatus, WhyNot};
use picket_core::quorum::Vote;
use picket_proto::v1::{ExplainStep, Explanation};

pub(super) fn explain(config: &Config, snapshot: &Snapshot, id: VolumeId) -> Option<Explanation> {
    let volume = snapshot.status.volumes.iter().find(|volume| volume.volume == id)?;
    let (_, summary) = words::why(config, snapshot.now, volume);
    let tag = config.volume_name(id);
    Some(Explanation { tag, summary, steps: steps(config, snapshot, volume) })
}

fn step(state: &str, condition: &str, detail: impl Into<String>) -> ExplainStep {
    ExplainStep { state: state.to_owned(), condition: condition.to_owned(), detail: detail.into() }
}

const fn yes_no(holds: bool) -> &'static str {
    if holds { "YES" } else { "NO" }
}

fn steps(config: &Config, snapshot: &Snapshot, volume: &VolumeStatus) -> Vec<ExplainStep> {
    let status = &snapshot.status;
    let mut steps = Vec::new();
    match &volume.report {
        Some(report) => {
            let known = report.role != Role::Unknown;
            steps.push(step(
                if known { "YES" } else { "UNKNOWN" },
                "the driver sees the replica",
                words::role(report.role),
            ));
            steps.push(step(yes_no(report.complete), "the replica here has all of its data", ""));
        }
        None => steps.push(step("UNKNOWN", "the driver sees the replica", "it has not reported yet")),
    }
    let answers = status.witness.registered && !status.witness.lost;
    let ago = status.witness.answered_ago.map(|ago| format!("answered {} ms ago", words::ms(ago)));
    steps.push(step(yes_no(answers), "the witness answers", ago.unwrap_or_else(|| "never heard".to_owned())));
    if let Some(missing) = status.witness.recovering {
        let detail = format!("it recovers and waits for {}", config.node_names(missing).join(", "));
        steps.push(step("WAITING", "the witness is not recovering", detail));
    }
    match &volume.register {
        Some(register) => {
            let detail =
                format!("{} at version {}", config.node_names(register.isr).join(", "), register.isr_version);
            steps.push(step(
                yes_no(register.isr.contains(status.me)),
                "the replica here is in the in-sync set",
                detail,
            ));
            let holder = register.holder.map(|holder| config.node_name(holder.node));
            let detail = holder
                .map_or_else(|| "nobody".to_owned(), |name| format!("{name}, epoch {}", register.epoch));
            let free = register.holder.is_none_or(|holder| holder.node == status.me);
            steps.push(step(if free { "YES" } else { "NO" }, "nobody else holds it", detail));
        }
        None => {
            steps.push(step("UNKNOWN", "the replica here is in the in-sync set", "the witness has not told"))
        }
    }
    if status.standby {
        let detail = format!("'picket node online {}' lets it take volumes", config.name);
        steps.push(step("NO", "this node is not on standby", detail));
    }
    let over = status.quarantine_left.is_zero();
    let left = format!("another {} ms", words::ms(status.quarantine_left));
    steps.push(step(
        if over { "YES" } else { "WAITING" },
        "the start quarantine is over",
        if over { String::new() } else { left },
    ));
    let vote = match status.quorum {
        Vote::Won => "YES",
        Vote::Lost => "NO",
        Vote::Pending => "UNKNOWN",
    };
    steps.push(step(vote, "this node belongs to a quorum", words::mode(config.quorum.mode)));
    if let Some(refusal) = &volume.waiting {
        steps.push(step("WAITING", "the witness grants", refusal.to_string()));
    }
    let asks = match (&volume.phase, &volume.why_not) {
        (Phase::Active(_), _) => step("YES", "it is in service here", ""),
        (_, None) => step("WAITING", "it is asked for", ""),
        (_, Some(WhyNot::HolderAlive { .. })) => {
            step("NO", "it is asked for", "another node serves it, as it should")
        }
        (_, Some(_)) => step("NO", "it is asked for", words::why(config, snapshot.now, volume).1),
    };
    steps.push(asks);
    steps
}
