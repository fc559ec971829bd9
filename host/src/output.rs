//! What the daemons' programs say on standard output.

use std::fmt;
use std::io::{self, Write as _};

/// Writes to standard output. A reader that has seen enough, like `head`, is no failure.
///
/// # Errors
/// The output could not be written for another reason, for instance because its disk is full.
pub fn say(text: fmt::Arguments<'_>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}
