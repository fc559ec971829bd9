//! Plays scenarios.

use super::coverage::Coverage;
use super::run::go_on;
use super::scenario::{Line, Scenario, What, parse};
use super::schedule::{FAR, Planned};
use super::variants::variants;
use crate::world::World;
use crate::world::clock::{MS, SECOND, Time};
use crate::world::machine::Power;
use crate::world::net::WITNESS;
use picket_core::ids::{NodeId, NodeSet, VolumeId};
use picket_core::node::NodeRequest;

/// The story begins at this moment of the world.
const BEGINS: Time = Time(30 * SECOND);

/// So long after the last fault a story goes on: for a lease, a boot and a takeover.
const COMES_OF_IT: u64 = 15 * SECOND;

/// What `by` waits for is looked at so often.
const LOOKS_EVERY: u64 = 10 * MS;

/// A story that did not go as it must.
#[derive(Debug)]
pub struct Failure {
    /// What was expected, and what was.
    pub text: String,
    /// Everything that happened.
    pub log: Vec<String>,
}

/// Plays a scenario with a seed, in every way that its text can be told, and tells what was met.
///
/// # Errors
/// What did not follow, and in which way to tell it.
pub fn play(text: &str, seed: u64) -> Result<Coverage, Failure> {
    let silent = |text| Failure { text, log: Vec::new() };
    let mut met = Coverage::default();
    for variant in variants(text).map_err(silent)? {
        let scenario = parse(&variant.text).map_err(silent)?;
        let tell = |logging| {
            let mut world = World::new(scenario.setup.clone(), seed, logging);
            let ended = story(&scenario, &mut world);
            (world, ended)
        };
        let (world, ended) = tell(false);
        if let Err(why) = ended {
            let text = if variant.told.is_empty() { why } else { format!("{}: {why}", variant.told) };
            return Err(Failure { text, log: tell(true).0.log.lines().to_vec() });
        }
        met.add(&planned(&scenario), &world);
    }
    Ok(met)
}

/// What happens in a scenario.
fn planned(scenario: &Scenario) -> Vec<Planned> {
    let happens = |line: &Line| match &line.what {
        What::Happens(fault, until) => Some(Planned {
            at: BEGINS + line.at.0,
            until: until.map_or(FAR, |until| BEGINS + until.0),
            fault: fault.clone(),
        }),
        What::Is(_) | What::Becomes(_) => None,
    };
    scenario.lines.iter().filter_map(happens).collect()
}

fn story(scenario: &Scenario, world: &mut World) -> Result<(), String> {
    world.run_until(Time(15 * SECOND));
    for (volume, node) in &scenario.holds {
        if !world.can_acknowledge(*node, *volume) {
            world.ask(*node, NodeRequest::Move { volume: *volume, to: *node });
        }
    }
    world.run_until(BEGINS);
    for (volume, node) in &scenario.holds {
        if !world.can_acknowledge(*node, *volume) {
            return Err(format!("at the beginning node {node} does not serve volume {volume}"));
        }
    }
    world.backup = world.witness.durable().cloned();
    if scenario.person {
        world.hire_person();
    }
    // What is expected is expected of the story, not of what was before it.
    world.alarms.clear();
    world.refusals.clear();
    world.last_proof.clear();
    for planned in planned(scenario) {
        world.plan(planned.at, planned.until, planned.fault);
    }
    let hits = world.fence_hits;
    for line in &scenario.lines {
        expect(world, line, hits)?;
    }
    ends(world, scenario);
    violated(world)
}

/// What ends after the last expectation ends all the same.
fn ends(world: &mut World, scenario: &Scenario) {
    let until = planned(scenario).iter().map(|planned| planned.until).filter(|until| *until < FAR).max();
    if let Some(until) = until {
        go_on(world, until + COMES_OF_IT);
    }
}

fn violated(world: &World) -> Result<(), String> {
    world
        .oracle
        .violation
        .as_ref()
        .map_or(Ok(()), |v| Err(format!("{} at {}: {}", v.invariant, v.at, v.text)))
}

fn expect(world: &mut World, line: &Line, hits: u64) -> Result<(), String> {
    let at = BEGINS + line.at.0;
    let words = match &line.what {
        What::Happens(..) => return Ok(()),
        What::Is(words) => {
            if world.now > at {
                return Err(format!("line {}: it is later than that already", line.number));
            }
            world.run_until(at);
            words
        }
        What::Becomes(words) => {
            let text: Vec<&str> = words.iter().map(String::as_str).collect();
            while world.now < at && world.oracle.violation.is_none() && is(world, &text, hits)?.is_some() {
                let next = (world.now + LOOKS_EVERY).min(at);
                world.run_until(next);
            }
            words
        }
    };
    world.sample_rules();
    world.check_time();
    violated(world)?;
    let text: Vec<&str> = words.iter().map(String::as_str).collect();
    match is(world, &text, hits)? {
        None => Ok(()),
        Some(but) => Err(format!("line {}: {}: but {but}", line.number, line.text)),
    }
}

