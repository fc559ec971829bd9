//! The supervisor: one loop that is the machine's hardware.
//!
//! ```text
//!          power on                       off, bite, life line cut
//!   Off ────────────▶ On{boot} ──────────────────────────────────▶ GoingOff{boot, then}
//!    ▲                                                                │ kill all, reap,
//!    └────────────────────── the kernel says: no child left ──────────┘ until then
//! ```
//!
//! `Off` is reached in no other way. While `GoingOff`, the switch says `on`.

mod log;
mod orders;
mod power;

use super::control::Status;
use super::error::MachineError;
use super::program::Program;
use super::spec::MachineSpec;
use super::tree::{self, Reaped};
use super::watchdog::Watchdog;
use super::wire::{self, EVENTS_MAX, Event, Socket};
use core::time::Duration;
use picket_host::clock::{self, Alarm};
use power::{Power, Then, Waiting};
use std::fs;
use std::io::{self, BufRead, Write};
use std::os::fd::AsFd;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

/// What the supervisor writes to standard output once everything can be used.
pub(super) const READY: &str = "picket-machine ready";

/// What it writes instead when it cannot start.
pub(super) const FAILED: &str = "picket-machine failed";

/// How soon a kill is repeated while processes are left: short, because a fence waits for it.
const KILL_AGAIN_AFTER: Duration = Duration::from_millis(1);

/// The longest description of a machine, in bytes: far beyond a few programs.
const SPEC_BYTES_MAX: u64 = 1024 * 1024;

/// What a program must run when it is started as a supervisor: reads the description from the
/// first line of standard input and stays until that is closed.
///
/// # Errors
/// The machine could not be started; the starter has been told as well.
pub fn supervisor_main() -> Result<(), MachineError> {
    let mut text = String::new();
    let read = io::Read::take(io::stdin().lock(), SPEC_BYTES_MAX).read_line(&mut text);
    read.map_err(MachineError::system("read the machine description"))?;
    let spec = serde_json::from_str(&text).map_err(|error| MachineError::Spec(error.to_string()))?;
    let result = run_supervisor(spec);
    if let Err(error) = &result {
        let _ = writeln!(io::stdout(), "{FAILED}: {error}");
    }
    result
}

