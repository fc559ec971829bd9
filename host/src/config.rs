//! Reading TOML with every error at once, each with its place.
//!
//! Idea: an operator fixes a file once, not once per error. So reading never stops: a value that
//! is wrong is noted and read as nothing, and only the end asks whether anything was noted. Keys
//! that nobody asked for are errors too, since a misspelt safety setting must not be silent.
//!
//! Contract: [`Document::finish`] gives the value only if the file has no error at all. Every
//! error reads `file:line:column: key.path: what is wrong; expected …`.
//!
//! ```
//! use picket_host::config::{Source, Unique, duration, name, socket_address};
//! # use std::{net::SocketAddr, time::Duration};
//! # struct Node { name: String, address: SocketAddr }
//! # struct Config { heartbeat: Duration, nodes: Vec<Node> }
//! # fn parse(source: &Source) -> Result<Config, picket_host::config::Diagnostics> {
//! let document = source.document();
//! let root = document.root();
//! let heartbeat = root.or("heartbeat", duration(), Duration::from_millis(100));
//! let mut nodes = Some(Vec::new());
//! let mut names = Unique::new();
//! for table in root.tables_required("node") {
//!     let name = table.required("name", name());
//!     let address = table.required("address", socket_address());
//!     names.add(&table, "name", name.as_ref());
//!     let node = name.zip(address).map(|(name, address)| Node { name, address });
//!     nodes = nodes.zip(node).map(|(mut nodes, node)| { nodes.push(node); nodes });
//! }
//! document.finish(nodes.map(|nodes| Config { heartbeat, nodes }))
//! # }
//! ```

use core::cell::RefCell;
use core::fmt;
use core::ops::Range;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

mod reader;
mod table;
#[cfg(test)]
mod tests;
mod words;

pub use reader::{
    HostPort, Reader, boolean, duration, duration_within, host_port, integer, ip_address, list_of, name,
    one_of, parse_duration, path, socket_address, string,
};
pub use table::{Table, Unique};
use words::{nearest, quoted};

/// One error in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1; 0 if the file could not be read at all.
    pub line: usize,
    /// The column in characters, from 1; 0 if the file could not be read at all.
    pub column: usize,
    /// Which key, for example `node[1].address`; empty if it is the file as a whole.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What was expected instead.
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:", self.file)?;
        if self.line > 0 {
            write!(formatter, "{}:{}:", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(formatter, " {}:", self.key)?;
        }
        write!(formatter, " {}; expected {}", self.what, self.expected)
    }
}

/// All errors of a file, in the order of their places. Displayed one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    /// Never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                writeln!(formatter)?;
            }
            write!(formatter, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// The text of a file.
#[derive(Debug, Clone)]
pub struct Source {
    file: String,
    text: String,
}

impl Source {
    /// Reads the file.
    ///
    /// # Errors
    /// The file cannot be read or is not UTF-8; one problem that says so.
    pub fn read(path: &Path) -> Result<Self, Diagnostics> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self { file, text }),
            Err(error) => {
                let (what, expected) =
                    (format!("cannot read it: {error}"), "a readable TOML file".to_owned());
                Err(Diagnostics {
                    problems: vec![Problem { file, line: 0, column: 0, key: String::new(), what, expected }],
                })
            }
        }
    }

    /// A text that is not read from a file; `file` is the name that errors show.
    pub fn from_text(file: impl Into<String>, text: impl Into<String>) -> Self {
        Self { file: file.into(), text: text.into() }
    }

    /// Parses the text. Errors of syntax are noted in the document.
    #[must_use]
    pub fn document(&self) -> Document<'_> {
        let (root, errors) = DeTable::parse_recoverable(&self.text);
        let document = Document {
            source: self,
            root,
            has_syntax_errors: !errors.is_empty(),
            problems: RefCell::default(),
            asked: RefCell::default(),
        };
        for error in errors {
            let (what, expected) = split_message(error.message());
            document.note(error.span().unwrap_or_default(), String::new(), what, expected);
        }
        document
    }

    /// Line and column (both from 1, the column in characters) of a byte offset.
    fn place(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(line_start..).map_or(0, |line| line.chars().count());
        (before.matches('\n').count() + 1, column + 1)
    }
}

