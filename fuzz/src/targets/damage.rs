//! Damage to files: changed bits, lost sectors, cuts.

/// One piece of damage.
#[derive(Clone, Copy, Debug)]
pub enum Damage {
    /// Bits of one byte are the other way round.
    Xor {
        /// Where.
        offset: u16,
        /// Which.
        mask: u8,
    },
    /// Bytes are zero.
    Zero {
        /// From where.
        offset: u16,
        /// How many.
        length: u8,
    },
    /// The file ends early.
    Cut {
        /// Where.
        offset: u16,
    },
    /// The file is longer.
    Grow {
        /// By how much.
        length: u8,
    },
    /// Bytes stand somewhere else as well.
    Copy {
        /// From where.
        offset: u16,
        /// How many bytes further.
        by: u8,
    },
}

/// How many bytes are copied: a frame, about.
const COPY_BYTES: usize = 48;

/// Pieces of damage that are looked at.
const PIECES_MAX: usize = 4;

impl Damage {
    /// Does it.
    pub fn apply(self, bytes: &mut Vec<u8>) {
        let length_of_all = bytes.len();
        match self {
            Self::Xor { offset, mask } => {
                if let Some(byte) = bytes.get_mut(usize::from(offset)) {
                    *byte ^= mask;
                }
            }
            Self::Zero { offset, length } => {
                bytes
                    .iter_mut()
                    .skip(usize::from(offset))
                    .take(usize::from(length))
                    .for_each(|byte| *byte = 0);
            }
            Self::Cut { offset } => bytes.truncate(usize::from(offset)),
            Self::Grow { length } => bytes.resize(length_of_all + usize::from(length), 0),
            Self::Copy { offset, by } => {
                let from = usize::from(offset);
                let piece: Vec<u8> = bytes.iter().skip(from).take(COPY_BYTES).copied().collect();
                for (to, byte) in bytes.iter_mut().skip(from + usize::from(by)).zip(piece) {
                    *to = byte;
                }
            }
        }
    }
}

/// Which file and what, as bytes.
#[must_use]
pub fn put(file: u8, damage: Damage) -> Vec<u8> {
    let (kind, offset, number) = match damage {
        Damage::Xor { offset, mask } => (0, offset, mask),
        Damage::Zero { offset, length } => (1, offset, length),
        Damage::Cut { offset } => (2, offset, 0),
        Damage::Grow { length } => (3, 0, length),
        Damage::Copy { offset, by } => (4, offset, by),
    };
    let offset = offset.to_le_bytes();
    vec![file, kind, offset[0], offset[1], number]
}

/// No damage.
#[must_use]
pub const fn none() -> Vec<u8> {
    Vec::new()
}

/// What the bytes say, with the number of the file.
pub fn all(bytes: &[u8]) -> impl Iterator<Item = (u8, Damage)> + '_ {
    let piece = |piece: &[u8]| {
        let &[file, kind, low, high, number] = piece else { return None };
        let offset = u16::from_le_bytes([low, high]);
        let damage = match kind % 5 {
            0 => Damage::Xor { offset, mask: number },
            1 => Damage::Zero { offset, length: number },
            2 => Damage::Cut { offset },
            3 => Damage::Grow { length: number },
            _ => Damage::Copy { offset, by: number },
        };
        Some((file & 1, damage))
    };
    bytes.chunks_exact(5).take(PIECES_MAX).filter_map(piece)
}
