//! Whole courses of events, told line by line and compared with the telling in `stories/`: what a node does, when, what
//! it stores, and why it takes nothing. A change of any rule or time changes a line, which is to be read before it is
//! accepted.
//!
//! Ticks come when the machine wants them, so that each thing happens in the very instant in which it falls due.

use super::super::*;
use super::bench::{report, requests};
use super::*;
use crate::error::Refusal;
use crate::evidence::Proof;
use crate::ids::*;
use crate::message::*;
use crate::time::{Duration, Instant};
use crate::topology::{DeviceVerdict, OrderId};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write as _;

mod course;
mod endings;
mod faults;

/// A node under way, and what is told of it.
struct Story {
    bench: Bench,
    text: String,
    began: Instant,
    /// What was told last, by its kind: told again only when it has changed.
    told: [String; 5],
    /// Leases are renewed all the time: that they move on is no change.
    calm: bool,
}

/// The line without its instants.
fn timeless(line: &str) -> String {
    let mut parts = line.split('@');
    let first = parts.next().unwrap_or_default();
    let rest = parts.map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.'));
    core::iter::once(first).chain(rest).collect()
}

impl Story {
    fn new(bench: Bench) -> Self {
        let mut story =
            Self { began: bench.now, bench, text: String::new(), told: Default::default(), calm: false };
        story.tell(&[]);
        story
    }

    /// Something happens.
    fn then(&mut self, what: &str, act: impl FnOnce(&mut Bench) -> Vec<Effect>) -> Vec<Effect> {
        let _ = writeln!(self.text, "# {what}");
        let effects = act(&mut self.bench);
        self.tell(&effects);
        effects
    }

    /// Nothing comes from outside for so long.
    fn wait(&mut self, length: Duration) -> Vec<Effect> {
        let _ = writeln!(self.text, "# {length:?} of silence");
        self.pass(length, |_| Vec::new())
    }

    /// The peer beats and the witness answers for so long.
    fn live(&mut self, length: Duration) -> Vec<Effect> {
        let _ = writeln!(self.text, "# {length:?} as it should be");
        self.calm = true;
        let effects = self.pass(length, |bench| {
            let mut effects = bench.beat_from_b(true);
            effects.extend(bench.renew());
            effects
        });
        self.calm = false;
        effects
    }

    /// The peer beats and the witness is silent for so long.
    fn alone_with_b(&mut self, length: Duration) -> Vec<Effect> {
        let _ = writeln!(self.text, "# {length:?} without the witness");
        self.pass(length, |bench| bench.beat_from_b(true))
    }

    fn pass(&mut self, length: Duration, mut each: impl FnMut(&mut Bench) -> Vec<Effect>) -> Vec<Effect> {
        let (end, mut all) = (self.bench.now + length, Vec::new());
        let mut due = self.bench.now + ms(100);
        while self.bench.now < end {
            // A machine that resets itself wants no more ticks.
            let wanted = Some(self.bench.node.deadline(self.bench.now)).filter(|at| *at > self.bench.now);
            self.bench.now = wanted.unwrap_or(due).min(due).min(end);
            let mut effects = self.bench.step(Input::Tick);
            if self.bench.now >= due {
                due = due + ms(100);
                effects.extend(each(&mut self.bench));
            }
            self.tell(&effects);
            all.extend(effects);
        }
        all
    }

    fn tell(&mut self, effects: &[Effect]) {
        let mut lines: Vec<String> = Vec::new();
        for effect in effects {
            match effect {
                Effect::Witness(ToWitness { body: Request::Heartbeat(beat), .. }) => {
                    self.once(0, format!("→ hears {} holds {:?}", beat.hears, beat.holds), &mut lines);
                }
                Effect::Witness(message) => lines.push(format!("→ {:?}", message.body)),
                Effect::Beat { beat, .. } => {
                    self.once(1, format!("⇒ hears {} holds {:?}", beat.hears, beat.holds), &mut lines);
                }
                Effect::Peer { to, message } => lines.push(format!("⇒ {to} {:?}", message.body)),
                other => lines.push(format!("{other:?}")),
            }
        }
        let (bench, now) = (&self.bench, self.bench.now);
        let status = bench.node.status(now);
        let volume = &status.volumes[0];
        let fences: Vec<_> = status.fences.iter().map(|fence| (fence.stage, &fence.waiting)).collect();
        let state = format!(
            "= {:?} why not {:?} waiting {:?} refused {:?} solo {} failsafe {} lost {} quorum {:?} fences {:?} pet {:?}",
            volume.phase,
            volume.why_not,
            volume.waiting,
            volume.refused,
            volume.solo,
            volume.failsafe,
            status.witness.lost,
            status.quorum,
            fences,
            bench.node.pet_until(now),
        );
        let (disk, run) = (format!("disk {:?}", bench.disk), format!("run {:?}", bench.run));
        self.once(2, state, &mut lines);
        self.once(3, disk, &mut lines);
        self.once(4, run, &mut lines);
        let at = now.since(self.began);
        for line in lines {
            let _ = writeln!(self.text, "{:>10.3} {line}", at.as_secs_f64() * 1000.0);
        }
    }

    /// Tells something that holds on, if it has changed.
    fn once(&mut self, kind: usize, line: String, lines: &mut Vec<String>) {
        let same =
            if self.calm { timeless(&self.told[kind]) == timeless(&line) } else { self.told[kind] == line };
        if !same {
            self.told[kind].clone_from(&line);
            lines.push(line);
        }
    }

    /// The telling is as it was.
    fn end(self, expected: &str) {
        for (number, (is, expected)) in self.text.lines().zip(expected.lines()).enumerate() {
            assert_eq!(is, expected, "line {}; the whole:\n{}", number + 1, self.text);
        }
        assert_eq!(self.text.lines().count(), expected.lines().count(), "the whole:\n{}", self.text);
    }
}

/// The newest open attempt on a permit among the effects.
fn fence_attempt(effects: &[Effect]) -> AttemptId {
    let attempts = requests(effects).into_iter().rev().filter_map(|request| match request {
        Request::RequestFence(request) => Some(request.attempt),
        _ => None,
    });
    attempts.into_iter().next().expect("it asks for a permit")
}

/// The order to a device among the effects.
fn order(effects: &[Effect]) -> OrderId {
    let orders = effects.iter().find_map(|effect| match effect {
        Effect::Device(order) => Some(order.order),
        _ => None,
    });
    orders.expect("a device is to be used")
}

fn permit(attempt: AttemptId, number: u64) -> Reply {
    let (permit, target_boot) = (PermitId(number), BootId(0xB1));
    Reply::Permit(Permit { permit, attempt, target: B, target_boot, keep_off: false })
}

fn both() -> NodeSet {
    Bench::both()
}

fn failed(role: Role) -> VolumeReport {
    let none = NodeSet::EMPTY;
    VolumeReport { complete: false, connected: none, complete_peers: none, ..report(role) }
}
