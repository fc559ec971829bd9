//! Lines of `drbdsetup events2`, understood: text in, [`Line`] out.
//!
//! A line is an optional time, a verb, an object and `key:value` words:
//!
//! ```text
//! 2026-03-01T10:00:00.000000+00:00 change resource name:r0 role:Primary suspended:fencing
//! ```
//! Words that are not known are kept and mean nothing: newer tools print more of them. A verb or an object that is not
//! known is an error, because it could be a change that we do not see.

use std::collections::BTreeMap;
use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

/// The longest line that is read; the tools print a few hundred bytes.
pub const LINE_BYTES_MAX: usize = 16 * 1024;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Part of the full state at the start.
    Exists,
    /// There is a new object.
    Create,
    /// An object has other values; only those are named.
    Change,
    /// An object is gone.
    Destroy,
    /// A helper is called, or has answered.
    Helper,
    /// An object has another name.
    Rename,
}

/// To what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// The resource.
    Resource,
    /// A connection to a peer.
    Connection,
    /// A local disk.
    Device,
    /// A peer's disk.
    PeerDevice,
    /// One network path of a connection.
    Path,
    /// A program that the kernel runs.
    Helper,
    /// The full state has been told.
    End,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What happened.
    pub verb: Verb,
    /// To what.
    pub object: Object,
    /// The words.
    pub words: BTreeMap<String, String>,
}

impl Line {
    /// The value of a word.
    #[must_use]
    pub fn word(&self, key: &str) -> Option<&str> {
        self.words.get(key).map(String::as_str)
    }

    /// The number that a word is, if it is one.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u32> {
        let digits = self.word(key).filter(|word| word.bytes().all(|digit| digit.is_ascii_digit()));
        digits?.parse().ok()
    }
}

/// Reads on to the next line that says something; none where the stream ends.
///
/// # Errors
/// A line that has no end, is too long or is not understood: what it changed is not known.
pub async fn next(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Line>> {
    let most = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    // Ends with the stream, or with a line that is not empty.
    loop {
        line.clear();
        if (&mut *stream).take(most).read_until(b'\n', &mut line).await? == 0 {
            return Ok(None);
        }
        if line.pop() != Some(b'\n') {
            return Err(io::Error::other("a line has no end"));
        }
        let text = core::str::from_utf8(&line).map_err(io::Error::other)?;
        if let Some(line) = parse(text).map_err(io::Error::other)? {
            return Ok(Some(line));
        }
    }
}

/// Understands one line; none for an empty one.
///
/// # Errors
/// What is not understood, with the line.
pub fn parse(line: &str) -> Result<Option<Line>, String> {
    let mut words = line.split_ascii_whitespace().peekable();
    // With --timestamps the time comes first; no verb has a colon.
    let _time = words.next_if(|word| word.contains(':'));
    let Some(verb) = words.next() else { return Ok(None) };
    let verb = match verb {
        "exists" => Verb::Exists,
        "create" => Verb::Create,
        "change" => Verb::Change,
        "destroy" => Verb::Destroy,
        "call" | "response" => Verb::Helper,
        "rename" => Verb::Rename,
        other => return Err(format!("events2: the verb {other:?} is not known: {line:?}")),
    };
    let object = match words.next() {
        Some("resource") => Object::Resource,
        Some("connection") => Object::Connection,
        Some("device") => Object::Device,
        Some("peer-device") => Object::PeerDevice,
        Some("path") => Object::Path,
        Some("helper") => Object::Helper,
        Some("-") => Object::End,
        other => return Err(format!("events2: the object {other:?} is not known: {line:?}")),
    };
    let said = words
        .filter_map(|word| word.split_once(':'))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let understood = Line { verb, object, words: said };
    // Of which volume it is, is a part of the change.
    if matches!(object, Object::Device | Object::PeerDevice) && understood.number("volume").is_none() {
        return Err(format!("events2: no volume has this number: {line:?}"));
    }
    Ok(Some(understood))
}
