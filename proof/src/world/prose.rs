//! The story of a run in sentences.

use super::disk::DiskMode;
use super::fault::Fault;
use super::fence::DeviceMode;
use super::net::{Link, Place, WITNESS};
use super::volume::DriverMode;
use picket_core::ids::NodeId;
use picket_core::node;
use picket_core::witness;
use std::collections::BTreeSet;

/// A fault.
#[must_use]
pub fn of_fault(fault: &Fault) -> String {
    match fault {
        Fault::Cut(_, links) => cut(links),
        Fault::Slow { a, b, latency_ms, loss_permille } => format!(
            "up to {latency_ms} ms of delay and {loss_permille} ‰ of loss between {} and {}",
            place(*a),
            place(*b)
        ),
        Fault::Crash(node) => format!("the kernel of node {node} dies"),
        Fault::PowerLoss { node, devices_too: true } => {
            format!("node {node} and its fence devices lose power")
        }
        Fault::PowerLoss { node, .. } => format!("node {node} loses power"),
        Fault::Stall { node, torn } => format!("nothing runs on node {node}{}", torn_words(*torn)),
        Fault::DaemonStall { node, torn } => {
            format!("the daemon of node {node} is stopped{}", torn_words(*torn))
        }
        Fault::Pause(node) => format!("node {node} is paused from outside, unseen"),
        Fault::DaemonKill(node) => format!("the daemon of node {node} is killed"),
        Fault::DiesBetween(node) => {
            format!("the daemon of node {node} will be killed between its two records")
        }
        Fault::DaemonStop(node) => format!("the daemon of node {node} is told to stop and hand over"),
        Fault::KeepRunning { node, seconds } => format!(
            "the daemon of node {node} is told to stop and leave its volumes running, for {seconds} s"
        ),
        Fault::Standby(node) => format!("a person puts node {node} on standby"),
        Fault::NodeDisk { node, mode } => format!("the disk of node {node} {}", disk(*mode)),
        Fault::Driver { node, volume, mode } => {
            format!("the driver of volume {volume} on node {node} {}", driver(*mode))
        }
        Fault::Device { target, level, mode } => {
            format!("the fence device of node {target}, level {}, {}", level + 1, device(*mode))
        }
        Fault::DiskSwapped { node, volume } => {
            format!("the disk of volume {volume} on node {node} is swapped")
        }
        Fault::Drift { node, ppm } => format!("the clock of node {node} gains {ppm} ppm"),
        Fault::WitnessKill => "the witness is killed".into(),
        Fault::WitnessStall => "the witness is stopped".into(),
        Fault::WitnessDisk(mode) => format!("the witness's disk {}", disk(*mode)),
        Fault::Retimed(node) => {
            format!("node {node} gets the other configuration, and its daemon is restarted")
        }
        Fault::WitnessRetimed => "the witness gets the later configuration and is restarted".into(),
        Fault::WitnessBackedUp => "the witness's store is copied".into(),
        Fault::WitnessReplaced { backup: true } => {
            "the witness dies, and an old backup of its store takes over".into()
        }
        Fault::WitnessReplaced { .. } => "the witness dies, and an empty one takes over".into(),
        Fault::WitnessRolledBack => "the witness dies, and comes back with an old state of its store".into(),
        Fault::Repeated(node) => format!("what the witness says to node {node} comes again later"),
        Fault::Ghosts(node) => format!("messages of node {node} outlive their connections"),
        Fault::ResetHangs(node) => format!("node {node} cannot reset itself"),
        Fault::Evict { node, volume } => {
            format!("a person takes node {node} out of volume {volume}'s in-sync set")
        }
        Fault::ForceStale { node, volume } => {
            format!("a person says that node {node} has other data than volume {volume}'s")
        }
        Fault::Adopt { source } => of_adoption(*source),
        Fault::Move { asked, volume, to } => {
            format!("a person asks node {asked} to move volume {volume} to node {to}")
        }
        Fault::FenceByHand { asked, target } => format!("a person asks node {asked} to fence node {target}"),
        Fault::ConfirmWrongly(node) => format!("a person confirms node {node} off without looking"),
        Fault::Override { node, volume, dead, .. } => {
            format!("a person overrides on node {node}: volume {volume}, with nodes {dead} said to be off")
        }
    }
}

