//! Power: on, off, and the way between.

use super::super::spec::AfterBite;
use super::super::tree;
use super::{Supervisor, log};
use core::time::Duration;
use picket_fence::power::{BootId, Command, Reply};
use picket_host::clock;
use rustix::process::Signal;
use std::fs;
use std::io;
use std::path::Path;
use tokio::sync::oneshot;

/// Where the machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Power {
    /// Everything is gone.
    Off,
    /// Powered.
    On { boot: BootId },
    /// Being killed.
    GoingOff { boot: BootId, then: Then },
}

/// What follows once everything is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing.
    Stay,
    /// Power on at once.
    PowerOn,
    /// Power on this long after.
    PowerOnAfter(Duration),
}

/// Somebody who waits for an order to be done.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) command: Command,
    pub(super) answer: oneshot::Sender<String>,
    /// Says it in the words of the socket that was asked.
    pub(super) words: fn(Reply) -> String,
}

impl Waiting {
    pub(super) fn tell(self, reply: Reply) {
        // Who no longer listens has lost nothing.
        let _ = self.answer.send((self.words)(reply));
    }
}

impl Supervisor {
    /// What the switch says.
    pub(super) fn reading(&self) -> Reply {
        match self.power {
            Power::Off => Reply::Off,
            Power::On { boot } | Power::GoingOff { boot, .. } => Reply::On(boot),
        }
    }

    /// Carries out `on`, `off` or `reboot`; answers when it is done.
    pub(super) fn order(&mut self, waiting: Waiting) {
        let then = match waiting.command {
            Command::Status => return waiting.tell(self.reading()),
            Command::Off => Then::Stay,
            Command::On | Command::Reboot => Then::PowerOn,
        };
        match (self.power, waiting.command) {
            (Power::On { .. }, Command::On) => waiting.tell(self.reading()),
            (Power::Off, Command::Off) => {
                // Also ends a wait for the power-on after a bite: who says off means it.
                self.power_on_at = None;
                waiting.tell(Reply::Off);
            }
            (Power::Off, Command::On | Command::Reboot | Command::Status) => {
                let reply = self.power_on().map_or_else(Reply::Error, Reply::On);
                waiting.tell(reply);
            }
            (Power::On { .. } | Power::GoingOff { .. }, _) => {
                self.waiting.push(waiting);
                self.begin_off(then);
            }
        }
    }

    /// Draws a boot id, empties the run directory and starts the programs.
    pub(super) fn power_on(&mut self) -> Result<BootId, String> {
        if self.ending {
            return Err("the supervisor is ending".to_owned());
        }
        self.power_on_at = None;
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| format!("boot id: {error}"))?;
        let boot = BootId::new(random);
        let run = self.spec.run_dir();
        empty(&run).map_err(|error| format!("empty {}: {error}", run.display()))?;
        let file = self.spec.boot_id_file();
        fs::write(&file, format!("{boot}\n"))
            .map_err(|error| format!("write {}: {error}", file.display()))?;
        self.power = Power::On { boot };
        self.boots += 1;
        log::note(&self.spec, &format!("on, boot {boot}"));
        for at in 0..self.programs.len() {
            if self.programs[at].spec.at_boot {
                self.start(at);
            }
        }
        self.changed();
        Ok(boot)
    }

    pub(super) fn bite(&mut self) {
        self.bites += 1;
        log::note(&self.spec, "the watchdog was not petted in time and kills the machine");
        self.begin_off(match self.spec.watchdog.after_bite {
            AfterBite::StayOff => Then::Stay,
            AfterBite::PowerOn { delay_ms } => Then::PowerOnAfter(Duration::from_millis(delay_ms)),
        });
    }

    /// Begins to kill everything; the later order decides what follows.
    pub(super) fn begin_off(&mut self, then: Then) {
        match self.power {
            Power::Off => return,
            Power::On { boot } | Power::GoingOff { boot, .. } => self.power = Power::GoingOff { boot, then },
        }
        self.watchdog.disarm();
        self.paused = false;
        self.changed();
        // Power goes for all at once: no process may see another one's end and still tell somebody.
        if let Err(error) = tree::signal_all(Signal::STOP, &[]) {
            log::note(&self.spec, &format!("stop: {error}"));
        }
        self.kill_and_reap();
    }

    pub(super) fn kill_and_reap(&mut self) {
        self.kill();
        self.reap();
    }

    pub(super) fn kill(&self) {
        if let Err(error) = tree::signal_all(Signal::KILL, &[]) {
            log::note(&self.spec, &format!("kill: {error}"));
        }
    }

    /// The kernel says that nothing of the machine is left.
    pub(super) fn nothing_left(&mut self) {
        let Power::GoingOff { then, .. } = self.power else { return };
        self.power = Power::Off;
        self.programs.iter_mut().for_each(super::Program::powered_off);
        log::note(&self.spec, "off, every process is gone");
        self.changed();
        let (off, back): (Vec<Waiting>, Vec<Waiting>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| waiting.command == Command::Off);
        off.into_iter().for_each(|waiting| waiting.tell(Reply::Off));
        let reply = match then {
            Then::PowerOn => self.power_on().map_or_else(Reply::Error, Reply::On),
            Then::Stay => Reply::Error("it was switched off meanwhile".to_owned()),
            Then::PowerOnAfter(delay) => {
                self.power_on_at = (!self.ending).then(|| clock::boottime() + delay);
                Reply::Error("its watchdog has bitten meanwhile".to_owned())
            }
        };
        back.into_iter().for_each(|waiting| waiting.tell(reply.clone()));
    }
}

/// Removes what is in `dir`, not `dir` itself: somebody may watch it.
fn empty(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
