//! Telling a torn tail from a damaged middle.
//!
//! A power cut may leave any part of the last, unsynced batch: some of its sectors, in any order.
//! So a bad frame that is followed by good ones need not be damage; those may be later frames of
//! the same batch. What tells them apart is in the frames: each carries the last sequence that was
//! synced when it was written. If any frame behind the bad place was written after that place had
//! been synced, then the place was good once, and its loss is damage. If none was, nobody was ever
//! told that the bad frame is on the disk, and it may be cut.
//!
//! The limit: damage to the very last batch looks like a torn tail as long as nothing follows it.
//! Opening a store therefore moves everything into a new snapshot, and what a node has seen of the
//! store shows it if a batch that was acknowledged is gone.

use super::format::{ALIGNMENT, FRAME_HEADER_BYTES, Frame, HEADER_BYTES, Malformed, decode_frame};

/// What a segment's bytes hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Scanned<'b> {
    /// The good frames, in order.
    pub frames: Vec<Frame<'b>>,
    /// Where they end.
    pub end: usize,
    /// The torn tail behind them, if there is one.
    pub torn: Option<Torn>,
}

/// A torn tail: the remains of a batch that was never acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The offset of the first bad byte's frame.
    pub offset: usize,
    /// The sequence that should stand there.
    pub sequence: u64,
    /// Why that frame is bad.
    pub why: Malformed,
}

/// Damage inside a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The offset of the bad frame.
    pub offset: usize,
    /// The sequence that should stand there.
    pub sequence: u64,
    /// What is wrong, and how we know that it was good once.
    pub what: String,
}

/// Reads the frames of a whole segment (`bytes` begins with its header). `last_sequence` and
/// `seed` are the header's.
///
/// # Errors
/// [`Damage`] if a frame that had been synced is not good any more, or the frames do not follow
/// one another.
pub fn scan_segment(bytes: &[u8], last_sequence: u64, seed: u32) -> Result<Scanned<'_>, Damage> {
    let mut scanned = Scanned { frames: Vec::new(), end: HEADER_BYTES, torn: None };
    let (mut last, mut durable) = (last_sequence, last_sequence);
    loop {
        let rest = bytes.get(scanned.end..).unwrap_or_default();
        if rest.iter().all(|byte| *byte == 0) {
            return Ok(scanned);
        }
        let (offset, sequence) = (scanned.end, last.saturating_add(1));
        match decode_frame(rest, seed) {
            Ok((frame, length)) => {
                let follows = frame.sequence == sequence;
                if !follows || frame.durable_through < durable || frame.durable_through > last {
                    let what = format!(
                        "a good frame with sequence {} (durable through {}); expected sequence {sequence} (durable through {durable} to {last})",
                        frame.sequence, frame.durable_through
                    );
                    return Err(Damage { offset, sequence, what });
                }
                (last, durable) = (frame.sequence, frame.durable_through);
                scanned.frames.push(frame);
                scanned.end += length;
            }
            Err(why) => match proof_of_sync(rest, sequence, seed) {
                Some((at, later)) => {
                    let what = format!(
                        "{why}; but the frame at offset {} (sequence {}) says that everything through {} was synced",
                        offset + at,
                        later.sequence,
                        later.durable_through
                    );
                    return Err(Damage { offset, sequence, what });
                }
                None => {
                    scanned.torn = Some(Torn { offset, sequence, why });
                    return Ok(scanned);
                }
            },
        }
    }
}

/// A good frame anywhere behind the bad place which says that `sequence` had been synced.
fn proof_of_sync(rest: &[u8], sequence: u64, seed: u32) -> Option<(usize, Frame<'_>)> {
    for at in (ALIGNMENT..rest.len().saturating_sub(FRAME_HEADER_BYTES - 1)).step_by(ALIGNMENT) {
        let candidate = rest.get(at..).unwrap_or_default();
        // Decoding looks at the lengths before it computes a checksum, so this costs little.
        if let Ok((frame, _)) = decode_frame(candidate, seed)
            && frame.durable_through >= sequence
        {
            return Some((at, frame));
        }
    }
    None
}
