//! What was found so far, in a file to which each verdict is added as soon as it is known.
//!
//! A fault that was noticed stays noticed until its file changes. One that nothing noticed is tried again when any of
//! the code or of its tests has changed.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

/// What became of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Tests failed.
    Caught,
    /// Tests did not end.
    TimedOut,
    /// Nothing noticed.
    Survived,
    /// It does not compile.
    Unviable,
}

const WORDS: [(Verdict, &str); 4] = [
    (Verdict::Caught, "caught"),
    (Verdict::TimedOut, "timed-out"),
    (Verdict::Survived, "survived"),
    (Verdict::Unviable, "unviable"),
];

/// The results.
#[derive(Debug)]
pub struct Book {
    found: BTreeMap<(String, String), (Verdict, String)>,
    file: File,
}

impl Book {
    /// Opens the file and reads what is in it. A last line that was cut off does not count.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn open(path: &Path) -> Result<Self, String> {
        let told = |error| format!("{}: {error}", path.display());
        let text = if path.exists() { std::fs::read_to_string(path).map_err(told)? } else { String::new() };
        let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(told)?;
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n").map_err(told)?;
        }
        Ok(Self { found: text.lines().filter_map(parse).collect(), file })
    }

    /// What is known of a fault, by the sum that its verdict holds for.
    #[must_use]
    pub fn get(&self, sum: &str, name: &str) -> Option<(Verdict, &str)> {
        let (verdict, by) = self.found.get(&(sum.to_owned(), name.to_owned()))?;
        Some((*verdict, by))
    }

    /// Writes a verdict down, and what it came from.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, sum: &str, name: &str, verdict: Verdict, by: &str) -> Result<(), String> {
        let word = WORDS.iter().find(|(known, _)| *known == verdict).map_or("", |(_, word)| word);
        writeln!(self.file, "{sum}\t{word}\t{by}\t{name}")
            .map_err(|error| format!("the results: {error}"))?;
        self.found.insert((sum.to_owned(), name.to_owned()), (verdict, by.to_owned()));
        Ok(())
    }
}

fn parse(line: &str) -> Option<((String, String), (Verdict, String))> {
    let mut parts = line.splitn(4, '\t');
    let (sum, word, by, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let verdict = WORDS.iter().find(|(_, known)| *known == word)?.0;
    Some(((sum.to_owned(), name.to_owned()), (verdict, by.to_owned())))
}
