//! What `drbdsetup events2` tells, and what the driver makes of it.

use super::volume_status::about;
use crate::must;
use crate::target::{Answer, Broken, Target};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use picket_core::evidence::Generation;
use picket_core::ids::{GenerationId, NodeId, NodeSet};
use picket_core::node::{Role, VolumeReport};
use picket_node::volume::drbd::book::Book;
use picket_node::volume::drbd::events::{self, Line, Object, Verb};
use picket_node::volume::drbd::view::View;
use std::collections::BTreeMap;

/// The target. An input is two bytes (where the stream breaks off), then the stream.
pub const TARGET: Target = Target {
    name: "drbd-events",
    about: "DRBD's events: a role and a disk only as the last whole line has them; what breaks off changes nothing",
    seeds,
    words: &[
        "exists ",
        "create ",
        "change ",
        "destroy ",
        "call helper ",
        "rename ",
        "resource ",
        "connection ",
        "device ",
        "peer-device ",
        "exists -\n",
        "name:r0 ",
        "name:r1 ",
        "role:Primary",
        "role:Secondary",
        "suspended:no",
        "suspended:user,fencing",
        "volume:0 ",
        "volume:1 ",
        "minor:0 ",
        "disk:UpToDate",
        "disk:Outdated",
        "disk:Diskless",
        "peer-node-id:2 ",
        "conn-name:n2 ",
        "conn-name:n3 ",
        "conn-name:peer ",
        "connection:Connected ",
        "connection:StandAlone ",
        "peer-disk:UpToDate",
        "replication:Established ",
        "replication:SyncSource ",
        "done:99.97",
        "\n",
        "\r\n",
        " ",
        ":",
        "\u{1b}[2J",
    ],
    check,
};

const RESOURCE: &str = "r0";

const TOLD: [&str; 3] = [
    include_str!("../../../node/src/volume/drbd/tests/events-9.txt"),
    include_str!("../../../node/src/volume/drbd/tests/events-8.4-gives-up.txt"),
    include_str!("../../../node/src/volume/drbd/tests/events-8.4-comes-back.txt"),
];

fn seeds() -> Vec<Vec<u8>> {
    let end = "exists -\n";
    let other_zeros = "exists device name:r0 volume:0 disk:UpToDate\nchange device name:r0 volume:00\n";
    let cut = |text: &str, at: u16| [&at.to_le_bytes()[..], text.as_bytes()].concat();
    TOLD.into_iter().chain([end, other_zeros]).flat_map(|text| [cut(text, 0), cut(text, 200)]).collect()
}

/// What came of a stream.
struct Followed {
    view: View,
    lines: Vec<Line>,
    /// Bytes of it that were understood.
    read: usize,
    error: Option<String>,
}

/// Follows it as the driver does, to its end or to what is not understood.
fn follow(stream: &[u8]) -> Result<Followed, Broken> {
    let mut followed = Followed { view: View::default(), lines: Vec::new(), read: 0, error: None };
    let mut rest = stream;
    loop {
        let next = {
            let mut next = pin!(events::next(&mut rest));
            next.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        };
        match next {
            Poll::Pending => return Err(Broken("it waits for more than there is".to_owned())),
            Poll::Ready(Ok(None)) => return Ok(followed),
            Poll::Ready(Ok(Some(line))) => {
                followed.view.take(RESOURCE, &line);
                must!(!followed.view.take(RESOURCE, &line), "told twice, {line:?} is news twice");
                followed.lines.push(line);
                followed.read = stream.len() - rest.len();
            }
            Poll::Ready(Err(error)) => {
                followed.error = Some(error.to_string());
                return Ok(followed);
            }
        }
    }
}

fn check(input: &[u8]) -> Result<Answer, Broken> {
    let Some((&[low, high], stream)) = input.split_first_chunk() else { return Ok(Answer::new("short")) };
    let followed = follow(stream)?;
    if let Some(error) = &followed.error {
        must!(!error.contains(char::is_control), "an error that drives a terminal: {error:?}");
    }
    broken_off(stream, usize::from(u16::from_le_bytes([low, high])))?;
    again(&followed)?;
    let words = core::str::from_utf8(stream.get(..followed.read).unwrap_or_default());
    let said = Said::of(words.map_err(|error| Broken(format!("read as text: {error}")))?);
    said.must_be(&followed.view)?;
    let report = told(&followed.view)?;
    said.must_be_told(&report)?;
    let end = followed.error.as_deref().unwrap_or("to its end");
    Ok(Answer::new(format!(
        "{:?}, frozen by {}{}, complete {}, {} there, {} good, resync {:?}; {end}",
        report.role,
        if followed.view.suspended_by_user() { "user" } else { "" },
        if followed.view.suspended_by_fencing() { "fencing" } else { "" },
        report.complete,
        if report.connected.is_empty() { "nobody" } else { "somebody" },
        if report.complete_peers.is_empty() { "nobody" } else { "somebody" },
        followed.view.resynced().is_some(),
    )))
}

/// A program that is killed in a line has not told that line, and its end is an error.
fn broken_off(stream: &[u8], at: usize) -> Result<(), Broken> {
    let head = stream.get(..at % (stream.len() + 1)).unwrap_or_default();
    let whole = head.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let (broken, before) = (follow(head)?, follow(head.get(..whole).unwrap_or_default())?);
    must!(broken.view == before.view, "half a line was taken: {:?}, not {:?}", broken.view, before.view);
    must!(whole == head.len() || broken.error.is_some(), "half a line is no error");
    Ok(())
}

