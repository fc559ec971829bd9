//! Timelines: what identifies the data of a server, and whether one server's data can follow another's.
//!
//! A promotion begins a new timeline at some position of the former one. A server's history lists these positions.
//! Data is identified by the system identifier and the timeline; a replica matches what is recorded if the recorded
//! timeline is its own or in its history. Freshness is not judged here: that is what the in-sync set is for.

use picket_core::evidence::Generation;
use picket_core::ids::GenerationId;

/// A position in the write-ahead log.
pub(super) type Lsn = u64;

/// A place in the history of a cluster of servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) timeline: u32,
    pub(super) lsn: Lsn,
}

/// Reads `X/Y`.
pub(super) fn lsn(text: &str) -> Option<Lsn> {
    let (high, low) = text.trim().split_once('/')?;
    Some(u64::from(u32::from_str_radix(high, 16).ok()?) << 32 | u64::from(u32::from_str_radix(low, 16).ok()?))
}

/// Reads a history file: each former timeline, the oldest first, and where it was left.
pub(super) fn history(text: &str) -> Option<Vec<Place>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let place = |line: &str| {
        let mut words = line.split_whitespace();
        Some(Place { timeline: words.next()?.parse().ok()?, lsn: lsn(words.next()?)? })
    };
    lines.map(place).collect()
}

/// What identifies the data of a server on this timeline with this history.
pub(super) fn generation(system: u64, timeline: u32, history: &[Place]) -> Generation {
    let id = |timeline: u32| GenerationId(u128::from(system) << 32 | u128::from(timeline));
    let former = history.iter().rev().map(|place| id(place.timeline)).take(Generation::HISTORY_MAX);
    Generation { current: id(timeline), history: former.collect() }
}

/// Whether a server whose log ends at `mine` can follow one whose log ends at `source` after this history.
pub(super) fn can_follow(mine: Place, source: Place, history: &[Place]) -> bool {
    if mine.timeline == source.timeline {
        return mine.lsn <= source.lsn;
    }
    history.iter().find(|left| left.timeline == mine.timeline).is_some_and(|left| mine.lsn <= left.lsn)
}