fn of_adoption(source: Option<NodeId>) -> String {
    let named = source.map(|node| format!(", and names node {node}")).unwrap_or_default();
    format!("a person has the witness adopt what was reported so far{named}")
}

const fn torn_words(torn: bool) -> &'static str {
    if torn { ", between a look at the clock and the pet that follows" } else { "" }
}

const fn disk(mode: DiskMode) -> &'static str {
    match mode {
        DiskMode::SyncFails => "does not sync",
        DiskMode::Full => "is full",
        DiskMode::Slow => "takes long for each sync",
        DiskMode::Tears => "is cut off, with its machine, in the middle of the next write",
    }
}

const fn driver(mode: DriverMode) -> &'static str {
    match mode {
        DriverMode::Works => "works",
        DriverMode::Fails => "fails",
        DriverMode::Hangs => "hangs",
        DriverMode::Blind => "says nothing of its replica",
        DriverMode::Slow => "takes seconds for a promotion",
        DriverMode::EndsFrozen => "takes seconds for a promotion, and ends it when it is to freeze",
        DriverMode::Unseeing => "cannot see its replica",
        DriverMode::ThawsLate => "does not thaw it in time, cannot tell, and thaws it later",
        DriverMode::ThawsUnheard => "does not say that it has thawed it",
    }
}

const fn device(mode: DeviceMode) -> &'static str {
    match mode {
        DeviceMode::Works => "works",
        DeviceMode::Fails => "fails",
        DeviceMode::Hangs => "hangs",
        DeviceMode::ActsUnheard => "acts, and its answer is lost",
        DeviceMode::ActsLate => "acts after it was given up",
        DeviceMode::Slow => "takes its time to act",
        DeviceMode::TellsLate => "acts at once and takes its time to read it back",
    }
}

fn place(place: Place) -> String {
    if place == WITNESS { "the witness".into() } else { format!("node {place}") }
}

/// Which lanes are cut, from where to where.
fn cut(links: &[Link]) -> String {
    let lanes: BTreeSet<String> =
        links.iter().map(|link| format!("{:?}", link.lane).to_lowercase()).collect();
    let ways: BTreeSet<(Place, Place)> = links.iter().map(|link| (link.from, link.to)).collect();
    let mut told = Vec::new();
    for (from, to) in &ways {
        let both = ways.contains(&(*to, *from));
        if both && from < to {
            told.push(format!("{} and {}", place(*from), place(*to)));
        } else if !both {
            told.push(format!("{} to {}", place(*from), place(*to)));
        }
    }
    let lanes: Vec<String> = lanes.into_iter().collect();
    format!("cut ({}): {}", lanes.join(" "), told.join(", "))
}

