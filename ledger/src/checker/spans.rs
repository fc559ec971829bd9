//! When which node was active: by what it acknowledged, and by what it said.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{Epoch, NodeId};
use crate::store::accept::{AcceptEntry, Activity, Cause};

/// What a node acknowledged in an epoch. Times are CLOCK_BOOTTIME in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochSpan {
    /// The epoch.
    pub epoch: Epoch,
    /// The node.
    pub node: NodeId,
    /// When it took the first write that it acknowledged.
    pub first_received_ns: u64,
    /// When it acknowledged first.
    pub first_acked_ns: u64,
    /// When it acknowledged last.
    pub last_acked_ns: u64,
    /// How many writes.
    pub writes: u64,
}

/// Two nodes that were active at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DualActive {
    /// The older epoch, or either one if both are the same epoch.
    pub older: EpochSpan,
    /// The newer epoch.
    pub newer: EpochSpan,
    /// For how long the older one went on after the newer one had begun; 0 if only the epoch is the same.
    pub overlap_ns: u64,
}

/// A time in which a node said that it was writable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WritableSpan {
    /// The node.
    pub node: NodeId,
    /// Of its promotion.
    pub epoch: Epoch,
    /// From when.
    pub from_ns: u64,
    /// Until when; of a killed process, the last sign of it.
    pub to_ns: u64,
    /// What ended it; `None`: the process was killed, or runs.
    pub ended_by: Option<Cause>,
}

/// Two nodes that were writable at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BothWritable {
    /// Whoever was so first.
    pub first: WritableSpan,
    /// Whoever became so meanwhile.
    pub second: WritableSpan,
    /// For how long both were, at least; 0 if the second one was killed before it logged anything else.
    pub overlap_ns: u64,
}

/// The spans of all epochs, oldest epoch first.
pub(super) fn epochs<'a>(logs: impl Iterator<Item = (NodeId, &'a [AcceptEntry])>) -> Vec<EpochSpan> {
    let mut spans: BTreeMap<(Epoch, NodeId), EpochSpan> = BTreeMap::new();
    for (node, log) in logs {
        for entry in log {
            let AcceptEntry::Accepted { epoch, received_ns, acked_ns, .. } = entry else { continue };
            let span = spans.entry((*epoch, node)).or_insert(EpochSpan {
                epoch: *epoch,
                node,
                first_received_ns: *received_ns,
                first_acked_ns: *acked_ns,
                last_acked_ns: *acked_ns,
                writes: 0,
            });
            span.first_received_ns = span.first_received_ns.min(*received_ns);
            span.first_acked_ns = span.first_acked_ns.min(*acked_ns);
            span.last_acked_ns = span.last_acked_ns.max(*acked_ns);
            span.writes += 1;
        }
    }
    spans.into_values().collect()
}

/// Every pair that breaks the rule; `spans` is sorted by epoch.
pub(super) fn dual_active(spans: &[EpochSpan]) -> Vec<DualActive> {
    let mut found = Vec::new();
    for (at, older) in spans.iter().enumerate() {
        for newer in spans.iter().skip(at + 1).filter(|s| s.node != older.node) {
            let overlap_ns = older.last_acked_ns.saturating_sub(newer.first_received_ns);
            if overlap_ns > 0 || older.epoch == newer.epoch {
                found.push(DualActive { older: *older, newer: *newer, overlap_ns });
            }
        }
    }
    found
}

/// The times in which a node said that it was writable, from its log.
pub(super) fn writable(node: NodeId, log: &[AcceptEntry]) -> Vec<WritableSpan> {
    let mut spans: Vec<WritableSpan> = Vec::new();
    let mut open: Option<WritableSpan> = None;
    for entry in log {
        match entry {
            AcceptEntry::Accepted { acked_ns, .. } => {
                if let Some(span) = open.as_mut() {
                    span.to_ns = span.to_ns.max(*acked_ns);
                }
            }
            AcceptEntry::Transition { cause, now, epoch, at_ns } => {
                let goes_on = *now == Activity::Writable
                    && *cause != Cause::Started
                    && open.is_some_and(|s| s.epoch == *epoch);
                if goes_on {
                    continue;
                }
                if let Some(mut span) = open.take() {
                    // A start tells that the process before it was killed, not when.
                    if *cause != Cause::Started {
                        span.to_ns = *at_ns;
                        span.ended_by = Some(*cause);
                    }
                    spans.push(span);
                }
                if *now == Activity::Writable {
                    let (epoch, at) = (*epoch, *at_ns);
                    open = Some(WritableSpan { node, epoch, from_ns: at, to_ns: at, ended_by: None });
                }
            }
        }
    }
    spans.extend(open);
    spans
}

