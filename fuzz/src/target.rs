//! What a target is.

use std::collections::BTreeSet;
use std::fmt;

#[cfg(test)]
mod tests;

/// How a target took an input: the same answer in other words for the same place of the code.
///
/// The engine keeps an input whose answer is new.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answer(String);

impl Answer {
    /// The answer in words. What stands in quotes does not count, and no word that is a number in any notation:
    /// an error that shows the input or an offset would be another answer for every input.
    #[must_use]
    pub fn new(words: impl fmt::Display) -> Self {
        let (mut kept, mut word) = (String::new(), String::new());
        let (mut is_quoted, mut is_escaped) = (false, false);
        for letter in words.to_string().chars().chain([' ']) {
            if is_quoted {
                is_quoted = is_escaped || letter != '"';
                is_escaped = letter == '\\' && !is_escaped;
            } else if letter.is_alphanumeric() {
                word.push(letter);
            } else {
                let is_number = word.contains(|c: char| c.is_numeric())
                    || word.bytes().all(|byte| byte.is_ascii_hexdigit());
                kept.push_str(if is_number { "" } else { &word });
                word.clear();
                kept.push(letter);
                is_quoted = letter == '"';
            }
        }
        Self(kept.trim_end().to_owned())
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
        {
            let holds: bool = $holds;
            if !holds {
                return Err($crate::target::Broken(format!($($words)+)));
            }
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
