//! Which packets of a session were seen already.

/// How far behind the newest a packet may come, as the specification has it: 16 for IPMI 2.0. What is
/// older is late beyond use.
const BEHIND_MAX: u32 = 16;

/// The sequence numbers that were seen: the newest, and which of the 16 before it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    newest: Option<u32>,
    before: u32,
}

impl Window {
    /// Takes note of a packet whose authenticity is certain. False if it was seen before, or is too
    /// old to know. A jump ahead is fine: only the controller can make such a packet.
    pub(crate) fn admit(&mut self, sequence: u32) -> bool {
        let Some(newest) = self.newest else {
            self.newest = Some(sequence);
            return true;
        };
        // Sequence numbers go around; what is less than half the circle ahead is newer.
        let ahead = sequence.wrapping_sub(newest);
        if ahead == 0 {
            return false;
        }
        if ahead < u32::MAX / 2 {
            self.before = if ahead > BEHIND_MAX { 0 } else { (self.before << ahead) | 1 << (ahead - 1) };
            self.newest = Some(sequence);
            return true;
        }
        let behind = newest.wrapping_sub(sequence);
        if behind > BEHIND_MAX || self.before & (1 << (behind - 1)) != 0 {
            return false;
        }
        self.before |= 1 << (behind - 1);
        true
    }
}
