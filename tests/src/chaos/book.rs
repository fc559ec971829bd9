//! What was played already, so that a long run can be broken off and taken up again.
//!
//! One line a case, written when it was judged. The first line names the program that was tested: what another
//! build did says nothing about this one.

use super::case::Case;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// The book of one run.
#[derive(Debug)]
pub struct Book {
    file: File,
    done: BTreeSet<Case>,
}

impl Book {
    /// Opens the book at `path` of the tests of `program`; an older program's is begun anew, and so is any if
    /// `fresh`.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn open(path: &Path, program: &Path, fresh: bool) -> io::Result<Self> {
        let about = fs::metadata(program)?;
        let modified = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let title = format!("{} bytes, modified {}", about.len(), modified.as_millis());
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let old = match fs::read_to_string(path) {
            Ok(text) if !fresh && text.lines().next() == Some(&title) => Some(text),
            Ok(_) => None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let done =
            old.iter().flat_map(|text| text.lines().skip(1)).filter_map(|line| line.parse().ok()).collect();
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        if old.is_none() {
            file.set_len(0)?;
            writeln!(file, "{title}")?;
        }
        Ok(Self { file, done })
    }

    /// Whether it was played and as it should be.
    #[must_use]
    pub fn has(&self, case: &Case) -> bool {
        self.done.contains(case)
    }

    /// How many were.
    #[must_use]
    pub fn count(&self) -> usize {
        self.done.len()
    }

    /// Writes down that it was as it should be.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&mut self, case: Case) -> io::Result<()> {
        if self.done.insert(case) {
            writeln!(self.file, "{case}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_is_taken_up_again_but_not_for_another_program() {
        let dir = std::env::temp_dir().join(format!("picket-book-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let (path, program) = (dir.join("book"), dir.join("program"));
        fs::write(&program, "one").expect("a file");
        let case: Case = "c21-kill:holder-n1".parse().expect("a case");
        let mut book = Book::open(&path, &program, false).expect("a book");
        assert!(!book.has(&case));
        book.add(case).expect("written");
        assert!(Book::open(&path, &program, false).expect("a book").has(&case));
        fs::write(&program, "another").expect("a file");
        assert!(!Book::open(&path, &program, false).expect("a book").has(&case));
        fs::remove_dir_all(&dir).expect("removed");
    }
}
