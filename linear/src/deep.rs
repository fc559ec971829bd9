//! Runs that add up: what all of them came to stands in a file.
//!
//! Histories are counted for the present witness program and for all programs, since a history of one program says
//! nothing about another. A program is told apart by its content.

use std::io;
use std::path::Path;

/// Histories that deep runs go on to, of one program.
pub const GOAL: u64 = 10_000;

/// After so many runs under faults comes one with an older copy of the store, of each kind.
pub const ROLLBACK_EVERY: u64 = 20;

/// What all runs came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Which program the first counts are of.
    pub program: u32,
    /// Histories of the present program that are linearizable.
    pub of_program: u64,
    /// Histories of all programs.
    pub histories: u64,
    /// Operations in them.
    pub operations: u64,
    /// Kills.
    pub kills: u64,
    /// Stops.
    pub stops: u64,
    /// Registers that had gone back in time unseen, and were found.
    pub found: u64,
    /// What was wrong: the program and what.
    pub wrong: Vec<(u32, String)>,
}

impl State {
    /// Reads the file; one that is not there is a beginning.
    ///
    /// # Errors
    /// The file cannot be read, or is none of ours.
    pub fn read(path: &Path, program: &Path) -> io::Result<Self> {
        let program = crc32c::crc32c(&std::fs::read(program)?);
        let mut state = Self { program, ..Self::default() };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(state),
            Err(error) => return Err(error),
        };
        let mut of = 0;
        for (number, line) in (1..).zip(text.lines()) {
            state.take_line(line, &mut of).ok_or_else(|| {
                let path = path.display();
                let text = format!("{path}: line {number} is not understood; remove the file to begin anew");
                io::Error::new(io::ErrorKind::InvalidData, text)
            })?;
        }
        if of != program {
            state.of_program = 0;
        }
        Ok(state)
    }

    fn take_line(&mut self, line: &str, program: &mut u32) -> Option<()> {
        let (word, rest) = line.split_once(' ')?;
        if word == "wrong" {
            let (program, what) = rest.split_once(' ')?;
            self.wrong.push((u32::from_str_radix(program, 16).ok()?, what.to_owned()));
            return Some(());
        }
        let count = match word {
            "program" => {
                *program = u32::from_str_radix(rest, 16).ok()?;
                return Some(());
            }
            "of-program" => &mut self.of_program,
            "histories" => &mut self.histories,
            "operations" => &mut self.operations,
            "kills" => &mut self.kills,
            "stops" => &mut self.stops,
            "found" => &mut self.found,
            _ => return None,
        };
        *count = rest.parse().ok()?;
        Some(())
    }

    /// Writes the file, in one piece or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let Self { program, of_program, histories, operations, kills, stops, found, wrong } = self;
        let mut text = format!(
            "program {program:08x}\nof-program {of_program}\nhistories {histories}\noperations {operations}\n\
             kills {kills}\nstops {stops}\nfound {found}\n"
        );
        for (program, what) in wrong {
            text += &format!("wrong {program:08x} {}\n", what.replace('\n', " "));
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let beside = path.with_extension("new");
        std::fs::write(&beside, text)?;
        std::fs::rename(beside, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_add_up_and_another_program_begins_anew() {
        let folder = tempfile::tempdir().expect("a directory");
        let (path, one, other) =
            (folder.path().join("state"), folder.path().join("one"), folder.path().join("other"));
        std::fs::write(&one, "one").expect("written");
        std::fs::write(&other, "other").expect("written");
        let mut state = State::read(&path, &one).expect("a beginning");
        (state.of_program, state.histories, state.kills) = (6, 12, 3);
        state.wrong.push((state.program, "two\nlines".into()));
        state.write(&path).expect("written");
        let again = State::read(&path, &one).expect("read");
        assert_eq!((again.of_program, again.histories, again.kills), (6, 12, 3));
        assert_eq!(again.wrong, [(state.program, "two lines".to_owned())]);
        let other = State::read(&path, &other).expect("read");
        assert_eq!((other.of_program, other.histories), (0, 12));
        std::fs::write(&path, "nonsense\n").expect("written");
        assert!(State::read(&path, &one).is_err());
    }
}
