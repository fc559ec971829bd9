//! One table of a document.

use super::reader::{Reader, found};
use super::words::quoted;
use super::{Document, join};
use core::fmt::Display;
use core::ops::Range;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A table that is being read. What is wrong is noted in its document.
#[derive(Debug, Clone)]
pub struct Table<'d, 's> {
    document: &'d Document<'s>,
    table: &'d DeTable<'s>,
    span: Range<usize>,
    path: String,
}

impl<'d, 's> Table<'d, 's> {
    pub(super) fn open(
        document: &'d Document<'s>,
        table: &'d DeTable<'s>,
        span: Range<usize>,
        path: String,
    ) -> Self {
        document.open(&path);
        Self { document, table, span, path }
    }

    /// The value of a key that must be there; nothing if it is missing or wrong.
    pub fn required<T: 'static>(&self, key: &str, reader: Reader<T>) -> Option<T> {
        match self.get(key) {
            Some(value) => self.read(key, value, &reader),
            None => {
                self.missing(key, reader.expected);
                None
            }
        }
    }

    /// The value of a key that may be absent; nothing if it is absent or wrong.
    pub fn optional<T: 'static>(&self, key: &str, reader: Reader<T>) -> Option<T> {
        self.read(key, self.get(key)?, &reader)
    }

    /// The value of a key, or `default` if it is absent or wrong.
    pub fn or<T: 'static>(&self, key: &str, reader: Reader<T>, default: T) -> T {
        self.optional(key, reader).unwrap_or(default)
    }

    /// The table under a key, if there is one.
    pub fn table(&self, key: &str) -> Option<Table<'d, 's>> {
        self.as_table(key, self.get(key)?, join(&self.path, key))
    }

    /// The table under a key that must be there.
    pub fn table_required(&self, key: &str) -> Option<Table<'d, 's>> {
        if self.get(key).is_none() {
            self.missing(key, format!("a table [{}]", heading(&join(&self.path, key))));
        }
        self.table(key)
    }

    /// The tables of a list `[[key]]`; none if it is absent.
    pub fn tables(&self, key: &str) -> Vec<Table<'d, 's>> {
        let path = join(&self.path, key);
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            let expected = format!("a list of tables [[{path}]]");
            self.document.note_value(value.span(), path, found(value.get_ref()), expected);
            return Vec::new();
        };
        let numbered = items.iter().enumerate();
        numbered.filter_map(|(number, item)| self.as_table(key, item, format!("{path}[{number}]"))).collect()
    }

    /// The tables of a list `[[key]]` that must have at least one.
    pub fn tables_required(&self, key: &str) -> Vec<Table<'d, 's>> {
        let is_empty_list =
            |value: &Spanned<DeValue<'s>>| value.get_ref().as_array().is_some_and(|a| a.is_empty());
        if self.get(key).is_none_or(is_empty_list) {
            self.missing(key, format!("at least one table [[{}]]", heading(&join(&self.path, key))));
        }
        self.tables(key)
    }

    /// The tables `[key.name]` with their names, in the file's order of names; none if it is absent.
    pub fn named_tables(&self, key: &str) -> Vec<(String, Table<'d, 's>)> {
        let Some(outer) = self.table(key) else { return Vec::new() };
        outer.keys().into_iter().filter_map(|name| Some((name.clone(), outer.table(&name)?))).collect()
    }

    /// All keys in the table, for tables whose keys are names that the user gives.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.table.iter().map(|(key, _)| key.get_ref().clone().into_owned()).collect()
    }

    /// True if the key is there. Counts as asking for it.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The table's own path, such as `node[1]`; empty for the outermost.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Notes that a key's value does not fit something else: placed at the value, or at the table
    /// if the key is absent.
    pub fn wrong(&self, key: &str, what: impl Into<String>, expected: impl Into<String>) {
        let span = self.get(key).map_or_else(|| self.span.clone(), Spanned::span);
        self.document.note_value(span, join(&self.path, key), what.into(), expected.into());
    }

    /// Notes that something is wrong with the table as a whole.
    pub fn wrong_table(&self, what: impl Into<String>, expected: impl Into<String>) {
        self.document.note_value(self.span.clone(), self.path.clone(), what.into(), expected.into());
    }

    /// The line on which a key's value stands (of the table, if the key is absent), from 1.
    #[must_use]
    pub fn line_of(&self, key: &str) -> usize {
        let span = self.get(key).map_or_else(|| self.span.clone(), Spanned::span);
        self.document.source.place(span.start).0
    }

    fn get(&self, key: &str) -> Option<&'d Spanned<DeValue<'s>>> {
        self.document.ask(&self.path, key);
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    fn read<T: 'static>(&self, key: &str, value: &Spanned<DeValue<'s>>, reader: &Reader<T>) -> Option<T> {
        let mut wrong = Vec::new();
        let read = reader.read(value, &mut wrong);
        for wrong in wrong {
            let path = join(&self.path, key) + &wrong.part;
            self.document.note_value(wrong.span, path, wrong.what, wrong.expected);
        }
        read
    }

    fn as_table(&self, key: &str, value: &'d Spanned<DeValue<'s>>, path: String) -> Option<Table<'d, 's>> {
        match value.get_ref().as_table() {
            Some(table) => Some(Self::open(self.document, table, value.span(), path)),
            None => {
                let expected = format!("a table [{}]", heading(&join(&self.path, key)));
                self.document.note_value(value.span(), path, found(value.get_ref()), expected);
                None
            }
        }
    }

    fn missing(&self, key: &str, expected: String) {
        self.document.note_value(self.span.clone(), join(&self.path, key), "missing".to_owned(), expected);
    }
}

/// Sees to it that no two tables have the same value under a key.
#[derive(Debug, Default)]
pub struct Unique {
    seen: BTreeMap<String, usize>,
}

impl Unique {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes the value of `table`'s `key`; one that was seen before is an error at that key.
    /// A value that could not be read is passed over.
    pub fn add<T: Display>(&mut self, table: &Table<'_, '_>, key: &str, value: Option<&T>) {
        let Some(value) = value.map(ToString::to_string) else { return };
        let line = table.line_of(key);
        match self.seen.get(&value) {
            Some(first) => table.wrong(
                key,
                format!("{} is already on line {first}", quoted(&value)),
                "a value that no other table has".to_owned(),
            ),
            None => {
                self.seen.insert(value, line);
            }
        }
    }
}

/// A key's path as it stands in a table's heading: without the places in arrays.
fn heading(path: &str) -> String {
    let mut inside = false;
    let keep = |letter: &char| {
        inside = if inside { *letter != ']' } else { *letter == '[' };
        !inside && *letter != ']'
    };
    path.chars().filter(keep).collect()
}
