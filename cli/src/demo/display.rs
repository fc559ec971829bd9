//! What the demonstration shows: lines of a story, and on a terminal one moving line below them.
//!
//! Contract: without a terminal, or with `--plain`, the moving line is not there and nothing but the story's lines
//! is written.

use crate::render::paint::{Paint, Tone};
use crossterm::terminal::{Clear, ClearType};
use crossterm::{cursor, execute, terminal};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// The turning sign of the moving line.
const TURNS: [char; 4] = ['|', '/', '-', '\\'];

/// The width of a story's line.
const WIDTH: usize = 100;

/// Where the story is written.
#[derive(Clone)]
pub struct Display {
    inner: Arc<Mutex<Inner>>,
    paint: Paint,
    moving: bool,
}

struct Inner {
    out: Box<dyn Write + Send>,
    /// A moving line stands on the screen.
    drawn: bool,
    turn: usize,
}

impl Display {
    /// Writes to `out`; with a moving line only where `moving`.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>, paint: Paint, moving: bool) -> Self {
        Self { inner: Arc::new(Mutex::new(Inner { out, drawn: false, turn: 0 })), paint, moving }
    }

    /// Whether there is a moving line.
    #[must_use]
    pub const fn is_moving(&self) -> bool {
        self.moving
    }

    /// The colours.
    #[must_use]
    pub const fn paint(&self) -> Paint {
        self.paint
    }

    /// The heading of an act.
    pub fn heading(&self, text: &str) {
        self.line("");
        self.line(&self.paint.heading(text));
    }

    /// What happens, and why; broken into lines.
    pub fn tell(&self, text: &str) {
        for line in broken(text, WIDTH) {
            self.line(&format!("  {line}"));
        }
    }

    /// Something that was expected and was seen.
    pub fn good(&self, text: &str) {
        self.marked(Tone::Good, "ok", text);
    }

    /// Something that should not be.
    pub fn bad(&self, text: &str) {
        self.marked(Tone::Bad, "NOT AS EXPECTED", text);
    }

    fn marked(&self, tone: Tone, mark: &str, text: &str) {
        let indent = " ".repeat(mark.len() + 1);
        for (number, line) in broken(text, WIDTH - indent.len()).iter().enumerate() {
            let mark = if number == 0 { format!("{} ", self.paint.text(tone, mark)) } else { indent.clone() };
            self.line(&format!("  {mark}{line}"));
        }
    }

    /// One line as it is.
    pub fn line(&self, text: &str) {
        let mut inner = self.inner();
        inner.erase();
        // A terminal that is gone ends the demonstration by its signal.
        let _ = writeln!(inner.out, "{text}").and_then(|()| inner.out.flush());
    }

    /// The moving line now.
    pub fn moving(&self, text: &str) {
        if !self.moving {
            return;
        }
        let width = terminal::size().map_or(WIDTH, |(columns, _)| usize::from(columns));
        let mut inner = self.inner();
        inner.turn = (inner.turn + 1) % TURNS.len();
        let line: String =
            format!("{} {text}", TURNS[inner.turn]).chars().take(width.saturating_sub(1)).collect();
        let line = self.paint.text(Tone::Faint, &line);
        let _ = execute!(inner.out, cursor::MoveToColumn(0), Clear(ClearType::CurrentLine))
            .and_then(|()| write!(inner.out, "{line}"))
            .and_then(|()| inner.out.flush());
        inner.drawn = true;
    }

    /// Takes the moving line away.
    pub fn still(&self) {
        self.inner().erase();
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn erase(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = execute!(self.out, cursor::MoveToColumn(0), Clear(ClearType::CurrentLine));
        }
    }
}

/// Writes to standard output of the process; a `Stdout` is locked for each write.
pub(super) fn stdout() -> Box<dyn Write + Send> {
    Box::new(io::stdout())
}

/// The text in lines of at most `width` characters, broken at spaces where there are any.
fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        let length = line.chars().count();
        if length > 0 && length + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if length > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(broken("one two three", 7), ["one two", "three"]);
        assert_eq!(broken("unbreakable", 3), ["unbreakable"]);
        assert_eq!(broken("", 3), [""]);
    }
}
