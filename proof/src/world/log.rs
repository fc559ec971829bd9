//! The event log: what happened, readable, the same for the same seed.

use super::clock::Time;
use std::fmt;

/// The log. Off, it costs nothing: lines are made only when it is on.
#[derive(Clone, Debug, Default)]
pub struct Log {
    on: bool,
    lines: Vec<String>,
    /// What happened, told for people; the same moments in fewer words.
    story: Vec<String>,
    digest: u64,
}

impl Log {
    /// A log that keeps its lines, or none.
    #[must_use]
    pub const fn new(on: bool) -> Self {
        Self { on, lines: Vec::new(), story: Vec::new(), digest: 0xcbf2_9ce4_8422_2325 }
    }

    /// Whether lines are kept.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.on
    }

    /// Adds a line, made only when the log is on.
    pub fn line(&mut self, now: Time, who: impl fmt::Display, what: impl FnOnce() -> String) {
        if self.on {
            self.lines.push(format!("{now} {who:<4} {}", what()));
        }
    }

    /// Tells people something, made only when the log is on.
    pub fn tell(&mut self, now: Time, what: impl FnOnce() -> String) {
        self.tell_of(now, || Some(what()));
    }

    /// The same for something that may not be worth telling.
    pub fn tell_of(&mut self, now: Time, what: impl FnOnce() -> Option<String>) {
        if self.on
            && let Some(what) = what()
        {
            self.story.push(format!("{now} s  {what}"));
        }
    }

    /// What was told.
    #[must_use]
    pub fn story(&self) -> &[String] {
        &self.story
    }

    /// Mixes a number into the digest, that tells whether two runs were the same.
    pub const fn mix(&mut self, number: u64) {
        self.digest = (self.digest ^ number).wrapping_mul(0x0000_0100_0000_01b3);
    }

    /// The digest of all events so far.
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// The lines.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}
