//! A directory of a thread's own, for targets that read real files: in memory if the machine has such a place.

use crate::target::Broken;
use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

thread_local! {
    static DIRECTORY: OnceCell<TempDir> = const { OnceCell::new() };
}

/// The thread's directory; gone when the thread ends.
///
/// # Errors
/// It cannot be made.
pub fn directory() -> Result<PathBuf, Broken> {
    DIRECTORY.with(|cell| {
        if let Some(made) = cell.get() {
            return Ok(made.path().to_owned());
        }
        let memory = Path::new("/dev/shm");
        let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let made = made.map_err(|error| Broken(format!("no directory to work in: {error}")))?;
        Ok(cell.get_or_init(|| made).path().to_owned())
    })
}
