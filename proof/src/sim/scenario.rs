//! Scenarios: what happens and what must follow, as text.
//!
//! ```text
//! # A crashes
//! cluster nodes 2 fence power
//! holds 1 1                          volume 1 is held by node 1 when the story begins, at second 0
//! at 1 crash 1                       at second 1, for good
//! at 1 until 5 cut all 1 2           from second 1 to second 5
//! by 4 active 1 2                    at second 4 at the latest node 2 serves volume 1
//! at 9 fences 1                      at second 9 there has been one fence
//! at 9 alarm 2 fence-unconfirmed     node 2 has told that since second 0, and `alarm witness …` the witness
//! ```
//! `for` lines have a scenario told in several ways: [`super::variants`]. A line that begins with `#` is a comment. The rest of a line after two spaces is one too.

use super::schedule::{between, lanes};
use crate::world::clock::{SECOND, Time};
use crate::world::disk::DiskMode;
use crate::world::fault::Fault;
use crate::world::fence::DeviceMode;
use crate::world::net::{Lane, Link, Place, WITNESS};
use crate::world::setup::{Setup, VolumeSetup, plan};
use crate::world::volume::DriverMode;
use picket_core::ids::{NodeId, NodeSet, VolumeId};
use picket_core::node::LossAction;
use picket_core::params::Profile;
use picket_core::topology::{DeviceKind, FencePlan};

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The cluster.
    pub setup: Setup,
    /// Who holds what at the beginning.
    pub holds: Vec<(VolumeId, NodeId)>,
    /// A person looks after the cluster.
    pub person: bool,
    /// What happens and what is expected, in the order of the text.
    pub lines: Vec<Line>,
}

/// A line of the story.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its number in the text, from 1.
    pub number: usize,
    /// Its words.
    pub text: String,
    /// When, after the beginning.
    pub at: Time,
    /// What.
    pub what: What,
}

/// What a line says.
#[derive(Clone, Debug)]
pub enum What {
    /// A fault, and when it ends.
    Happens(Fault, Option<Time>),
    /// It is so at this moment.
    Is(Vec<String>),
    /// It is so at this moment at the latest.
    Becomes(Vec<String>),
}

/// Reads a scenario.
///
/// # Errors
/// The first line that makes no sense, with its number.
pub fn parse(text: &str) -> Result<Scenario, String> {
    let mut scenario =
        Scenario { setup: Setup::simple(2), holds: Vec::new(), person: false, lines: Vec::new() };
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split("  ").next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        read_line(&mut scenario, number, &words).map_err(|why| format!("line {number}: {line}: {why}"))?;
    }
    Ok(scenario)
}

fn read_line(scenario: &mut Scenario, number: usize, words: &[&str]) -> Result<(), String> {
    match words {
        ["cluster", options @ ..] => cluster(&mut scenario.setup, options),
        ["volume", volume, options @ ..] => volume_options(&mut scenario.setup, volume, options),
        ["holds", volume, node] => {
            scenario.holds.push((VolumeId(number_of(volume)?), NodeId(number_of(node)?)));
            Ok(())
        }
        ["person"] => {
            scenario.person = true;
            Ok(())
        }
        ["at", at, "until", until, rest @ ..] => {
            let fault = fault(&scenario.setup, rest)?.ok_or("what can end is a fault")?;
            add(scenario, number, words, seconds(at)?, What::Happens(fault, Some(seconds(until)?)));
            Ok(())
        }
        ["at", at, rest @ ..] => {
            let what = match fault(&scenario.setup, rest)? {
                Some(fault) => What::Happens(fault, None),
                None => What::Is(owned(rest)),
            };
            add(scenario, number, words, seconds(at)?, what);
            Ok(())
        }
        ["by", at, rest @ ..] => {
            add(scenario, number, words, seconds(at)?, What::Becomes(owned(rest)));
            Ok(())
        }
        _ => Err("expected cluster, volume, holds, person, at or by".into()),
    }
}

fn add(scenario: &mut Scenario, number: usize, words: &[&str], at: Time, what: What) {
    scenario.lines.push(Line { number, text: words.join(" "), at, what });
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn number_of<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word} is no number"))
}

fn seconds(word: &str) -> Result<Time, String> {
    let seconds: f64 = number_of(word)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "times of scenarios are small"
    )]
    let nanos = (seconds * 1000.0) as u64 * (SECOND / 1000);
    Ok(Time(nanos))
}

