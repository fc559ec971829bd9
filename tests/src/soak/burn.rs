//! Load: processes that do nothing but use up the processors.

use crate::Failure;
use std::io::{self, Read};
use std::process::{Child, Command, Stdio};

/// Busy processes, one for each processor, at ordinary priority. They end when this is dropped, or this process.
#[derive(Debug)]
pub struct Burners(Vec<Child>);

impl Burners {
    /// Starts this very program again with `word` as its one argument, once for each processor; it must call
    /// [`burn`] then.
    ///
    /// # Errors
    /// A process cannot be started.
    pub fn start(word: &str) -> Result<Self, Failure> {
        let mut burners = Self(Vec::new());
        for _ in 0..std::thread::available_parallelism()?.get() {
            let mut command = Command::new(std::env::current_exe()?);
            burners.0.push(command.arg(word).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?);
        }
        Ok(burners)
    }

    /// How many.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.0.len()
    }
}

impl Drop for Burners {
    fn drop(&mut self) {
        for burner in &mut self.0 {
            // One that has ended needs no end.
            let _ = burner.kill();
            let _ = burner.wait();
        }
    }
}

/// Uses up a processor until standard input is closed, which it is when the starter has gone.
///
/// # Errors
/// The thread cannot be made.
pub fn burn() -> io::Result<()> {
    std::thread::Builder::new().spawn(|| {
        let mut work = 1_u64;
        loop {
            work = std::hint::black_box(work.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    })?;
    let mut byte = [0];
    // Bytes have no meaning.
    while io::stdin().read(&mut byte)? > 0 {}
    Ok(())
}
