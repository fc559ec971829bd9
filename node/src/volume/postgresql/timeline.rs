//! Timelines: what identifies the data of a server, and whether one server's data can follow another's.
//!
//! A promotion begins a new timeline at some position of the former one. A server's history lists these positions.
//! Data is identified by the system identifier and the timeline; a replica matches what is recorded if the recorded
//! timeline is its own or in its history. Freshness is not judged here: that is what the in-sync set is for.

use picket_core::evidence::Generation;
use picket_core::ids::GenerationId;

/// A position in the write-ahead log.
pub type Lsn = u64;

/// A place in the history of a cluster of servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The timeline.
    pub timeline: u32,
    /// Where it was left, or is.
    pub lsn: Lsn,
}

/// Reads `X/Y`.
#[must_use]
pub fn lsn(text: &str) -> Option<Lsn> {
    let (high, low) = text.split_once('/')?;
    Some(u64::from(hex(high)?) << 32 | u64::from(hex(low)?))
}

/// The timeline that a piece of the log is of, by its name: the first eight of its digits.
#[must_use]
pub fn of_segment(name: &str) -> Option<u32> {
    hex(name.get(..8)?)
}

/// What a server says that it writes: the timeline of the piece of the log, none of a replica, and the log's end.
///
/// # Errors
/// One of them is not understood.
pub fn written(segment: Option<&str>, end: Option<&str>) -> Result<(Option<u32>, Lsn), String> {
    Ok((understood(segment, of_segment)?, reached(end)?))
}

/// How far a server says that its log reaches: nowhere, if it has none.
///
/// # Errors
/// It is not understood.
pub fn reached(end: Option<&str>) -> Result<Lsn, String> {
    Ok(understood(end, lsn)?.unwrap_or_default())
}

/// What is said, if anything is. What is not understood is nothing that could be believed, and no place at the beginning.
fn understood<T>(said: Option<&str>, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, String> {
    let unread = |said: &str| format!("the server says what is not understood: {said:?}");
    said.map(|said| read(said).ok_or_else(|| unread(said))).transpose()
}

/// The former timelines of a server whose newest is this one; no text: it has none, as of the first.
///
/// # Errors
/// The text is no whole history: with none at all its data would descend from nothing.
pub fn former(newest: u32, text: Option<&str>) -> Result<Vec<Place>, String> {
    let unread = || format!("the history of timeline {newest} is not understood");
    text.map_or_else(|| Some(Vec::new()), history).ok_or_else(unread)
}

/// Reads hexadecimal digits and nothing else, no sign either.
#[must_use]
pub fn hex(digits: &str) -> Option<u32> {
    let all = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| all)
}

/// Reads decimal digits and nothing else.
#[must_use]
pub fn decimal(digits: &str) -> Option<u64> {
    digits.parse().ok().filter(|_| digits.bytes().all(|digit| digit.is_ascii_digit()))
}

/// Reads a history file: each former timeline, the oldest first, and where it was left. One without its end is none: a
/// number could be cut off, which is another place. So is one whose timelines are in no order, as for PostgreSQL itself.
#[must_use]
pub fn history(text: &str) -> Option<Vec<Place>> {
    if !text.is_empty() && !text.ends_with('\n') {
        return None;
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let place = |line: &str| {
        let mut words = line.split_whitespace();
        let timeline = decimal(words.next()?)?.try_into().ok()?;
        Some(Place { timeline, lsn: lsn(words.next()?)? })
    };
    let places: Vec<Place> = lines.map(place).collect::<Option<_>>()?;
    places.is_sorted_by(|one, next| one.timeline < next.timeline).then_some(places)
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