/// Every moment at which two nodes were writable; `spans` is sorted by their beginnings.
pub(super) fn both_writable(spans: &[WritableSpan]) -> Vec<BothWritable> {
    let mut found = Vec::new();
    for (at, first) in spans.iter().enumerate() {
        let meanwhile = spans.iter().skip(at + 1).take_while(|second| second.from_ns < first.to_ns);
        for second in meanwhile.filter(|second| second.node != first.node) {
            let overlap_ns = first.to_ns.min(second.to_ns).saturating_sub(second.from_ns);
            found.push(BothWritable { first: *first, second: *second, overlap_ns });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ClientId;

    fn accepted(epoch: u64, received_ns: u64, acked_ns: u64) -> AcceptEntry {
        AcceptEntry::Accepted {
            seq: 1,
            record_crc: 0,
            epoch: Epoch(epoch),
            client: ClientId(1),
            client_seq: 1,
            received_ns,
            acked_ns,
            repeated: false,
        }
    }

    fn turns(cause: Cause, now: Activity, at_ns: u64) -> AcceptEntry {
        AcceptEntry::Transition { cause, now, epoch: Epoch(1), at_ns }
    }

    fn found(a: &[AcceptEntry], b: &[AcceptEntry]) -> Vec<u64> {
        let spans = epochs([(NodeId(1), a), (NodeId(2), b)].into_iter());
        dual_active(&spans).iter().map(|d| d.overlap_ns).collect()
    }

    #[test]
    fn one_after_the_other_is_right_and_anything_else_is_found() {
        let a = [accepted(1, 10, 20), accepted(1, 30, 40)];
        assert_eq!(found(&a, &[accepted(2, 41, 50)]), [0u64; 0]);
        assert_eq!(found(&a, &[accepted(2, 35, 50)]), [5]);
        // The older epoch acknowledges after the newer one was done.
        assert_eq!(found(&[accepted(1, 100, 110)], &[accepted(2, 35, 50)]), [75]);
        // One epoch on two nodes.
        assert_eq!(found(&a, &[accepted(1, 60, 70)]), [0]);
        // There and back again.
        let back = [accepted(1, 10, 20), accepted(3, 60, 70)];
        assert_eq!(found(&back, &[accepted(2, 30, 50)]), [0u64; 0]);
        assert_eq!(found(&back, &[accepted(2, 30, 65)]), [5]);
    }

    #[test]
    fn writable_spans_end_with_their_cause_or_with_the_last_sign() {
        let log = [
            turns(Cause::Started, Activity::Inactive, 1),
            turns(Cause::Promoted, Activity::Writable, 2),
            accepted(1, 3, 4),
            turns(Cause::Frozen, Activity::Frozen, 5),
            turns(Cause::Thawed, Activity::Writable, 6),
            accepted(1, 7, 8),
            turns(Cause::Started, Activity::Inactive, 90),
        ];
        let spans = writable(NodeId(1), &log);
        let short: Vec<_> = spans.iter().map(|s| (s.from_ns, s.to_ns, s.ended_by)).collect();
        assert_eq!(short, [(2, 5, Some(Cause::Frozen)), (6, 8, None)]);
    }

    fn both(a: &[AcceptEntry], b: &[AcceptEntry]) -> Vec<(NodeId, u64)> {
        let mut spans = writable(NodeId(1), a);
        spans.extend(writable(NodeId(2), b));
        spans.sort_by_key(|span| span.from_ns);
        both_writable(&spans).iter().map(|both| (both.second.node, both.overlap_ns)).collect()
    }

    #[test]
    fn two_that_were_writable_at_once_are_found_although_nobody_wrote() {
        let from = |at_ns| turns(Cause::Promoted, Activity::Writable, at_ns);
        let until = |at_ns| turns(Cause::Demoted, Activity::Inactive, at_ns);
        assert_eq!(both(&[from(10), until(20)], &[from(20), until(30)]), []);
        assert_eq!(both(&[from(10), until(25)], &[from(20), until(30)]), [(NodeId(2), 5)]);
        assert_eq!(both(&[from(22), until(25)], &[from(20), until(30)]), [(NodeId(1), 3)]);
        // Killed before it logged anything else: it was writable for a moment at least.
        assert_eq!(both(&[from(10), until(25)], &[from(20)]), [(NodeId(2), 0)]);
        // Frozen meanwhile, and back afterwards.
        let frozen = turns(Cause::Frozen, Activity::Frozen, 15);
        let thawed = turns(Cause::Thawed, Activity::Writable, 40);
        assert_eq!(both(&[from(10), frozen, thawed, until(50)], &[from(20), until(30)]), []);
    }

    #[test]
    fn of_a_killed_one_its_acknowledgements_show_that_it_went_on() {
        let promoted = turns(Cause::Promoted, Activity::Writable, 10);
        let other =
            [turns(Cause::Promoted, Activity::Writable, 50), turns(Cause::Demoted, Activity::Inactive, 90)];
        assert_eq!(both(std::slice::from_ref(&promoted), &other), [], "it may have been killed at 11");
        assert_eq!(both(&[promoted, accepted(1, 60, 61)], &other), [(NodeId(2), 11)]);
    }
}
