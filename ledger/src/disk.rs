//! Checksummed frames in append-only files.
//!
//! A frame is `magic · length · crc · body`; the crc covers length and body. The magic lets a scan find
//! the next frame after damage, and with that tell a torn tail (nothing valid follows: a write that a
//! crash cut off, never acknowledged) from a damaged middle (something valid follows: data was lost).

use std::ops::Range;

/// Starts every frame.
const MAGIC: [u8; 4] = *b"PkLf";
/// Bytes before the body.
pub(crate) const HEAD: usize = 12;
/// The largest body: a record of the largest payload with its fields.
pub(crate) const BODY_MAX: usize = 80 * 1024;

/// Appends one frame and gives its crc.
pub(crate) fn put(out: &mut Vec<u8>, body: &[u8]) -> u32 {
    // The callers bound their bodies by BODY_MAX; a longer one would not be found again.
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    let crc = crc32c::crc32c_append(crc32c::crc32c(&len), body);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&len);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(body);
    crc
}

/// A valid frame in a buffer.
pub(crate) struct Frame<'a> {
    /// What it holds.
    pub(crate) body: &'a [u8],
    /// Over length and body.
    pub(crate) crc: u32,
    /// Where it starts.
    pub(crate) at: usize,
    /// Where the next one starts.
    pub(crate) next: usize,
}

fn word(buf: &[u8], at: usize) -> Option<[u8; 4]> {
    buf.get(at..at.checked_add(4)?)?.try_into().ok()
}

/// The frame at `at`, if there is a valid one.
pub(crate) fn frame_at(buf: &[u8], at: usize) -> Option<Frame<'_>> {
    if word(buf, at)? != MAGIC {
        return None;
    }
    let len_raw = word(buf, at + 4)?;
    let len = u32::from_le_bytes(len_raw) as usize;
    if len > BODY_MAX {
        return None;
    }
    let crc = u32::from_le_bytes(word(buf, at + 8)?);
    let next = at + HEAD + len;
    let body = buf.get(at + HEAD..next)?;
    let found = crc32c::crc32c_append(crc32c::crc32c(&len_raw), body);
    (found == crc).then_some(Frame { body, crc, at, next })
}

/// What a scan found besides valid frames.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ScanEnd {
    /// Where the valid data ends.
    pub(crate) good_end: usize,
    /// Bytes after it that hold no valid frame.
    pub(crate) torn: usize,
    /// Byte ranges without a valid frame that one follows.
    pub(crate) damaged: Vec<Range<usize>>,
}

/// Visits every valid frame from `start` on.
pub(crate) fn scan<'a>(buf: &'a [u8], start: usize, mut visit: impl FnMut(Frame<'a>)) -> ScanEnd {
    let mut end = ScanEnd { good_end: start, ..ScanEnd::default() };
    let mut at = start;
    while at < buf.len() {
        let frame = match frame_at(buf, at) {
            Some(frame) => frame,
            None => match next_valid(buf, at + 1) {
                Some(frame) => {
                    end.damaged.push(at..frame.at);
                    frame
                }
                None => {
                    end.torn = buf.len() - at;
                    return end;
                }
            },
        };
        at = frame.next;
        end.good_end = at;
        visit(frame);
    }
    end
}

fn next_valid(buf: &[u8], from: usize) -> Option<Frame<'_>> {
    (from..buf.len()).find_map(|at| frame_at(buf, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> (Vec<u8>, Vec<usize>) {
        let mut buf = Vec::new();
        let mut starts = Vec::new();
        for body in [b"one".as_slice(), b"two two", b"three three"] {
            starts.push(buf.len());
            put(&mut buf, body);
        }
        (buf, starts)
    }

    #[test]
    fn every_cut_of_the_tail_is_torn_and_never_damage() {
        let (buf, starts) = three();
        for cut in 0..buf.len() {
            let mut seen = 0;
            let end = scan(&buf[..cut], 0, |_| seen += 1);
            let whole = starts.iter().skip(1).filter(|s| **s <= cut).count();
            assert_eq!(seen, whole, "cut at {cut}");
            assert!(end.damaged.is_empty());
            assert_eq!(end.good_end + end.torn, cut);
        }
    }

    #[test]
    fn every_flipped_byte_of_the_middle_is_damage_and_of_the_end_is_torn() {
        let (buf, starts) = three();
        for at in 0..buf.len() {
            let mut bad = buf.clone();
            bad[at] ^= 0x41;
            let mut seen = 0;
            let end = scan(&bad, 0, |_| seen += 1);
            assert_eq!(seen, 2, "flip at {at}");
            if at < starts[2] {
                assert_eq!(end.damaged.len(), 1, "flip at {at}");
            } else {
                assert_eq!(end.torn, buf.len() - starts[2]);
            }
        }
    }
}
