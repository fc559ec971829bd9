//! A table: headings, rows, columns as wide as their widest cell.

use super::paint::{Paint, Tone, tone_of};

/// One cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A state word in its own tone.
    #[must_use]
    pub fn state(word: &str) -> Self {
        Self { text: word.to_owned(), tone: tone_of(word) }
    }

    /// A text in a tone.
    #[must_use]
    pub fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), tone: Tone::Plain }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, tone: Tone::Plain }
    }
}

impl From<&String> for Cell {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

/// A table of `N` columns.
#[derive(Clone, Debug)]
pub struct Table<const N: usize> {
    heads: [&'static str; N],
    rows: Vec<[Cell; N]>,
}

/// Between two columns.
const GAP: &str = "  ";

impl<const N: usize> Table<N> {
    /// A table without rows.
    #[must_use]
    pub const fn new(heads: [&'static str; N]) -> Self {
        Self { heads, rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: [Cell; N]) {
        self.rows.push(cells);
    }

    /// Whether there is no row.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Its lines, the headings first. An empty cell is shown as `-`: a hole in a table looks like a mistake.
    #[must_use]
    pub fn lines(&self, paint: Paint) -> Vec<String> {
        let heads = self.heads.map(|head| Cell::toned(Tone::Strong, head));
        let rows = || std::iter::once(&heads).chain(&self.rows);
        let mut widths = [0; N];
        for row in rows() {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(shown(cell).chars().count());
            }
        }
        rows().map(|row| line(row, &widths, paint)).collect()
    }
}

fn shown(cell: &Cell) -> &str {
    if cell.text.is_empty() { "-" } else { &cell.text }
}

fn line(row: &[Cell], widths: &[usize], paint: Paint) -> String {
    let mut line = String::new();
    for (number, (cell, width)) in row.iter().zip(widths).enumerate() {
        let text = shown(cell);
        line.push_str(&paint.text(cell.tone, text));
        if number + 1 < row.len() {
            // Padding after the colours: their codes have no width.
            line.push_str(&" ".repeat(width.saturating_sub(text.chars().count())));
            line.push_str(GAP);
        }
    }
    line
}