fn cluster(setup: &mut Setup, options: &[&str]) -> Result<(), String> {
    for pair in options.chunks(2) {
        let [name, value] = pair else { return Err("an option without a value".into()) };
        match *name {
            "nodes" => {
                let machine = setup.machines[0].clone();
                setup.machines = vec![machine; number_of(value)?];
                let members = setup.members();
                setup.volumes.iter_mut().for_each(|volume| volume.members = members);
            }
            "profile" => {
                let found = Profile::ALL.into_iter().find(|profile| profile.name() == *value);
                setup.profile = found.ok_or_else(|| format!("no profile {value}"))?;
            }
            "fence" => {
                let plan = fencing(value)?;
                setup.machines.iter_mut().for_each(|machine| machine.fencing = plan.clone());
            }
            "watchdog" => setup.machines.iter_mut().for_each(|machine| machine.watchdog = *value == "yes"),
            "pauses" => {
                setup.machines.iter_mut().for_each(|machine| machine.pause_visible = *value == "visible");
            }
            "volumes" => {
                let volume = setup.volumes[0].clone();
                setup.volumes = vec![volume; number_of(value)?];
            }
            "loss" => {
                let action = loss_action(value)?;
                setup.volumes.iter_mut().for_each(|volume| volume.loss_action = action);
            }
            _ => return Err(format!("no option {name}")),
        }
    }
    Ok(())
}

fn volume_options(setup: &mut Setup, volume: &str, options: &[&str]) -> Result<(), String> {
    let index = number_of::<usize>(volume)?.checked_sub(1).ok_or("volumes count from 1")?;
    let known: &mut VolumeSetup = setup.volumes.get_mut(index).ok_or("no such volume")?;
    match options {
        ["on", nodes @ ..] => known.members = set(nodes)?,
        ["loss", action] => known.loss_action = loss_action(action)?,
        _ => return Err("expected on NODES or loss ACTION".into()),
    }
    Ok(())
}

fn loss_action(word: &str) -> Result<LossAction, String> {
    match word {
        "freeze" => Ok(LossAction::Freeze),
        "osu" => Ok(LossAction::Osu),
        "fastboot" => Ok(LossAction::Fastboot),
        "fastkill" => Ok(LossAction::Fastkill),
        _ => Err(format!("no loss action {word}")),
    }
}

fn fencing(word: &str) -> Result<FencePlan, String> {
    use DeviceKind::{Gate, Meatware, Power};
    match word {
        "none" => Ok(FencePlan::default()),
        "power" => Ok(plan(&[&[Power]])),
        "power,power" => Ok(plan(&[&[Power], &[Power]])),
        "power+power" => Ok(plan(&[&[Power, Power]])),
        "power,meatware" => Ok(plan(&[&[Power], &[Meatware]])),
        "meatware" => Ok(plan(&[&[Meatware]])),
        "gate,power" => Ok(plan(&[&[Gate], &[Power]])),
        _ => Err(format!("no fence plan {word}")),
    }
}

fn set(words: &[&str]) -> Result<NodeSet, String> {
    words.iter().map(|word| number_of(word).map(NodeId)).collect()
}

