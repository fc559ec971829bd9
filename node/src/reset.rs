//! The end of the machine by its own hand.
//!
//! Contract: [`Resetter::now`] does not come back. It takes every way that there is, the fastest first, again and
//! again, and does nothing else: what is still active on this machine may be active elsewhere the next moment.

use crate::watchdog::{Bounds, kernel_reset};
use core::time::Duration;
use picket_fence::deadline::Deadline;
use picket_fence::power::{self, Command, Request};
use picket_host::clock::pause;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

/// Between two tries of all ways.
const AGAIN: Duration = Duration::from_millis(20);

/// How long a lab machine's power switch may take for an answer that nobody will read.
const SWITCH_MAX: Duration = Duration::from_millis(200);

/// How a machine ends itself.
#[derive(Clone, Debug)]
pub enum Way {
    /// Through the kernel.
    Kernel,
    /// Through a lab machine's power switch, if there is one.
    Lab {
        /// The switch.
        power_socket: Option<PathBuf>,
    },
    /// Only tells that it would; for tests in one process.
    Tell(SyncSender<(bool, String)>),
}

/// Ends the machine.
#[derive(Clone, Debug)]
pub struct Resetter {
    /// How.
    pub way: Way,
    /// The petting thread reads here that it is to have the watchdog bite.
    pub bounds: Arc<Bounds>,
    /// Wakes the petting thread.
    pub bite: Option<crate::watchdog::Bite>,
}

impl Resetter {
    /// Ends the machine, or with `power_off` switches it off. Comes back only in tests.
    pub fn now(&self, power_off: bool, why: &str) {
        self.bounds.reset();
        if let Way::Tell(told) = &self.way {
            let _ = told.try_send((power_off, why.to_owned()));
            return;
        }
        if let Way::Kernel = self.way {
            say(why);
        }
        loop {
            match &self.way {
                Way::Kernel => drop(kernel_reset(power_off)),
                Way::Lab { power_socket } => {
                    if let Some(bite) = self.bite.as_ref().filter(|_| !power_off) {
                        bite.now();
                    }
                    if let Some(socket) = power_socket {
                        let command = if power_off { Command::Off } else { Command::Reboot };
                        let until = Deadline::after(SWITCH_MAX);
                        let _ = power::ask(socket, &Request { command, machine: None }, until, until);
                    }
                }
                Way::Tell(_) => return,
            }
            if let Some(bite) = &self.bite {
                bite.now();
            }
            pause(AGAIN, "nothing tells that a machine does not end");
        }
    }
}

/// The kernel's log never blocks and may survive the reset.
fn say(why: &str) {
    if let Ok(mut log) = OpenOptions::new().write(true).open("/dev/kmsg") {
        let _ = log.write_all(format!("<2>picketd: {why}\n").as_bytes());
    }
}
