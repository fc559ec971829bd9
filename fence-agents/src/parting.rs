//! What must be done even if a signal ends the agent in the middle: a session at a device is ended.
//!
//! A device that leaves something behind at its other end hands in a [`Farewell`]. When the process
//! is told to end (`SIGTERM`, `SIGINT`, `SIGHUP`), every farewell is said, within [`FAREWELL_WITHIN`],
//! and then the signal does what it always does. Nothing helps against `SIGKILL`: a device whose
//! sessions outlive their agent for long should not use sessions.

use core::time::Duration;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use std::fmt;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, thread};

/// Tidies up at the device, once, however often it is called. May take [`FAREWELL_WITHIN`].
pub type Farewell = Arc<dyn Fn() + Send + Sync>;

/// How long tidying up may take. Callers give a process that they told to end a few seconds (five in
/// Pacemaker) before they kill it.
pub const FAREWELL_WITHIN: Duration = Duration::from_secs(3);

/// The farewells of one run, also of devices that were given up.
#[derive(Clone, Default)]
pub struct Partings {
    farewells: Arc<Mutex<Vec<Farewell>>>,
}

impl fmt::Debug for Partings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Partings")
    }
}

impl Partings {
    /// Adds one. The first also makes the process listen to the signals.
    ///
    /// # Errors
    /// The system refuses to watch the signals.
    pub fn add(&self, farewell: Farewell) -> io::Result<()> {
        let mut farewells = self.farewells.lock().unwrap_or_else(PoisonError::into_inner);
        farewells.push(farewell);
        if farewells.len() == 1 {
            self.watch()?;
        }
        Ok(())
    }

    fn watch(&self) -> io::Result<()> {
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        let partings = self.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in signals.forever() {
                partings.say();
                let _ = emulate_default_handler(signal);
            }
        })?;
        Ok(())
    }

    /// Says all of them, side by side, and waits for them, but not longer than [`FAREWELL_WITHIN`].
    pub fn say(&self) {
        let farewells = self.farewells.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (done, all_done) = sync_channel::<()>(1);
        for farewell in farewells {
            let done = done.clone();
            thread::spawn(move || {
                farewell();
                drop(done);
            });
        }
        drop(done);
        // Ends when the last of them has let go of the channel.
        let _ = all_done.recv_timeout(FAREWELL_WITHIN);
    }
}