/// The parser's message as what is wrong and what was expected.
fn split_message(message: &str) -> (String, String) {
    let message = message.replace('\n', " ");
    match message.split_once(", expected ") {
        Some((what, expected)) => (what.to_owned(), expected.to_owned()),
        None => (message, "valid TOML".to_owned()),
    }
}

/// A parsed file that notes what is wrong with it while it is read.
#[derive(Debug)]
pub struct Document<'s> {
    source: &'s Source,
    root: Spanned<DeTable<'s>>,
    has_syntax_errors: bool,
    problems: RefCell<Vec<(usize, Problem)>>,
    /// For each table that was opened, by its path: the keys that were asked for.
    asked: RefCell<BTreeMap<String, BTreeSet<String>>>,
}

impl<'s> Document<'s> {
    /// The file's outermost table.
    pub fn root(&self) -> Table<'_, 's> {
        Table::open(self, self.root.get_ref(), 0..0, String::new())
    }

    /// Gives `value` if nothing is wrong with the file.
    ///
    /// # Errors
    /// Everything that is wrong. After errors of syntax only those are told, since nobody knows
    /// what the rest would have meant.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Diagnostics> {
        if !self.has_syntax_errors {
            self.note_unknown(self.root.get_ref(), "");
        }
        let missing = value.is_none();
        let mut problems = self.problems.into_inner();
        match value {
            Some(value) if problems.is_empty() => return Ok(value),
            Some(_) | None => {}
        }
        if problems.is_empty() && missing {
            let what = "the configuration could not be put together".to_owned();
            let (file, expected) = (self.source.file.clone(), "an error that names the key".to_owned());
            problems.push((0, Problem { file, line: 1, column: 1, key: String::new(), what, expected }));
        }
        problems.sort_by_key(|(offset, _)| *offset);
        Err(Diagnostics { problems: problems.into_iter().map(|(_, problem)| problem).collect() })
    }

    fn note(&self, span: Range<usize>, key: String, what: String, expected: String) {
        let (line, column) = self.source.place(span.start);
        let file = self.source.file.clone();
        self.problems.borrow_mut().push((span.start, Problem { file, line, column, key, what, expected }));
    }

    /// Notes what a reader found, unless the text itself is broken.
    fn note_value(&self, span: Range<usize>, key: String, what: String, expected: String) {
        if !self.has_syntax_errors {
            self.note(span, key, what, expected);
        }
    }

    fn ask(&self, table: &str, key: &str) {
        self.asked.borrow_mut().entry(table.to_owned()).or_default().insert(key.to_owned());
    }

    fn open(&self, table: &str) {
        self.asked.borrow_mut().entry(table.to_owned()).or_default();
    }

    fn note_unknown(&self, table: &DeTable<'_>, path: &str) {
        // A table that nobody opened was itself not asked for, which its parent tells.
        let Some(known) = self.asked.borrow().get(path).cloned() else { return };
        for (key, value) in table.iter() {
            let inner = join(path, key.get_ref());
            if known.contains(key.get_ref().as_ref()) {
                self.note_unknown_inside(value.get_ref(), &inner);
            } else {
                let expected = match nearest(key.get_ref(), &known) {
                    Some(near) => format!("the nearest known key {}", quoted(near)),
                    None if known.is_empty() => "no key here".to_owned(),
                    None => format!("one of {}", known.iter().cloned().collect::<Vec<_>>().join(", ")),
                };
                self.note(key.span(), inner, "unknown key".to_owned(), expected);
            }
        }
    }

    fn note_unknown_inside(&self, value: &DeValue<'_>, path: &str) {
        if let Some(table) = value.as_table() {
            self.note_unknown(table, path);
        }
        for (number, item) in value.as_array().into_iter().flat_map(|items| items.iter()).enumerate() {
            self.note_unknown_inside(item.get_ref(), &format!("{path}[{number}]"));
        }
    }
}

/// `table.key`, the key in quotes where TOML needs them.
fn join(table: &str, key: &str) -> String {
    let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let key = if is_bare { key.to_owned() } else { quoted(key) };
    if table.is_empty() { key } else { format!("{table}.{key}") }
}
