//! `process`: the power switch of a lab machine.
//!
//! A lab machine is a set of processes under a supervisor, which plays the hardware; its power
//! switch is a Unix socket (see [`power`]). Only the supervisor's own word `off`,
//! said after it has seen every process of the machine gone, is off. A supervisor that does not
//! answer may be a controller without power, or a cut line: unknown, never off.

use crate::device::{Device, DeviceError, Limits, Outlet, Power, State};
use crate::input::{InputError, Options};
use crate::options::OptionSpec;
use crate::power::{self, Command, PowerError, Reply, Request};
use crate::registry::DeviceKind;
use std::path::PathBuf;

#[cfg(test)]
mod tests;

/// The `process` device.
pub const KIND: DeviceKind = DeviceKind {
    name: "process",
    shortdesc: "Fence agent for lab machines made of processes",
    longdesc: "Switches a lab machine off and on: a set of processes on this host under a supervisor that plays \
the machine's hardware. Off means that the supervisor has seen every process of the machine gone.\n\n\
For demonstrations and tests only. It fences no real machine.",
    options: &[OptionSpec::text("socket_path", "Socket of the machine's power switch").short('s').required()],
    defaults: &[],
    powers_on: true,
    reads_state: true,
    open,
    ..DeviceKind::BASE
};

fn open(options: &Options) -> Result<Box<dyn Device>, InputError> {
    let socket = PathBuf::from(options.need("socket_path")?);
    let plugs = options.plugs().unwrap_or_default();
    // One switch has one machine: two names would be answered by one and the same state.
    if plugs.len() > 1 {
        return Err(InputError::Unusable(format!("one switch, but {} machines in plug", plugs.len())));
    }
    Ok(Box::new(Switch { socket, plug: plugs.into_iter().next() }))
}

struct Switch {
    socket: PathBuf,
    plug: Option<String>,
}

impl Switch {
    fn ask(&self, command: Command, machine: Option<&str>, limits: Limits) -> Result<Reply, PowerError> {
        let request = Request { command, machine: machine.map(str::to_owned) };
        power::ask(&self.socket, &request, limits.login, limits.call)
    }

    fn read(&self, machine: Option<&str>, limits: Limits) -> State {
        match self.ask(Command::Status, machine, limits) {
            Ok(Reply::On(_)) => State::On,
            Ok(Reply::Off) => State::Off,
            Ok(Reply::Error(why)) => State::Unknown(why),
            Err(error) => State::Unknown(error.to_string()),
        }
    }
}

impl Device for Switch {
    fn set(&mut self, plug: &str, wanted: Power, limits: Limits) -> Result<(), DeviceError> {
        let command = match wanted {
            Power::On => Command::On,
            Power::Off => Command::Off,
        };
        match self.ask(command, Some(plug), limits) {
            // What it says here is not relied upon: the state is read back.
            Ok(Reply::On(_) | Reply::Off) => Ok(()),
            Ok(Reply::Error(why)) => Err(DeviceError::Refused(why)),
            Err(error) => Err(DeviceError::NoAnswer(error.to_string())),
        }
    }

    fn state(&mut self, plug: &str, limits: Limits) -> State {
        self.read(Some(plug), limits)
    }

    fn list(&mut self, limits: Limits) -> Result<Vec<Outlet>, DeviceError> {
        let Some(plug) = &self.plug else {
            return Err(DeviceError::Unsupported("name its machine; give plug"));
        };
        let state = self.read(Some(plug), limits);
        Ok(vec![Outlet { plug: plug.clone(), alias: String::new(), state }])
    }

    fn monitor(&mut self, limits: Limits) -> Result<(), DeviceError> {
        match self.read(self.plug.as_deref(), limits) {
            State::On | State::Off => Ok(()),
            State::Unknown(why) => Err(DeviceError::NoAnswer(why)),
        }
    }
}
