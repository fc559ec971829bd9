//! The failure detector: which paths to a peer are alive, and whether the peer is heard at all.
//!
//! Silence is not death: the detector only suspects. A heartbeat counts once, and only if it is younger than what
//! was heard before: within one start of the sender's daemon its number must grow on each path, and a start that
//! was not heard before must echo a heartbeat that this node sent a short while ago, which a replay cannot.

use crate::ids::{BootId, Epoch, NodeSet, Nonce, PathId, VolumeId};
use crate::message::Beat;
use crate::time::{Duration, Instant, Instants};
use alloc::vec::Vec;

/// What is known of one peer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerWatch {
    paths: Vec<PathWatch>,
    /// The newest start of its daemon that was heard, and the newest number in it.
    run: Option<(Nonce, u64)>,
    /// What the newest beat said.
    said: Option<Said>,
    /// When a heartbeat with a number that was new on all paths came last.
    heard_at: Option<Instant>,
}

/// What a peer's newest heartbeat said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Said {
    /// Its boot.
    pub boot: BootId,
    /// Its daemon's start.
    pub run: Nonce,
    /// Whom it hears.
    pub hears: NodeSet,
    /// What it holds.
    pub holds: Vec<(VolumeId, Epoch)>,
    /// The echo shows that it hears this node's present run.
    pub hears_me: bool,
}

/// One path's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathWatch {
    /// When a heartbeat came on it last.
    pub heard_at: Option<Instant>,
    /// It counts as alive.
    pub alive: bool,
    /// How many heartbeats in a row are missed, as told so far.
    pub missed: u32,
    /// The newest number heard on it, of the present run.
    seq: u64,
}

/// What a change of time or a heartbeat did to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// The path works.
    PathAlive(PathId),
    /// So many heartbeats in a row are missed on the path.
    Missed(PathId, u32),
    /// The path is dead.
    PathDead(PathId),
    /// The peer is heard.
    Heard,
    /// No path to the peer is alive.
    Silent,
}

/// Why a heartbeat was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotFresh {
    /// Its number does not grow.
    Replayed,
    /// Its sender's start is new and it echoes nothing that was sent just now; the next one will.
    NoEcho,
    /// There is no such path.
    NoSuchPath,
}

/// What this node sent itself, to judge echoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sent {
    /// This daemon's start.
    pub run: Nonce,
    /// The number of the newest heartbeat sent to the peer.
    pub seq: u64,
}

/// An echo may be this many heartbeats old; with several paths and m misses allowed, older ones are replays.
const ECHO_WINDOW: u64 = 64;

/// A slower path may be this many heartbeats behind the fastest; what is older is a replay.
const LAG_WINDOW: u64 = 16;

impl PeerWatch {
    /// Nothing heard yet, on so many paths.
    #[must_use]
    pub fn new(paths: u8) -> Self {
        let path = PathWatch { heard_at: None, alive: false, missed: 0, seq: 0 };
        Self { paths: alloc::vec![path; usize::from(paths)], run: None, said: None, heard_at: None }
    }

    /// The paths' states, in the order of the configuration.
    #[must_use]
    pub fn paths(&self) -> &[PathWatch] {
        &self.paths
    }

    /// What the peer said last; old news when it is not heard any more.
    #[must_use]
    pub const fn said(&self) -> Option<&Said> {
        self.said.as_ref()
    }

    /// The newest heartbeat of the peer, to be echoed.
    #[must_use]
    pub const fn echo(&self) -> Option<(Nonce, u64)> {
        self.run
    }

    /// Whether the peer was heard on some path within `limit`.
    #[must_use]
    pub fn is_heard(&self, now: Instant, limit: Duration) -> bool {
        self.heard_at.is_some_and(|at| now.since(at) < limit)
    }

    /// When the peer was heard last.
    #[must_use]
    pub const fn heard_at(&self) -> Option<Instant> {
        self.heard_at
    }

