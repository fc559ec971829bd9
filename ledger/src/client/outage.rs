//! How long nothing was acknowledged.

use serde::{Deserialize, Serialize};

use super::Ack;

/// The time without acknowledgements, as the client saw it. CLOCK_BOOTTIME in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// The fault that was asked about.
    pub fault_ns: u64,
    /// The longest time between two acknowledgements after the fault. It starts at the last one before
    /// the fault (or at the fault, if there is none) and may last until now.
    pub longest_gap_ns: u64,
    /// Start of that gap.
    pub gap_from_ns: u64,
    /// End of that gap.
    pub gap_to_ns: u64,
    /// Nothing came since: the gap is not over.
    pub open: bool,
    /// The last acknowledgement before the fault.
    pub before: Option<Ack>,
    /// The first one after the fault.
    pub first_after: Option<Ack>,
    /// The first one after the fault from another node than the last before it.
    pub first_by_other: Option<Ack>,
}

impl Outage {
    /// From acknowledgements in the order in which they came.
    #[must_use]
    pub fn since(acks: &[Ack], fault_ns: u64, now_ns: u64) -> Outage {
        let after = acks.partition_point(|a| a.seen_ns < fault_ns);
        let (earlier, later) = acks.split_at(after);
        let before = earlier.last().copied();
        let mut outage = Outage {
            fault_ns,
            longest_gap_ns: 0,
            gap_from_ns: fault_ns,
            gap_to_ns: fault_ns,
            open: false,
            before,
            first_after: later.first().copied(),
            first_by_other: later.iter().find(|a| before.is_some_and(|b| b.node != a.node)).copied(),
        };
        let mut from = before.map_or(fault_ns, |b| b.seen_ns);
        for to in later.iter().map(|a| a.seen_ns) {
            outage.consider(from, to, false);
            from = to;
        }
        outage.consider(from, now_ns, true);
        outage
    }

    fn consider(&mut self, from: u64, to: u64, open: bool) {
        let gap = to.saturating_sub(from);
        if gap > self.longest_gap_ns {
            self.longest_gap_ns = gap;
            self.gap_from_ns = from;
            self.gap_to_ns = to;
            self.open = open;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ClientId, Epoch, NodeId};

    fn ack(node: u8, seen_ns: u64) -> Ack {
        Ack {
            client: ClientId(1),
            client_seq: seen_ns,
            seq: seen_ns,
            epoch: Epoch(u64::from(node)),
            node: NodeId(node),
            sent_ns: 0,
            received_ns: 0,
            acked_ns: 0,
            seen_ns,
            repeated: false,
        }
    }

    #[test]
    fn the_gap_starts_at_the_last_acknowledgement_before_the_fault() {
        let acks = [ack(1, 10), ack(1, 500), ack(1, 510), ack(2, 800), ack(2, 810)];
        let outage = Outage::since(&acks, 512, 900);
        assert_eq!((outage.gap_from_ns, outage.gap_to_ns, outage.longest_gap_ns), (510, 800, 290));
        assert!(!outage.open);
        assert_eq!(outage.first_by_other.map(|a| a.seen_ns), Some(800));
        assert_eq!(outage.before.map(|a| a.seen_ns), Some(510));
    }

    #[test]
    fn an_unfinished_gap_is_open_and_nobody_took_over() {
        let outage = Outage::since(&[ack(1, 10)], 12, 900);
        assert_eq!((outage.longest_gap_ns, outage.open), (890, true));
        assert_eq!(outage.first_by_other, None);
        let nothing = Outage::since(&[], 100, 130);
        assert_eq!((nothing.gap_from_ns, nothing.gap_to_ns, nothing.open), (100, 130, true));
    }
}