/// What a node tells, if it is worth telling.
#[must_use]
pub fn of_node(node: NodeId, event: &node::Event) -> Option<String> {
    use node::Event;
    let text = match event {
        Event::PeerSilent { peer } => format!("does not hear node {peer} any more"),
        Event::PeerHeard { peer } => format!("hears node {peer}"),
        Event::WitnessUp => "has the witness".into(),
        Event::WitnessLost => "has lost the witness".into(),
        Event::WitnessRefused(refusal) => format!("is refused by the witness: {}", refusal.word()),
        Event::Arbitrating { volume, .. } => format!("asks for volume {volume}"),
        Event::Waiting { volume, refusal } => format!("waits for volume {volume}: {}", refusal.word()),
        Event::NotGranted { volume, refusal } => format!("is refused volume {volume}: {}", refusal.word()),
        Event::Granted { volume, epoch, proof } => {
            format!("takes the grant of volume {volume}, epoch {epoch} ({})", proof.word())
        }
        Event::GrantReturned { volume, .. } => format!("gives a grant of volume {volume} back"),
        Event::Promoted { volume, .. } => format!("is active on volume {volume}"),
        Event::PromoteFailed { volume, text } => format!("could not promote volume {volume}: {text}"),
        Event::Frozen { volume } => format!("freezes volume {volume}"),
        Event::Thawed { volume } => format!("thaws volume {volume}"),
        Event::Demoted { volume } => format!("has stopped volume {volume}"),
        Event::StopFailed { volume, .. } => format!("cannot stop volume {volume} and declares itself failed"),
        Event::ReplicaRemoved { volume, isr } => format!("sees volume {volume} in sync on nodes {isr} only"),
        Event::ReplicaAdded { volume, isr } => format!("sees volume {volume} in sync on nodes {isr}"),
        Event::Failsafe { volume } => format!("goes on with volume {volume} on promises"),
        Event::Promised { volume, to } => format!("promises node {to} not to ask for volume {volume}"),
        Event::NotPermitted { target, refusal } => format!("may not fence node {target}: {}", refusal.word()),
        Event::DeviceStarted { target, level, .. } => {
            format!("starts an agent against node {target}, level {level}")
        }
        Event::FenceEnded { target, outcome, .. } => format!("ends its fence of node {target}: {outcome:?}"),
        Event::OperatorDone { target, confirmed: true } => {
            format!("is told that node {target} is confirmed off")
        }
        Event::OperatorDone { target, .. } => format!("waits no longer for a person about node {target}"),
        Event::Overridden { volume, epoch } => {
            format!("activates volume {volume} by override, epoch {epoch}")
        }
        Event::Standby { on: true } => "stands by".into(),
        Event::Standby { on: false } => "is online again".into(),
        Event::Resetting(reason) => format!("resets itself: {reason:?}"),
        Event::Alarm(text) => format!("raises an alarm: {text}"),
        Event::PathAlive { .. }
        | Event::HeartbeatMissed { .. }
        | Event::PathDead { .. }
        | Event::BeatRefused { .. }
        | Event::Permitted { .. }
        | Event::DeviceEnded { .. }
        | Event::OperatorNeeded { .. } => return None,
    };
    Some(format!("node {node} {text}"))
}

/// What the witness tells, if it is worth telling.
#[must_use]
pub fn of_witness(event: &witness::Event) -> Option<String> {
    use witness::Event;
    Some(match event {
        Event::NewBoot { node, .. } => format!("the witness knows a newer boot of node {node}"),
        Event::SessionRefused { node, refusal } => {
            format!("the witness refuses node {node}: {}", refusal.word())
        }
        Event::Granted { volume, node, epoch, proof, isr } => format!(
            "the witness grants volume {volume} to node {node}, epoch {epoch}, on {}; in sync: {isr}",
            proof.word()
        ),
        Event::InSync { volume, isr, .. } => {
            format!("the witness records nodes {isr} in sync on volume {volume}")
        }
        Event::Released { volume, node, epoch } => {
            format!("the witness records the release of volume {volume} by node {node}, epoch {epoch}")
        }
        Event::LeaseExpired { volume, node, proves } => format!(
            "the witness sees node {node}'s lease on volume {volume} end, which proves {}",
            if *proves { "it inactive" } else { "nothing" }
        ),
        Event::DeclaredFailed { node, .. } => {
            format!("the witness knows that node {node} declares itself failed")
        }
        Event::Permitted { target, fencer, reason, .. } => {
            format!("the witness permits node {fencer} to fence node {target} ({reason:?})")
        }
        Event::PermitEnded { target, end, .. } => format!("the permit over node {target} ends: {end:?}"),
        Event::Confirmed { target, .. } => format!("a person confirms node {target} off"),
        Event::ConfirmationVoid { target, .. } => {
            format!("the confirmation of node {target} is void: it is heard")
        }
        Event::HeldOff { node } => format!("node {node} is held off"),
        Event::MaintenanceBegun { node, .. } => format!("a maintenance of node {node} begins"),
        Event::MaintenanceEnded { node } => format!("the maintenance of node {node} ends"),
        Event::Drift { node, outside: true } => {
            format!("the witness sees node {node}'s clock outside the bound")
        }
        Event::RecoveryBegun { .. } => "the witness enters RECOVERY".into(),
        Event::AdoptionVoid { heard, gone } => {
            format!(
                "what a person had adopted is void: nodes {heard} are heard, and the reports of {gone} are gone"
            )
        }
        Event::RecoveryEnded { .. } => "the witness leaves RECOVERY".into(),
        Event::NodeHeard { .. }
        | Event::NodeSilent { .. }
        | Event::Waiting { .. }
        | Event::SuccessorGone { .. }
        | Event::OperatorAsked { .. }
        | Event::Cleared { .. }
        | Event::Drift { .. }
        | Event::Retired => return None,
    })
}
