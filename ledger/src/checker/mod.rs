//! The checker: reads what servers and clients left, and says what broke the promise.
//!
//! **Lost**: a write acknowledged by any server (by its acceptance log) or to any client (by its journal)
//! that is not in the log of the current primary, at the same place with the same checksum. A *hole* is
//! the same in the log of another replica that is complete, was required when it last was in step, and
//! has the primary's generation: nothing was ever acknowledged without it.
//!
//! **Two nodes active at once**: the *span* of an epoch on a node reaches from the first time that the
//! node took a write which it later acknowledged, to its last acknowledgement. For two epochs of
//! different nodes the older one's span must end before the newer one's begins. This is stronger than
//! "spans do not overlap": it also catches an older epoch that acknowledges after a newer one was done.
//! It is sound, because a correct holder takes its first write after its promotion, which comes after
//! the proof that the former holder can acknowledge no more. One epoch on two nodes is always a finding.
//! All times are of one clock: the machines of a lab share the kernel.
//!
//! **Two nodes writable at once**: the times in which a node *was* writable (by the transitions in its
//! log) must not overlap with another node's. That needs no write: a server that would have acknowledged
//! and was asked by nobody is found as well. It is sound, because a server is told to hold its writes, and
//! has logged that, or is dead, before anything proves it inactive. A killed process leaves its last span
//! without an end: the span reaches to the last thing that it logged. So whoever looks for two writable
//! nodes writes to each of them all the time. Not meant for a volume whose holder may be paused unseen
//! and whose barrier alone holds it then (`barrier-suffices`): it wakes up writable and can acknowledge
//! nothing.

mod lost;
mod spans;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::client::Ack;
use crate::disk::ScanEnd;
use crate::ids::{ClientId, Epoch, Generation, NodeId};
use crate::store::accept::{self, AcceptEntry};
use crate::store::{StoreError, meta, records};
use lost::Claims;
pub use spans::{BothWritable, DualActive, EpochSpan, WritableSpan};

/// Findings of one kind that are listed; all are counted.
const LISTED_MAX: usize = 100;

/// Findings of one kind: how many, and the first of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings<T> {
    /// All of them.
    pub count: u64,
    /// The first 100.
    pub first: Vec<T>,
}

impl<T> Default for Findings<T> {
    fn default() -> Self {
        Findings { count: 0, first: Vec::new() }
    }
}

impl<T> Findings<T> {
    fn add(&mut self, finding: T) {
        self.count += 1;
        if self.first.len() < LISTED_MAX {
            self.first.push(finding);
        }
    }

    /// Nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// An acknowledged write that a log does not hold as it was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The writer.
    pub client: ClientId,
    /// The writer's number.
    pub client_seq: u64,
    /// Where it was acknowledged to be.
    pub seq: u64,
    /// Who acknowledged it.
    pub acked_by: NodeId,
    /// In which epoch.
    pub epoch: Epoch,
    /// What is there instead.
    pub found: Found,
}

/// An acknowledged write that a replica lacks without which nothing was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hole {
    /// Whose log.
    pub node: NodeId,
    /// What it lacks.
    pub write: Lost,
}

/// What a log has instead of an acknowledged write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// No such write.
    Nothing,
    /// The write, at another place.
    ElsewhereAt(u64),
    /// At its place a write of that name with other content.
    OtherContent,
}

/// One append that stands in a log twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duplicate {
    /// Whose log.
    pub node: NodeId,
    /// The writer.
    pub client: ClientId,
    /// The writer's number.
    pub client_seq: u64,
    /// Both places.
    pub seqs: [u64; 2],
}

/// Bytes that hold no valid frame although valid ones follow, or a record out of order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Whose file.
    pub node: NodeId,
    /// Which file.
    pub file: PathBuf,
    /// What is wrong where.
    pub what: String,
}