/// The fault that the words name; none: they are no fault.
fn fault(setup: &Setup, words: &[&str]) -> Result<Option<Fault>, String> {
    let node = |word: &str| number_of(word).map(NodeId);
    let volume = |word: &str| number_of(word).map(VolumeId);
    Ok(Some(match words {
        ["cut", lane, places @ ..] => Fault::Cut("cut", cut(setup, lane, places)?),
        ["crash", n] => Fault::Crash(node(n)?),
        ["hang", n] => Fault::Stall { node: node(n)?, torn: false },
        ["hang-torn", n] => Fault::Stall { node: node(n)?, torn: true },
        ["power-loss", n] => Fault::PowerLoss { node: node(n)?, devices_too: false },
        ["power-loss-with-bmc", n] => Fault::PowerLoss { node: node(n)?, devices_too: true },
        ["stop-signal", n] => Fault::DaemonStall { node: node(n)?, torn: false },
        ["pause", n] => Fault::Pause(node(n)?),
        ["daemon-kill", n] => Fault::DaemonKill(node(n)?),
        ["dies-between", n] => Fault::DiesBetween(node(n)?),
        ["keep-running", n, seconds] => Fault::KeepRunning { node: node(n)?, seconds: number_of(seconds)? },
        ["reset-hangs", n] => Fault::ResetHangs(node(n)?),
        ["repeated", n] => Fault::Repeated(node(n)?),
        ["ghosts", n] => Fault::Ghosts(node(n)?),
        ["evict", n, v] => Fault::Evict { node: node(n)?, volume: volume(v)? },
        ["daemon-stop", n] => Fault::DaemonStop(node(n)?),
        ["standby", n] => Fault::Standby(node(n)?),
        ["node-disk", n, mode] => Fault::NodeDisk { node: node(n)?, mode: disk_mode(mode)? },
        ["driver-hangs", n, v] => {
            Fault::Driver { node: node(n)?, volume: volume(v)?, mode: DriverMode::Hangs }
        }
        ["driver-fails", n, v] => {
            Fault::Driver { node: node(n)?, volume: volume(v)?, mode: DriverMode::Fails }
        }
        ["driver-slow", n, v] => Fault::Driver { node: node(n)?, volume: volume(v)?, mode: DriverMode::Slow },
        ["driver-thaws-late", n, v] => {
            Fault::Driver { node: node(n)?, volume: volume(v)?, mode: DriverMode::ThawsLate }
        }
        ["driver-thaws-unheard", n, v] => {
            Fault::Driver { node: node(n)?, volume: volume(v)?, mode: DriverMode::ThawsUnheard }
        }
        ["device", n, level, mode] => {
            let level: u8 = number_of(level)?;
            Fault::Device { target: node(n)?, level: level - 1, mode: device_mode(mode)? }
        }
        ["disk-swapped", n, v] => Fault::DiskSwapped { node: node(n)?, volume: volume(v)? },
        ["drift", n, ppm] => Fault::Drift { node: node(n)?, ppm: number_of(ppm)? },
        ["witness-kill"] => Fault::WitnessKill,
        ["witness-disk", mode] => Fault::WitnessDisk(disk_mode(mode)?),
        ["force-stale", n, v] => Fault::ForceStale { node: node(n)?, volume: volume(v)? },
        ["adopt"] => Fault::Adopt { source: None },
        ["witness-restored"] => Fault::WitnessReplaced { backup: true },
        ["witness-rolled-back"] => Fault::WitnessRolledBack,
        ["witness-new"] => Fault::WitnessReplaced { backup: false },
        ["move", v, "to", to, "asked-of", asked] => {
            Fault::Move { asked: node(asked)?, volume: volume(v)?, to: node(to)? }
        }
        ["fence-by-hand", target, "asked-of", asked] => {
            Fault::FenceByHand { asked: node(asked)?, target: node(target)? }
        }
        ["confirm-wrongly", n] => Fault::ConfirmWrongly(node(n)?),
        ["override", n, v, "dead", dead @ ..] => {
            Fault::Override { node: node(n)?, volume: volume(v)?, dead: set(dead)?, seconds: 3600 }
        }
        _ => return Ok(None),
    }))
}

fn disk_mode(word: &str) -> Result<DiskMode, String> {
    match word {
        "sync-fails" => Ok(DiskMode::SyncFails),
        "full" => Ok(DiskMode::Full),
        "slow" => Ok(DiskMode::Slow),
        "tears" => Ok(DiskMode::Tears),
        _ => Err(format!("no disk mode {word}")),
    }
}

fn device_mode(word: &str) -> Result<DeviceMode, String> {
    match word {
        "fails" => Ok(DeviceMode::Fails),
        "hangs" => Ok(DeviceMode::Hangs),
        "unheard" => Ok(DeviceMode::ActsUnheard),
        "late" => Ok(DeviceMode::ActsLate),
        "slow" => Ok(DeviceMode::Slow),
        "tells-late" => Ok(DeviceMode::TellsLate),
        _ => Err(format!("no device mode {word}")),
    }
}

fn cut(setup: &Setup, lane: &str, places: &[&str]) -> Result<Vec<Link>, String> {
    let (places, both) = match places {
        [rest @ .., "one-way"] => (rest, false),
        rest => (rest, true),
    };
    let places: Vec<Place> = places.iter().map(|word| number_of(word)).collect::<Result<_, _>>()?;
    let beats: Vec<Lane> = (0..setup.paths).map(Lane::Path).collect();
    let lanes = match lane {
        "all" => lanes(setup),
        "beats" => beats,
        "path" => vec![Lane::Path(0)],
        "peer" => vec![Lane::Peer],
        "repl" => vec![Lane::Repl],
        "fence" => vec![Lane::Fence],
        "witness" => return Ok(between(&[Lane::Witness], &places, &[WITNESS], both)),
        "from-witness" => return Ok(between(&[Lane::Witness], &[WITNESS], &places, both)),
        _ => return Err(format!("no lane {lane}")),
    };
    match places.as_slice() {
        [from, to @ ..] if !to.is_empty() => Ok(between(&lanes, &[*from], to, both)),
        _ => Err("a link has two ends".into()),
    }
}
