//! What is said to the switch and to the control socket, and what follows from it.

use super::super::control::{Command, PowerState, ProgramState, ProgramStatus, STATUS_SCHEMA, Status};
use super::super::program::Program;
use super::super::tree;
use super::power::{Power, Waiting};
use super::{Supervisor, log};
use picket_fence::power::{self as switch, Reply, Request};
use picket_host::clock;
use rustix::process::Signal;
use tokio::sync::oneshot;

/// How many may wait at once, for each kind of waiting; whoever steers a lab waits once or twice.
const WAITING_MAX: usize = 64;

/// How often a pause looks for processes that were started while it stopped the others. Each turn
/// leaves fewer that can start any.
const PAUSE_TURNS: usize = 3;

impl Supervisor {
    pub(super) fn switch_line(&mut self, text: &str, answer: oneshot::Sender<String>) {
        if !self.switch_answers {
            if self.unanswered.len() < WAITING_MAX {
                self.unanswered.push(answer);
            }
            return;
        }
        let request = match text.parse() {
            Ok(request) => request,
            Err(error) => {
                let _ = answer.send(Reply::Error(switch::PowerError::to_string(&error)).to_string());
                return;
            }
        };
        let Request { command, machine } = request;
        let waiting = Waiting { command, answer, words: |reply| reply.to_string() };
        if let Some(machine) = machine.filter(|machine| *machine != self.spec.name) {
            let why = format!("this is the switch of {}, not of {machine}", self.spec.name);
            return waiting.tell(Reply::Error(why));
        }
        if self.waiting.len() >= WAITING_MAX {
            return waiting.tell(Reply::Error("too many are waiting".to_owned()));
        }
        self.order(waiting);
    }

    pub(super) fn control_line(&mut self, text: &str, answer: oneshot::Sender<String>) {
        let command: Command = match text.parse() {
            Ok(command) => command,
            Err(error) => {
                let _ = answer.send(format!("error {error}"));
                return;
            }
        };
        log_unless_look(self, &command);
        let order = match &command {
            Command::On => Some(switch::Command::On),
            Command::Off => Some(switch::Command::Off),
            Command::Reboot => Some(switch::Command::Reboot),
            Command::Status
            | Command::Change(_)
            | Command::Freeze(_)
            | Command::Thaw(_)
            | Command::Kill(_)
            | Command::Stop(_)
            | Command::Start(_)
            | Command::Pause
            | Command::Resume
            | Command::Switch { .. } => None,
        };
        if let Some(command) = order {
            return self.order(Waiting { command, answer, words: in_control_words });
        }
        if let Command::Change(after) = command
            && after >= self.change
            && self.watching.len() < WAITING_MAX
        {
            self.watching.push((after, answer));
            return;
        }
        let reply = match self.steer(&command) {
            Ok(reply) => reply,
            Err(why) => format!("error {why}"),
        };
        let _ = answer.send(reply);
    }

    fn steer(&mut self, command: &Command) -> Result<String, String> {
        match command {
            Command::Status | Command::Change(_) => return Ok(self.status_line()),
            Command::Freeze(name) => self.powered_program(name)?.freeze()?,
            Command::Thaw(name) => self.powered_program(name)?.thaw()?,
            Command::Kill(name) => self.powered_program(name)?.kill()?,
            Command::Stop(name) => self.powered_program(name)?.stop()?,
            Command::Start(name) => {
                let spec = self.spec.clone();
                self.powered_program(name)?.start(&spec).map_err(|error| error.to_string())?;
            }
            Command::Pause => self.pause()?,
            Command::Resume => self.resume()?,
            Command::Switch { answers } => {
                self.switch_answers = *answers;
                // What a dead switch was asked is lost.
                self.unanswered.clear();
            }
            Command::On | Command::Off | Command::Reboot => return Err("not carried out".to_owned()),
        }
        self.changed();
        Ok("ok".to_owned())
    }

    fn powered_program(&mut self, name: &str) -> Result<&mut Program, String> {
        let Power::On { .. } = self.power else { return Err("the machine is off".to_owned()) };
        let program = self.programs.iter_mut().find(|program| program.spec.name == name);
        program.ok_or_else(|| format!("no program {name}"))
    }

    fn pause(&mut self) -> Result<(), String> {
        let Power::On { .. } = self.power else { return Err("the machine is off".to_owned()) };
        self.paused = true;
        self.watchdog.pause(clock::boottime());
        for _ in 0..PAUSE_TURNS {
            tree::signal_all(Signal::STOP, &[]).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn resume(&mut self) -> Result<(), String> {
        if !self.paused {
            return Err("the machine is not paused".to_owned());
        }
        self.paused = false;
        self.watchdog.resume(clock::boottime());
        let frozen = self.programs.iter().filter(|program| program.frozen).filter_map(|program| program.pid);
        let frozen: Vec<_> = frozen.collect();
        tree::signal_all(Signal::CONT, &frozen).map_err(|error| error.to_string())
    }

    pub(super) fn status(&self) -> Status {
        let (power, boot) = match self.power {
            Power::Off => (PowerState::Off, None),
            Power::On { boot } => (PowerState::On, Some(boot.to_string())),
            Power::GoingOff { boot, .. } => (PowerState::GoingOff, Some(boot.to_string())),
        };
        Status {
            schema: STATUS_SCHEMA,
            change: self.change,
            machine: self.spec.name.clone(),
            power,
            boot_id: boot,
            boots: self.boots,
            paused: self.paused,
            switch_answers: self.switch_answers,
            watchdog_armed: self.watchdog.is_armed(),
            bites: self.bites,
            programs: self.programs.iter().map(program_status).collect(),
        }
    }
}

fn log_unless_look(supervisor: &Supervisor, command: &Command) {
    if !matches!(command, Command::Status | Command::Change(_)) {
        log::note(&supervisor.spec, &format!("control: {command}"));
    }
}

fn in_control_words(reply: Reply) -> String {
    match reply {
        Reply::On(_) | Reply::Off => "ok".to_owned(),
        Reply::Error(why) => format!("error {why}"),
    }
}

fn program_status(program: &Program) -> ProgramStatus {
    let state = match (program.pid, program.frozen, program.restart_at) {
        (Some(_), true, _) => ProgramState::Frozen,
        (Some(_), false, _) => ProgramState::Running,
        (None, _, Some(_)) => ProgramState::Restarting,
        (None, _, None) => ProgramState::Ended,
    };
    ProgramStatus {
        name: program.spec.name.clone(),
        state,
        pid: program.pid.map(|pid| pid.as_raw_pid()),
        starts: program.starts,
    }
}
