//! Making an input out of others.

use crate::rng::Rng;

/// The longest input that is made: far beyond what any target needs to be led everywhere.
pub const INPUT_BYTES_MAX: usize = 64 * 1024;

/// Mutations on top of each other, at most; more of them only make noise.
const STEPS_MAX: usize = 6;

/// Bytes that something is inserted or repeated with, at most.
const PIECE_BYTES_MAX: usize = 64;

/// Numbers at which programs go wrong, in the widths that they are written in.
const NUMBERS: [u64; 14] =
    [0, 1, 2, 16, 17, 127, 128, 255, 65_535, 65_536, 0x7fff_ffff, 0xffff_ffff, i64::MAX as u64, u64::MAX];

/// A mutant of one of the corpus, with pieces of the others and of `words`.
pub fn mutant(rng: &mut Rng, corpus: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut bytes = rng.pick(corpus).cloned().unwrap_or_default();
    for _ in 0..=rng.below(STEPS_MAX) {
        step(rng, &mut bytes, corpus, words);
    }
    bytes.truncate(INPUT_BYTES_MAX);
    bytes
}

fn step(rng: &mut Rng, bytes: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&str]) {
    let at = rng.below(bytes.len() + 1);
    match rng.below(12) {
        0 => flip(rng, bytes, at),
        1 => overwrite(bytes, at, &[rng.byte()]),
        2 => insert(bytes, at, &[rng.byte()]),
        3 => remove(bytes, at, 1),
        4 => remove(bytes, at, rng.below(PIECE_BYTES_MAX)),
        5 => bytes.truncate(at),
        6 => number(rng, bytes, at),
        7 => varint(rng, bytes, at),
        8 => word(rng, bytes, at, words),
        9 => repeat(rng, bytes, at),
        10 => splice(rng, bytes, at, corpus),
        _ => nudge(rng, bytes, at),
    }
}

fn flip(rng: &mut Rng, bytes: &mut [u8], at: usize) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << rng.below(8);
    }
}

/// A byte a little larger or smaller: lengths and digits that almost fit.
fn nudge(rng: &mut Rng, bytes: &mut [u8], at: usize) {
    let by = rng.byte() % 9;
    if let Some(byte) = bytes.get_mut(at) {
        *byte = byte.wrapping_add(by).wrapping_sub(4);
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    if at <= bytes.len() && bytes.len() + piece.len() <= INPUT_BYTES_MAX {
        bytes.splice(at..at, piece.iter().copied());
    }
}

fn overwrite(bytes: &mut [u8], at: usize, piece: &[u8]) {
    for (to, from) in bytes.iter_mut().skip(at).zip(piece) {
        *to = *from;
    }
}

fn remove(bytes: &mut Vec<u8>, at: usize, length: usize) {
    let end = (at + length).min(bytes.len());
    if at < end {
        bytes.drain(at..end);
    }
}

/// A number in one of the widths and orders, over what was there or between.
fn number(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let value = *rng.pick(&NUMBERS).unwrap_or(&0);
    let (little, big) = (value.to_le_bytes(), value.to_be_bytes());
    let width = 1 << rng.below(4);
    let piece = if rng.below(2) == 0 { little.get(..width) } else { big.get(8 - width..) };
    let piece = piece.unwrap_or_default();
    if rng.below(3) == 0 { insert(bytes, at, piece) } else { overwrite(bytes, at, piece) }
}

/// A number as protocol buffers have it, in place of what stands there.
fn varint(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let mut value = if rng.below(2) == 0 { *rng.pick(&NUMBERS).unwrap_or(&0) } else { rng.bits() };
    let mut piece = Vec::new();
    while value > 127 {
        piece.push(value.to_le_bytes()[0] | 128);
        value >>= 7;
    }
    piece.push(value.to_le_bytes()[0]);
    let old = bytes.iter().skip(at).take_while(|byte| **byte > 127).count() + 1;
    remove(bytes, at, old);
    insert(bytes, at, &piece);
}

fn word(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize, words: &[&str]) {
    let Some(word) = rng.pick(words) else { return flip(rng, bytes, at) };
    if rng.below(2) == 0 { insert(bytes, at, word.as_bytes()) } else { overwrite(bytes, at, word.as_bytes()) }
}

fn repeat(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let end = (at + rng.below(PIECE_BYTES_MAX)).min(bytes.len());
    let piece = bytes.get(at..end).unwrap_or_default().to_vec();
    for _ in 0..=rng.below(4) {
        insert(bytes, at, &piece);
    }
}

/// A piece of another input: between what is here, or from here to its end.
fn splice(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize, corpus: &[Vec<u8>]) {
    let Some(other) = rng.pick(corpus) else { return };
    let from = rng.below(other.len());
    if rng.below(2) == 0 {
        bytes.truncate(at);
        bytes.extend(other.get(from..).unwrap_or_default());
    } else {
        let end = (from + rng.below(PIECE_BYTES_MAX)).min(other.len());
        insert(bytes, at, other.get(from..end).unwrap_or_default());
    }
}
