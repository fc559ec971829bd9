//! What a target is.

use std::collections::BTreeSet;
use std::fmt;

/// How a target took an input: the same answer in other words for the same place of the code.
///
/// The engine keeps an input whose answer is new. Numbers in the words are left out, so that an error that tells an
/// offset is one answer and not thousands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answer(String);

impl Answer {
    /// The answer in words; digits, and what is in quotes, do not count.
    #[must_use]
    pub fn new(words: impl fmt::Display) -> Self {
        let mut kept = String::new();
        let mut quoted = false;
        for letter in words.to_string().chars() {
            if letter == '"' {
                quoted = !quoted;
            }
            if !quoted && !letter.is_ascii_digit() {
                kept.push(letter);
            }
        }
        Self(kept)
    }

    /// Several answers of one input, each of which counts once.
    #[must_use]
    pub fn all(words: &BTreeSet<String>) -> Self {
        Self::new(words.iter().map(String::as_str).collect::<Vec<_>>().join("; "))
    }

    /// The words.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.0
    }
}

/// A property that did not hold, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Breaks off with a [`Broken`] unless the condition holds.
#[macro_export]
macro_rules! must {
    ($holds:expr, $($words:tt)+) => {
        if !$holds {
            return Err($crate::target::Broken(format!($($words)+)));
        }
    };
}

/// One room that reads what others wrote, and what must hold for every input.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// What is read, and the property, in one line.
    pub about: &'static str,
    /// Good inputs, made by the product's own code.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words that mutants are made with.
    pub words: &'static [&'static str],
    /// Takes an input and checks the property.
    pub check: fn(&[u8]) -> Result<Answer, Broken>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