/// Is the machine until standard input, which must be a pipe, is closed. A pipe and not the
/// kernel's parent death signal: that one comes when the *thread* that started us ends.
///
/// # Errors
/// The machine could not be started. What goes wrong later is in its log.
pub fn run_supervisor(spec: MachineSpec) -> Result<(), MachineError> {
    spec.check()?;
    for dir in [&spec.dir, &spec.run_dir(), &spec.state_dir(), &spec.log_dir()] {
        fs::create_dir_all(dir).map_err(MachineError::file("create", dir))?;
    }
    tree::become_reaper().map_err(MachineError::system("become the reaper of orphans"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(MachineError::system("start the event loop"))?.block_on(live(spec))
}

async fn live(spec: MachineSpec) -> Result<(), MachineError> {
    let life = io::stdin().as_fd().try_clone_to_owned().and_then(pipe::Receiver::from_owned_fd);
    let life = life.map_err(MachineError::system("watch standard input"))?;
    let (events, inbox) = mpsc::channel(EVENTS_MAX);
    for (socket, path) in [
        (Socket::Power, spec.power_socket()),
        (Socket::Watchdog, spec.watchdog_socket()),
        (Socket::Control, spec.control_socket()),
    ] {
        tokio::spawn(wire::serve(wire::bind(&path)?, socket, events.clone()));
    }
    let watch = |kind| signal(kind).map_err(MachineError::system("watch signals"));
    let signals = Signals {
        child: watch(SignalKind::child())?,
        ends: [
            watch(SignalKind::terminate())?,
            watch(SignalKind::hangup())?,
            watch(SignalKind::interrupt())?,
        ],
    };
    let alarm = Alarm::new().map_err(MachineError::system("make a timer"))?;
    let mut supervisor = Supervisor::new(spec);
    if supervisor.spec.powered {
        supervisor.power_on().map_err(MachineError::Spec)?;
    }
    let _ = writeln!(io::stdout(), "{READY}").and_then(|()| io::stdout().flush());
    supervisor.run(Sources { life, inbox, signals, alarm }).await;
    Ok(())
}

struct Signals {
    child: Signal,
    ends: [Signal; 3],
}

struct Sources {
    life: pipe::Receiver,
    inbox: mpsc::Receiver<Event>,
    signals: Signals,
    alarm: Alarm,
}

struct Supervisor {
    spec: MachineSpec,
    power: Power,
    programs: Vec<Program>,
    watchdog: Watchdog,
    paused: bool,
    switch_answers: bool,
    /// When the machine comes back after a bite.
    power_on_at: Option<Duration>,
    boots: u64,
    bites: u64,
    change: u64,
    /// Who waits for a power order to be done.
    waiting: Vec<Waiting>,
    /// Who asked a dead switch: held open, never answered.
    unanswered: Vec<oneshot::Sender<String>>,
    /// Who waits for something to happen.
    watching: Vec<(u64, oneshot::Sender<String>)>,
    ending: bool,
}

impl Supervisor {
    fn new(spec: MachineSpec) -> Self {
        Self {
            power: Power::Off,
            programs: spec.programs.iter().cloned().map(Program::new).collect(),
            watchdog: Watchdog::new(spec.watchdog),
            paused: false,
            switch_answers: true,
            power_on_at: None,
            boots: 0,
            bites: 0,
            change: 0,
            waiting: Vec::new(),
            unanswered: Vec::new(),
            watching: Vec::new(),
            ending: false,
            spec,
        }
    }

    async fn run(&mut self, mut from: Sources) {
        let mut byte = [0];
        while !(self.ending && self.power == Power::Off) {
            self.set_alarm(&mut from.alarm);
            let [terminate, hangup, interrupt] = &mut from.signals.ends;
            tokio::select! {
                read = from.life.read(&mut byte), if !self.ending => {
                    // Bytes have no meaning; the end, or an error, means that the starter is gone.
                    if !matches!(read, Ok(1..)) {
                        self.end("its starter is gone");
                    }
                }
                _ = terminate.recv() => self.end("it was told to end"),
                _ = hangup.recv() => self.end("it was told to end"),
                _ = interrupt.recv() => self.end("it was told to end"),
                _ = from.signals.child.recv() => self.reap(),
                Some(event) = from.inbox.recv() => self.event(event),
                fired = from.alarm.fired() => {
                    if let Err(error) = fired {
                        log::note(&self.spec, &format!("timer: {error}"));
                    }
                    self.due();
                }
            }
        }
    }

    fn end(&mut self, why: &str) {
        if !self.ending {
            log::note(&self.spec, &format!("ends: {why}"));
            self.ending = true;
            self.power_on_at = None;
        }
        self.begin_off(Then::Stay);
    }

    /// The next thing that is due. Without a timer the machine would hang unseen, so then it ends.
    fn set_alarm(&mut self, alarm: &mut Alarm) {
        let again =
            matches!(self.power, Power::GoingOff { .. }).then(|| clock::boottime() + KILL_AGAIN_AFTER);
        let restarts = self.programs.iter().filter(|_| !self.paused).filter_map(|program| program.restart_at);
        let next = restarts.chain(self.watchdog.bite_at()).chain(self.power_on_at).chain(again).min();
        let set = match next {
            Some(at) => alarm.set(at),
            None => alarm.clear(),
        };
        if let Err(error) = set {
            log::note(&self.spec, &format!("timer: {error}"));
            self.end("it has no timer");
        }
    }

    /// Does what has become due.
    fn due(&mut self) {
        let now = clock::boottime();
        if matches!(self.power, Power::GoingOff { .. }) {
            self.kill_and_reap();
            return;
        }
        if self.watchdog.bite_at().is_some_and(|at| at <= now) {
            self.bite();
            return;
        }
        if self.power_on_at.is_some_and(|at| at <= now)
            && let Err(error) = self.power_on()
        {
            log::note(&self.spec, &format!("power on: {error}"));
        }
        for at in 0..self.programs.len() {
            if !self.paused && self.programs[at].restart_at.is_some_and(|at| at <= now) {
                self.start(at);
            }
        }
    }

    fn start(&mut self, at: usize) {
        if let Err(error) = self.programs[at].start(&self.spec) {
            log::note(&self.spec, &error.to_string());
        }
        self.changed();
    }

    /// Takes note of all children that have ended.
    fn reap(&mut self) {
        let mut any = false;
        // Bounded by the number of children that have ended.
        loop {
            match tree::reap() {
                Ok(Reaped::One(pid)) => {
                    any = true;
                    for program in &mut self.programs {
                        if program.ended(pid) {
                            log::note(&self.spec, &format!("{} has ended", program.spec.name));
                        }
                    }
                    self.changed();
                }
                Ok(Reaped::NoneEnded) => {
                    // Whose parent has just ended is our child now; the rest was told before.
                    if any && matches!(self.power, Power::GoingOff { .. }) {
                        self.kill();
                    }
                    return;
                }
                Ok(Reaped::NoneLeft) => return self.nothing_left(),
                Err(error) => {
                    log::note(&self.spec, &format!("wait for children: {error}"));
                    return;
                }
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Line { from: Socket::Power, text, answer } => self.switch_line(&text, answer),
            Event::Line { from: Socket::Control, text, answer } => self.control_line(&text, answer),
            Event::Line { from: Socket::Watchdog, text, answer } => {
                let now = clock::boottime();
                let reply = match self.power {
                    Power::On { .. } => self.watchdog.line(&text, now),
                    Power::Off | Power::GoingOff { .. } => "error the machine is off".to_owned(),
                };
                let _ = answer.send(reply);
            }
            Event::WatchdogOpened { stays } => {
                let _ = stays.send(self.watchdog.open());
            }
            Event::WatchdogClosed => self.watchdog.close(),
        }
    }

    /// Something happened that somebody may wait for.
    fn changed(&mut self) {
        self.change += 1;
        let change = self.change;
        let (told, waiting) =
            std::mem::take(&mut self.watching).into_iter().partition(|(after, _)| *after < change);
        self.watching = waiting;
        let told: Vec<(u64, oneshot::Sender<String>)> = told;
        if !told.is_empty() {
            let answer = self.status_line();
            for (_, waiting) in told {
                let _ = waiting.send(answer.clone());
            }
        }
    }

    fn status_line(&self) -> String {
        let status: Status = self.status();
        match serde_json::to_string(&status) {
            Ok(json) => format!("ok {json}"),
            Err(error) => format!("error status: {error}"),
        }
    }
}
