//! What stands in the store's files: pure functions between bytes and meaning.
//!
//! Contract: decoding takes any bytes, never panics, never allocates more than it was given, and
//! accepts only what encoding makes. All numbers are little-endian.
//!
//! ```text
//! header (64 bytes) of a segment or snapshot
//!    0 magic 8 | 8 schema 2 | 10 zero 6 | 16 store id 16 | 32 generation 8 | 40 last sequence 8
//!   48 amount 8 (segment: length of the file; snapshot: number of frames) | 56 zero 4 | 60 crc32c 4
//!
//! frame (a multiple of 8 bytes)
//!    0 length 4 | 4 crc32c 4 | 8 sequence 8 | 16 durable through 8 | 24 key length 2 | 26 zero 2
//!   28 record length 4 | 32 key | record | zeros
//! ```
//!
//! A frame's checksum starts from its file's header checksum, so a frame of another file, store or
//! generation never passes for one of this file.

/// The length of a file's header.
pub const HEADER_BYTES: usize = 64;
/// The length of a frame before its key.
pub const FRAME_HEADER_BYTES: usize = 32;
/// The longest key: a cluster's name, with room.
pub const KEY_BYTES_MAX: usize = 255;
/// The longest record. A cluster's state has some hundred bytes per volume and node.
pub const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The version of all that is described here.
pub const SCHEMA: u16 = 1;
/// Frames begin at multiples of this.
pub const ALIGNMENT: usize = 8;

/// Which kind of file a header belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Frames in the order of their commits, then zeros.
    Segment,
    /// The latest frame of every key, nothing else.
    Snapshot,
}

impl Kind {
    const fn magic(self) -> [u8; 8] {
        match self {
            Self::Segment => *b"PKTWLOG\n",
            Self::Snapshot => *b"PKTWSNP\n",
        }
    }

    /// The word in file names and messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Snapshot => "snapshot",
        }
    }
}

/// The beginning of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Segment or snapshot.
    pub kind: Kind,
    /// The store's identity, made at its creation.
    pub store_id: [u8; 16],
    /// Counts the snapshots; a segment has the number of the snapshot that it follows.
    pub generation: u64,
    /// The last sequence number before this segment, or in this snapshot.
    pub last_sequence: u64,
    /// Segment: the length of the file. Snapshot: the number of its frames.
    pub amount: u64,
}

/// One record as it stands in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'b> {
    /// Counts all appended records of the store, from 1.
    pub sequence: u64,
    /// The last sequence that was on the disk when this frame was written.
    pub durable_through: u64,
    /// Whose record it is.
    pub key: &'b str,
    /// The record.
    pub record: &'b [u8],
}

/// Why bytes are no header or frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// There are not enough bytes.
    #[error("{found} bytes; expected at least {needed}")]
    Short {
        /// How many there are.
        found: usize,
        /// How many are needed.
        needed: usize,
    },
    /// The file begins with something else.
    #[error("it begins with \"{}\"; expected \"{}\"", found.escape_ascii(), expected.escape_ascii())]
    Magic {
        /// What is there.
        found: [u8; 8],
        /// What should be.
        expected: [u8; 8],
    },
    /// The checksum does not fit.
    #[error("checksum {computed:08x}; {stored:08x} is written there")]
    Checksum {
        /// Over what was read.
        computed: u32,
        /// What was written.
        stored: u32,
    },
    /// Another version wrote it.
    #[error("schema {found}; this program reads schema {SCHEMA}")]
    Schema {
        /// The version found.
        found: u16,
    },
    /// A length that no frame has.
    #[error("a frame of {length} bytes with a key of {key} and a record of {record}")]
    Lengths {
        /// Of the frame.
        length: usize,
        /// Of the key.
        key: usize,
        /// Of the record.
        record: usize,
    },
    /// The key is not text.
    #[error("a key that is not text")]
    Key,
    /// Something stands where zeros should.
    #[error("bytes that should be zero are not")]
    NotZero,
}

/// The bytes of a header, and the checksum that its frames start from.
#[must_use]
pub fn encode_header(header: &Header) -> (Vec<u8>, u32) {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    bytes.extend(header.kind.magic());
    bytes.extend(SCHEMA.to_le_bytes());
    bytes.extend([0; 6]);
    bytes.extend(header.store_id);
    bytes.extend(header.generation.to_le_bytes());
    bytes.extend(header.last_sequence.to_le_bytes());
    bytes.extend(header.amount.to_le_bytes());
    bytes.extend([0; 4]);
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend(checksum.to_le_bytes());
    (bytes, checksum)
}