    /// Takes an authenticated heartbeat.
    ///
    /// # Errors
    /// It is not younger than what was heard before; nothing changes then.
    pub fn beat(
        &mut self,
        now: Instant,
        path: PathId,
        beat: &Beat,
        sent: Sent,
    ) -> Result<Vec<Change>, NotFresh> {
        let index = usize::from(path.0);
        if index >= self.paths.len() {
            return Err(NotFresh::NoSuchPath);
        }
        let echoes_me = beat
            .echo
            .is_some_and(|(run, seq)| run == sent.run && seq <= sent.seq && sent.seq - seq <= ECHO_WINDOW);
        match self.run {
            Some((run, newest)) if run == beat.run => {
                // The same heartbeat comes once on each path.
                if beat.seq <= self.paths[index].seq || beat.seq.saturating_add(LAG_WINDOW) < newest {
                    return Err(NotFresh::Replayed);
                }
            }
            Some(_) | None if !echoes_me => {
                // Without this echo the sender could never learn that it is heard, and would not echo either.
                if self.run.is_none() {
                    self.run = Some((beat.run, beat.seq));
                }
                return Err(NotFresh::NoEcho);
            }
            Some(_) | None => {}
        }
        Ok(self.take(now, index, beat, echoes_me))
    }

    fn take(&mut self, now: Instant, index: usize, beat: &Beat, echoes_me: bool) -> Vec<Change> {
        let mut changes = Vec::new();
        let silent = !self.paths.iter().any(|path| path.alive);
        let same_run = self.run.is_some_and(|(run, _)| run == beat.run);
        if !same_run {
            self.paths.iter_mut().for_each(|path| path.seq = 0);
        }
        let newest = self.run.filter(|_| same_run && self.said.is_some()).map_or(0, |(_, seq)| seq);
        if beat.seq > newest || !same_run {
            self.run = Some((beat.run, beat.seq));
            self.heard_at = Some(now);
            self.said = Some(Said {
                boot: beat.boot,
                run: beat.run,
                hears: beat.hears,
                holds: beat.holds.clone(),
                hears_me: echoes_me,
            });
        }
        let path = &mut self.paths[index];
        path.seq = beat.seq;
        path.heard_at = Some(now);
        path.missed = 0;
        if !path.alive {
            path.alive = true;
            changes.push(Change::PathAlive(PathId(u8::try_from(index).unwrap_or(u8::MAX))));
        }
        if silent {
            changes.push(Change::Heard);
        }
        changes
    }

    /// Takes the passing of time.
    pub fn tick(&mut self, now: Instant, heartbeat: Duration, misses: u32) -> Vec<Change> {
        let mut changes = Vec::new();
        let limit = heartbeat * (misses + 1);
        for (path, index) in self.paths.iter_mut().zip(0u8..) {
            let Some(at) = path.heard_at.filter(|_| path.alive) else { continue };
            let silence = now.since(at);
            if silence >= limit {
                path.alive = false;
                changes.push(Change::PathDead(PathId(index)));
            } else {
                let whole = silence.as_nanos() / heartbeat.as_nanos().max(1);
                let missed = u32::try_from(whole).unwrap_or(u32::MAX).saturating_sub(1);
                if missed > path.missed {
                    path.missed = missed;
                    changes.push(Change::Missed(PathId(index), missed));
                }
            }
        }
        let died = changes.iter().any(|change| matches!(change, Change::PathDead(_)));
        if died && !self.paths.iter().any(|path| path.alive) {
            changes.push(Change::Silent);
        }
        changes
    }

    /// This node slept: who was heard before counts as heard at `at`, for what was sent meanwhile is still to be read.
    pub fn excuse(&mut self, at: Instant) {
        let later = |heard_at: &mut Option<Instant>| *heard_at = heard_at.map(|heard_at| heard_at.max(at));
        if self.paths.iter().any(|path| path.alive) {
            later(&mut self.heard_at);
        }
        self.paths.iter_mut().filter(|path| path.alive).for_each(|path| later(&mut path.heard_at));
    }

    /// When [`Self::tick`] has something to say next, if nothing is heard until then.
    #[must_use]
    pub fn deadline(&self, heartbeat: Duration, misses: u32) -> Option<Instant> {
        self.paths
            .iter()
            .filter(|path| path.alive)
            .filter_map(|path| path.heard_at)
            .min()
            .map(|at| at + heartbeat * (misses + 1))
    }
}

impl Instants for PeerWatch {
    fn instants(&mut self, visit: &mut dyn FnMut(&mut Instant)) {
        self.heard_at.instants(visit);
        for path in &mut self.paths {
            path.heard_at.instants(visit);
        }
    }
}

#[cfg(test)]
#[path = "detector_tests.rs"]
mod tests;