/// One server's directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Whose.
    pub node: NodeId,
    /// Records in its log.
    pub records: u64,
    /// Writes that it acknowledged, ever.
    pub acknowledged: u64,
    /// Bytes of a record cut off by a crash (or being written now).
    pub torn_bytes: u64,
    /// The highest epoch it knows.
    pub max_epoch: Epoch,
    /// Whether the replica has everything.
    pub complete: bool,
    /// Identifies its data.
    pub generation: Generation,
    /// Records that resyncs took out, ever.
    pub discarded_total: u64,
}

/// The result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Of this format.
    pub schema: u32,
    /// Whose log must hold every acknowledged write.
    pub primary: NodeId,
    /// One per directory.
    pub nodes: Vec<NodeReport>,
    /// Different acknowledged writes that were looked for.
    pub acknowledged: u64,
    /// Acknowledged and not there.
    pub lost: Findings<Lost>,
    /// Acknowledged and there, but not in another replica that says it has everything.
    pub holes: Findings<Hole>,
    /// There twice.
    pub duplicates: Findings<Duplicate>,
    /// Damaged files.
    pub damage: Findings<Damage>,
    /// Two nodes active at once, by what they acknowledged.
    pub dual_active: Findings<DualActive>,
    /// Two nodes writable at once, whether or not anybody wrote.
    pub both_writable: Findings<BothWritable>,
    /// Acknowledgements that a client got and no server logged.
    pub unlogged: Findings<Ack>,
    /// The epochs in which something was acknowledged.
    pub epochs: Vec<EpochSpan>,
    /// When nodes said that they were writable.
    pub writable: Vec<WritableSpan>,
}

impl Report {
    /// Nothing was found.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.lost.is_empty()
            && self.holes.is_empty()
            && self.duplicates.is_empty()
            && self.damage.is_empty()
            && self.dual_active.is_empty()
            && self.both_writable.is_empty()
            && self.unlogged.is_empty()
    }
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A file cannot be used at all.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A directory that no server ever used.
    #[error("{}: no replica there", dir.display())]
    NotAReplica {
        /// The directory.
        dir: PathBuf,
    },
    /// Two directories of one node.
    #[error("two directories of node {node}")]
    Twice {
        /// The node.
        node: NodeId,
    },
    /// The primary's directory is missing.
    #[error("no directory of node {node}, which should hold every acknowledged write")]
    NoPrimary {
        /// The node.
        node: NodeId,
    },
}

type Name = (ClientId, u64);

/// What one directory holds.
struct Replica {
    report: NodeReport,
    /// The last primary that it followed acknowledged nothing without it.
    required: bool,
    /// Where each write is, with its checksum; the first place if there are two.
    places: HashMap<Name, (u64, u32)>,
    accepted: Vec<AcceptEntry>,
}

/// Checks the directories of all nodes against the acknowledgements of all clients. `primary` is the
/// current or last primary. Changes nothing; servers may run, then what is being written is not seen.
///
/// # Errors
/// A directory cannot be read, is missing, or is there twice.
pub fn check(dirs: &[PathBuf], primary: NodeId, acks: &[Ack]) -> Result<Report, CheckError> {
    let mut report = Report {
        schema: 1,
        primary,
        nodes: Vec::new(),
        acknowledged: 0,
        lost: Findings::default(),
        holes: Findings::default(),
        duplicates: Findings::default(),
        damage: Findings::default(),
        dual_active: Findings::default(),
        both_writable: Findings::default(),
        unlogged: Findings::default(),
        epochs: Vec::new(),
        writable: Vec::new(),
    };
    // All acceptance logs before any record log: what was acknowledged by then must be in a record log
    // that is read later, also while servers run.
    let mut accepted = Vec::new();
    for dir in dirs {
        if meta::load(dir)?.is_none() {
            return Err(CheckError::NotAReplica { dir: dir.clone() });
        }
        accepted.push((dir, accept::load(&dir.join(accept::FILE))?));
    }
    let mut replicas = BTreeMap::new();
    for (dir, log) in accepted {
        let replica = read(dir, log, &mut report)?;
        let node = replica.report.node;
        if replicas.insert(node, replica).is_some() {
            return Err(CheckError::Twice { node });
        }
    }
    let holder = replicas.get(&primary).ok_or(CheckError::NoPrimary { node: primary })?;
    let claims = Claims::of(&replicas, acks);
    report.acknowledged = claims.writes();
    claims.missing_in(holder).into_iter().for_each(|lost| report.lost.add(lost));
    for replica in replicas.values().filter(|replica| replica.must_equal(holder)) {
        let node = replica.report.node;
        claims.missing_in(replica).into_iter().for_each(|write| report.holes.add(Hole { node, write }));
    }
    lost::unlogged(&replicas, acks).into_iter().for_each(|ack| report.unlogged.add(ack));
    find_two_at_once(&replicas, &mut report);
    report.nodes = replicas.into_values().map(|r| r.report).collect();
    Ok(report)
}

