//! What a verb works with: where the daemon is, how to show things, whom to ask.

use crate::client::{Daemon, SOCKET};
use crate::exit::{Exit, Fault, of_outcome};
use crate::render::json;
use crate::render::paint::Paint;
use picket_proto::v1::Outcome;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

/// The longest line that is read from the operator, in bytes: names and challenges are far shorter.
const TYPED_BYTES_MAX: u64 = 4096;

/// One run of the program.
pub struct Session {
    /// The daemon's control socket.
    pub socket: PathBuf,
    /// Whether machine-readable output is wanted.
    pub json: bool,
    /// Whether standard output is a terminal.
    pub terminal: bool,
    /// Colours, or none.
    pub paint: Paint,
    /// Standard output.
    pub out: Box<dyn Write>,
    /// Standard input.
    pub input: Box<dyn BufRead>,
}

impl Session {
    /// With the process's own streams.
    #[must_use]
    pub fn of_process(socket: Option<PathBuf>, json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            socket: socket.unwrap_or_else(|| SOCKET.into()),
            json,
            terminal,
            paint: Paint::new(terminal && !no_color),
            out: Box::new(io::stdout()),
            input: Box::new(io::BufReader::new(io::stdin())),
        }
    }

    /// Connects to the daemon.
    ///
    /// # Errors
    /// See [`Daemon::connect`].
    pub async fn daemon(&self) -> Result<Daemon, Fault> {
        Daemon::connect(&self.socket).await
    }

    /// Shows how a request ended.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn show_outcome(&mut self, answer: &Outcome) -> Result<Exit, Fault> {
        let (exit, text) = of_outcome(answer);
        if self.json {
            writeln!(self.out, "{}", json::outcome(answer)?)?;
        } else {
            writeln!(self.out, "{text}")?;
        }
        Ok(exit)
    }

    /// Has the operator type `expected`, after `question`.
    ///
    /// # Errors
    /// Something else was typed, or the terminal failed.
    pub fn have_typed(&mut self, question: &str, expected: &str) -> Result<(), Fault> {
        let typed = self.ask(question)?;
        if typed == expected {
            return Ok(());
        }
        Err(Fault::NotTyped { expected: expected.to_owned(), typed })
    }

    /// One line from the operator, without the spaces around it.
    ///
    /// # Errors
    /// The terminal failed.
    pub fn ask(&mut self, question: &str) -> Result<String, Fault> {
        // With --json standard output belongs to the answer.
        if self.json {
            eprint(question)?;
        } else {
            write!(self.out, "{question}")?;
            self.out.flush()?;
        }
        let mut line = String::new();
        io::Read::take(&mut self.input, TYPED_BYTES_MAX).read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// What an operator must read before typing; on standard error with `--json`.
    ///
    /// # Errors
    /// The terminal failed.
    pub fn tell(&mut self, text: &str) -> Result<(), Fault> {
        if self.json { eprint(&format!("{text}\n")) } else { Ok(writeln!(self.out, "{text}")?) }
    }
}

fn eprint(text: &str) -> Result<(), Fault> {
    let mut err = io::stderr();
    write!(err, "{text}")?;
    Ok(err.flush()?)
}
