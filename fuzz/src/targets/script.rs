//! Inputs for machines: a list of steps, each a verb, who, and bytes with their length before them.

use std::fmt;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// A connection is made.
    Connect,
    /// A connection ends.
    Gone,
    /// Time passes.
    Wait,
    /// The program starts again on what it stored.
    Restart,
    /// Something is said.
    Say,
}

const VERBS: [Verb; 8] =
    [Verb::Connect, Verb::Gone, Verb::Wait, Verb::Restart, Verb::Say, Verb::Say, Verb::Say, Verb::Say];

/// Steps that are taken, at most: what is said after them only takes time.
const STEPS_MAX: usize = 64;

/// The steps of an input; it ends where the bytes do.
#[derive(Clone, Debug)]
pub struct Script<'b> {
    rest: &'b [u8],
    left: usize,
}

impl<'b> Script<'b> {
    /// The steps of an input.
    #[must_use]
    pub const fn new(rest: &'b [u8]) -> Self {
        Self { rest, left: STEPS_MAX }
    }
}

impl<'b> Iterator for Script<'b> {
    type Item = (Verb, u8, &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (&[verb, who, low, high], rest) = self.rest.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
        let (bytes, rest) = rest.split_at(length);
        self.rest = rest;
        let verb = VERBS.get(usize::from(verb) % VERBS.len())?;
        Some((*verb, who, bytes))
    }
}

/// One step as bytes.
#[must_use]
pub fn put(verb: Verb, who: u8, bytes: &[u8]) -> Vec<u8> {
    let at = VERBS.iter().position(|known| *known == verb).unwrap_or(0);
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_le_bytes();
    [&[at.to_le_bytes()[0], who, length[0], length[1]], bytes].concat()
}

/// The names with which a value begins: which variant it is.
#[must_use]
pub fn first_words(value: &impl fmt::Debug) -> String {
    let shown = format!("{value:?}");
    let names = shown.split(|c: char| !c.is_alphabetic()).filter(|word| word.starts_with(char::is_uppercase));
    names.take(2).collect::<Vec<_>>().join(" ")
}