/// None: it is so. Else what is instead.
fn is(world: &World, words: &[&str], hits: u64) -> Result<Option<String>, String> {
    let node = |word: &str| word.parse().map(NodeId).map_err(|_| format!("{word} is no node"));
    let volume = |word: &str| word.parse().map(VolumeId).map_err(|_| format!("{word} is no volume"));
    let unless = |holds: bool, but: String| Ok((!holds).then_some(but));
    match words {
        ["active", v, n] => {
            let volume = volume(v)?;
            let able: NodeSet =
                world.setup.members().iter().filter(|n| world.can_acknowledge(*n, volume)).collect();
            let wanted = if *n == "nobody" { NodeSet::EMPTY } else { NodeSet::only(node(n)?) };
            unless(able == wanted, format!("it is active on {able}"))
        }
        ["served", v] => {
            let volume = volume(v)?;
            let able = world.setup.members().iter().filter(|n| world.can_acknowledge(*n, volume)).count();
            unless(able == 1, format!("it is active on {able} nodes"))
        }
        ["proof", v, word] => {
            let proof = world.last_proof.get(&volume(v)?).copied().unwrap_or("none");
            unless(proof == *word, format!("the proof was {proof}"))
        }
        ["isr", v, nodes @ ..] => {
            let wanted: NodeSet = nodes.iter().map(|n| node(n)).collect::<Result<_, _>>()?;
            let volume = volume(v)?;
            let isr = world.witness.durable().and_then(|record| record.volumes.get(&volume)).map(|r| r.isr);
            unless(isr == Some(wanted), format!("the in-sync set is {isr:?}"))
        }
        ["fences", count] => {
            let fences = world.fence_hits - hits;
            unless(fences.to_string() == *count, format!("there were {fences}"))
        }
        ["running", n] => {
            let power = world.machines[usize::from(node(n)?.0) - 1].power;
            unless(power == Power::On, format!("it is {power:?}"))
        }
        ["off", n] => {
            let power = world.machines[usize::from(node(n)?.0) - 1].power;
            unless(power == Power::Off, format!("it is {power:?}"))
        }
        ["boots", n, count] => {
            let boots = world.machines[usize::from(node(n)?.0) - 1].boot_no;
            unless(boots.to_string() == *count, format!("it died {boots} times"))
        }
        ["refused", word] => {
            unless(world.refusals.contains(word), format!("heard were {:?}", world.refusals))
        }
        ["alarm", place, word] => {
            let here = if *place == "witness" { WITNESS } else { node(place)?.0 };
            unless(world.alarms.contains(&(here, *word)), format!("told were {:?}", world.alarms))
        }
        ["witness", "down"] => unless(!world.witness.is_up(), "it runs".into()),
        ["witness", "up"] => unless(world.witness.is_up(), "it does not run".into()),
        ["recovering"] => unless(recovering(world), "it is in service".into()),
        ["in-service"] => unless(!recovering(world), "it recovers".into()),
        ["phase" | "why" | "waiting" | "failsafe" | "drifts", ..] => of_node(world, words),
        ["held-off", n] => {
            let off = world.witness.durable().and_then(|r| r.nodes.get(&node(n).ok()?)).map(|k| k.held_off);
            unless(off == Some(true), format!("{off:?}"))
        }
        _ => Err(format!("not understood: {}", words.join(" "))),
    }
}

fn recovering(world: &World) -> bool {
    world.witness.machine().is_some_and(|machine| machine.recovering().is_some())
}

fn of_node(world: &World, words: &[&str]) -> Result<Option<String>, String> {
    let [what, v, n, rest @ ..] = words else { return Err("expected WHAT VOLUME NODE".into()) };
    let volume = v.parse().map(VolumeId).map_err(|_| format!("{v} is no volume"))?;
    let index: usize = n.parse().map_err(|_| format!("{n} is no node"))?;
    let machine = world.machines.get(index.wrapping_sub(1)).ok_or("no such node")?;
    let Some(core) = machine.node() else { return Ok(Some("its daemon does not run".into())) };
    let Some(status) = core.volume_status(world.clock_of(machine.id), volume) else {
        return Err("it has no replica".into());
    };
    let found = match *what {
        "phase" => word(&status.phase),
        "why" => status.why_not.as_ref().map_or("asks".into(), word),
        "waiting" => status.waiting.as_ref().map_or("nothing", picket_core::error::Refusal::word).into(),
        _ => status.failsafe.to_string(),
    };
    let wanted = rest.first().copied().unwrap_or("true");
    Ok((found != wanted).then_some(format!("it is {found}: {:?} {:?}", status.phase, status.why_not)))
}

/// The first word of a value's debug text: its variant.
fn word(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}