/// The header at the beginning of `bytes`, and the checksum that its frames start from.
///
/// # Errors
/// See [`Malformed`].
pub fn decode_header(kind: Kind, bytes: &[u8]) -> Result<(Header, u32), Malformed> {
    let short = Malformed::Short { found: bytes.len(), needed: HEADER_BYTES };
    let mut rest = Bytes(bytes.get(..HEADER_BYTES).ok_or(short.clone())?);
    let magic = rest.take::<8>().ok_or(short.clone())?;
    if magic != kind.magic() {
        return Err(Malformed::Magic { found: magic, expected: kind.magic() });
    }
    let stored = u32::from_le_bytes(tail(bytes, HEADER_BYTES).ok_or(short.clone())?);
    let computed = crc32c::crc32c(bytes.get(..HEADER_BYTES - 4).unwrap_or_default());
    if computed != stored {
        return Err(Malformed::Checksum { computed, stored });
    }
    let schema = u16::from_le_bytes(rest.take().ok_or(short.clone())?);
    if schema != SCHEMA {
        return Err(Malformed::Schema { found: schema });
    }
    let zeros = rest.take::<6>().ok_or(short.clone())?;
    let store_id = rest.take().ok_or(short.clone())?;
    let generation = u64::from_le_bytes(rest.take().ok_or(short.clone())?);
    let last_sequence = u64::from_le_bytes(rest.take().ok_or(short.clone())?);
    let amount = u64::from_le_bytes(rest.take().ok_or(short.clone())?);
    let more_zeros = rest.take::<4>().ok_or(short)?;
    if zeros != [0; 6] || more_zeros != [0; 4] {
        return Err(Malformed::NotZero);
    }
    Ok((Header { kind, store_id, generation, last_sequence, amount }, stored))
}

/// The length that a frame with this key and record has.
#[must_use]
pub const fn frame_length(key_bytes: usize, record_bytes: usize) -> usize {
    (FRAME_HEADER_BYTES + key_bytes + record_bytes).next_multiple_of(ALIGNMENT)
}

/// Appends a frame to `into`. Key and record must be within their limits (the store checks them).
pub fn encode_frame(frame: &Frame<'_>, seed: u32, into: &mut Vec<u8>) {
    let length = frame_length(frame.key.len(), frame.record.len());
    let start = into.len();
    let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let mut body = Vec::with_capacity(length - 8);
    body.extend(frame.sequence.to_le_bytes());
    body.extend(frame.durable_through.to_le_bytes());
    body.extend(u16::try_from(frame.key.len()).unwrap_or(u16::MAX).to_le_bytes());
    body.extend([0; 2]);
    body.extend(number(frame.record.len()).to_le_bytes());
    body.extend(frame.key.as_bytes());
    body.extend(frame.record);
    body.resize(length - 8, 0);
    into.extend(number(length).to_le_bytes());
    into.extend(checksum(seed, number(length), &body).to_le_bytes());
    into.extend(body);
    debug_assert_eq!(into.len() - start, length, "a frame is as long as it says");
}

/// The frame at the beginning of `bytes`, and its length.
///
/// # Errors
/// See [`Malformed`].
pub fn decode_frame(bytes: &[u8], seed: u32) -> Result<(Frame<'_>, usize), Malformed> {
    let short = |needed| Malformed::Short { found: bytes.len(), needed };
    let mut head = Bytes(bytes.get(..FRAME_HEADER_BYTES).ok_or_else(|| short(FRAME_HEADER_BYTES))?);
    let missing = || short(FRAME_HEADER_BYTES);
    let length_word = u32::from_le_bytes(head.take().ok_or_else(missing)?);
    let stored = u32::from_le_bytes(head.take().ok_or_else(missing)?);
    let sequence = u64::from_le_bytes(head.take().ok_or_else(missing)?);
    let durable_through = u64::from_le_bytes(head.take().ok_or_else(missing)?);
    let key_bytes = usize::from(u16::from_le_bytes(head.take().ok_or_else(missing)?));
    let zeros = head.take::<2>().ok_or_else(missing)?;
    let record_word = u32::from_le_bytes(head.take().ok_or_else(missing)?);
    let length = usize::try_from(length_word).unwrap_or(usize::MAX);
    let record_bytes = usize::try_from(record_word).unwrap_or(usize::MAX);
    let is_possible = key_bytes <= KEY_BYTES_MAX
        && record_bytes <= RECORD_BYTES_MAX
        && length == frame_length(key_bytes, record_bytes);
    if !is_possible {
        return Err(Malformed::Lengths { length, key: key_bytes, record: record_bytes });
    }
    let body = bytes.get(8..length).ok_or_else(|| short(length))?;
    let computed = checksum(seed, length_word, body);
    if computed != stored {
        return Err(Malformed::Checksum { computed, stored });
    }
    let content = body.get(FRAME_HEADER_BYTES - 8..).unwrap_or_default();
    let (key, rest) = content.split_at_checked(key_bytes).ok_or_else(|| short(length))?;
    let (record, padding) = rest.split_at_checked(record_bytes).ok_or_else(|| short(length))?;
    if zeros != [0; 2] || padding.iter().any(|byte| *byte != 0) {
        return Err(Malformed::NotZero);
    }
    let key = core::str::from_utf8(key).map_err(|_| Malformed::Key)?;
    Ok((Frame { sequence, durable_through, key, record }, length))
}

fn checksum(seed: u32, length: u32, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &length.to_le_bytes()), body)
}

/// Four bytes that end at `end`.
fn tail(bytes: &[u8], end: usize) -> Option<[u8; 4]> {
    bytes.get(end.checked_sub(4)?..end)?.try_into().ok()
}

/// Takes bytes off the front.
struct Bytes<'b>(&'b [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }
}