fn find_two_at_once(replicas: &BTreeMap<NodeId, Replica>, report: &mut Report) {
    let logs = || replicas.iter().map(|(node, r)| (*node, r.accepted.as_slice()));
    report.epochs = spans::epochs(logs());
    spans::dual_active(&report.epochs).into_iter().for_each(|d| report.dual_active.add(d));
    report.writable = logs().flat_map(|(node, log)| spans::writable(node, log)).collect();
    report.writable.sort_by_key(|w| w.from_ns);
    spans::both_writable(&report.writable).into_iter().for_each(|both| report.both_writable.add(both));
}

impl Replica {
    /// Whether it must have every acknowledged write that the primary has: leaving it out would have made a new
    /// generation.
    fn must_equal(&self, primary: &Replica) -> bool {
        let (own, other) = (&self.report, &primary.report);
        own.node != other.node
            && own.complete
            && self.required
            && own.generation.current == other.generation.current
    }
}

fn read(
    dir: &Path,
    (accepted, accept_end): (Vec<AcceptEntry>, ScanEnd),
    report: &mut Report,
) -> Result<Replica, CheckError> {
    let meta = meta::load(dir)?.ok_or_else(|| CheckError::NotAReplica { dir: dir.to_path_buf() })?;
    let node = meta.node;
    let path = dir.join(records::FILE);
    let mut places: HashMap<Name, (u64, u32)> = HashMap::new();
    let mut last = 0;
    let mut count = 0;
    let mut damage = |file: &Path, what: String| {
        report.damage.add(Damage { node, file: file.to_path_buf(), what });
    };
    let end = records::load(&path, |scanned| match scanned {
        Ok(found) => {
            let r = found.record;
            if r.seq != last + 1 {
                damage(&path, format!("record {} follows record {last}", r.seq));
            }
            last = r.seq;
            count += 1;
            let name = (r.client, r.client_seq);
            if let Some((first, _)) = places.get(&name) {
                let (client, client_seq, seqs) = (r.client, r.client_seq, [*first, r.seq]);
                report.duplicates.add(Duplicate { node, client, client_seq, seqs });
            } else {
                places.insert(name, (r.seq, found.crc));
            }
        }
        Err(what) => damage(&path, what),
    })?;
    add_damage(&path, &end, &mut damage);
    add_damage(&dir.join(accept::FILE), &accept_end, &mut damage);
    let is_write = |e: &&AcceptEntry| matches!(e, AcceptEntry::Accepted { .. });
    let node_report = NodeReport {
        node,
        records: count,
        acknowledged: accepted.iter().filter(is_write).count() as u64,
        torn_bytes: end.torn as u64,
        max_epoch: meta.max_epoch,
        complete: meta.complete,
        generation: meta.generation,
        discarded_total: meta.discarded_total,
    };
    Ok(Replica { report: node_report, required: meta.required, places, accepted })
}

fn add_damage(path: &Path, end: &ScanEnd, damage: &mut impl FnMut(&Path, String)) {
    for bad in &end.damaged {
        damage(path, format!("bytes {} to {}: no valid frame", bad.start, bad.end));
    }
}