/// Written again, the lines mean the same; so do those of this resource alone.
fn again(followed: &Followed) -> Result<(), Broken> {
    let text: String = followed.lines.iter().map(written).collect();
    let read = follow(text.as_bytes())?;
    must!(read.lines == followed.lines, "written again it is {:?}, not {:?}", read.lines, followed.lines);
    let mut alone = View::default();
    for line in &followed.lines {
        if line.object == Object::End || line.word("name") == Some(RESOURCE) {
            alone.take(RESOURCE, line);
        }
    }
    must!(alone == followed.view, "other resources' lines made {:?} of {alone:?}", followed.view);
    Ok(())
}

fn written(line: &Line) -> String {
    let verb = match line.verb {
        Verb::Exists => "exists",
        Verb::Create => "create",
        Verb::Change => "change",
        Verb::Destroy => "destroy",
        Verb::Helper => "call",
        Verb::Rename => "rename",
    };
    let object = match line.object {
        Object::Resource => "resource",
        Object::Connection => "connection",
        Object::Device => "device",
        Object::PeerDevice => "peer-device",
        Object::Path => "path",
        Object::Helper => "helper",
        Object::End => "-",
    };
    let words: String = line.words.iter().map(|(key, value)| format!(" {key}:{value}")).collect();
    format!("{verb} {object}{words}\n")
}

/// What stands in the lines, read by other means: the last word that each thing has.
#[derive(Default)]
struct Said<'t> {
    whole: bool,
    exists: bool,
    role: Option<&'t str>,
    /// By the number that the volume's digits are: other zeros before them are no other volume.
    disks: BTreeMap<u32, Option<&'t str>>,
    /// Somewhere a peer's disk has all of its data.
    good_peer: bool,
    /// Somewhere a peer is connected.
    connected: bool,
}

impl<'t> Said<'t> {
    fn of(text: &'t str) -> Self {
        let mut said = Self::default();
        for line in text.split('\n') {
            let mut words: Vec<&str> = line.split_ascii_whitespace().collect();
            if words.first().is_some_and(|word| word.contains(':')) {
                words.remove(0);
            }
            let [verb, object, rest @ ..] = words.as_slice() else { continue };
            said.take(verb, object, rest);
        }
        said
    }

    fn take(&mut self, verb: &str, object: &str, words: &[&'t str]) {
        let word = |key: &str| {
            let of = |word: &&'t str| word.strip_prefix(key)?.strip_prefix(':');
            words.iter().rev().find_map(of)
        };
        let volume = || word("volume").and_then(|digits| digits.parse().ok());
        self.whole |= object == "-";
        if word("name") != Some(RESOURCE) || matches!(verb, "call" | "response") {
            return;
        }
        match (object, verb) {
            ("resource", "destroy") => *self = Self { whole: self.whole, ..Self::default() },
            ("resource", _) => (self.exists, self.role) = (true, word("role").or(self.role)),
            ("device", "destroy") => self.disks.retain(|other, _| volume() != Some(*other)),
            ("device", _) => {
                if let Some(volume) = volume() {
                    let disk = self.disks.entry(volume).or_default();
                    *disk = word("disk").or(*disk);
                }
            }
            ("connection", _) => self.connected |= word("connection") == Some("Connected"),
            ("peer-device", _) => self.good_peer |= word("peer-disk") == Some("UpToDate"),
            _ => {}
        }
    }

    fn role(&self) -> Role {
        match self.role {
            _ if !self.whole => Role::Unknown,
            _ if !self.exists => Role::Secondary,
            Some("Primary") => Role::Primary,
            Some("Secondary") => Role::Secondary,
            Some(_) | None => Role::Unknown,
        }
    }

    fn are(&self, good: &[&str]) -> bool {
        !self.disks.is_empty()
            && self.disks.values().all(|disk| disk.is_some_and(|disk| good.contains(&disk)))
    }

    fn must_be(&self, view: &View) -> Result<(), Broken> {
        must!(view.role() == self.role(), "{:?} was read where {:?} stands", view.role(), self.role());
        must!(!view.is_up_to_date() || self.are(&["UpToDate"]), "up to date, where {:?} stand", self.disks);
        let can_be_complete = self.are(&["UpToDate", "Consistent"]);
        must!(!view.is_complete() || can_be_complete, "complete, where {:?} stand", self.disks);
        Ok(())
    }

    fn must_be_told(&self, report: &VolumeReport) -> Result<(), Broken> {
        let role = self.role();
        must!(report.role == role || report.role == Role::Unknown, "{:?} is told of {role:?}", report.role);
        must!(!report.complete || self.whole, "complete before all was told");
        must!(report.connected.is_empty() || self.connected, "somebody is connected who never was");
        must!(report.complete_peers.is_empty() || self.good_peer, "a peer is complete whose disk never was");
        Ok(())
    }
}

/// The report of a replica whose data and configuration were read and are sound.
fn told(view: &View) -> Result<VolumeReport, Broken> {
    let generation = Some(Generation::first(GenerationId(1)));
    let book = Book { generation, problems: Some(Vec::new()), ..Book::default() };
    let report = book
        .report(&about(NodeSet::EMPTY, true), view)
        .ok_or_else(|| Broken("nothing is told".to_owned()))?;
    let peer = NodeSet::only(NodeId(2));
    must!(report.connected.is_subset(peer), "{:?} are connected", report.connected);
    must!(report.complete_peers.is_subset(report.connected), "{:?} are complete", report.complete_peers);
    Ok(report)
}
