//! `ipmi`: a management controller with IPMI over LAN.
//!
//! ```text
//!  Device (here) ─▶ line: connect, ask, reconnect once ─▶ ipmi-rs: commands (chassis)
//!                                                             │ its public connection trait
//!                        session: pure state machine ◀── connection: UDP socket, clock
//! ```
//! Off is asked for with Chassis Control "power down" and believed only when Get Chassis Status,
//! whole, authenticated and asked afterwards, says that the power is off.
//!
//! One controller has one machine (or, behind it with `target`, another one), so `plug` chooses
//! nothing; it is what messages call the machine.

use self::chassis::{Behind, ChassisControl, Control, GetChassisStatus};
use self::identity::{GetSystemGuid, is_of};
use self::line::Line;
use crate::device::{Device, DeviceError, Limits, Outlet, Power, State};
use crate::parting::Farewell;
use crate::uuid::Uuid;
use std::sync::Arc;

mod chassis;
mod connection;
pub mod console;
mod identity;
mod line;
mod open;
pub(crate) mod session;

pub use open::KIND;

/// One controller.
pub(crate) struct Controller {
    line: Arc<Line>,
    behind: Behind,
    plug: String,
    /// The machine that is meant, if the options say so, until the controller was seen to be its own.
    uuid: Option<Uuid>,
    warnings: Vec<String>,
}

impl Controller {
    /// Refuses a controller of another machine: addresses change, and controllers are swapped.
    fn identify(&mut self, limits: Limits) -> Result<(), DeviceError> {
        let Some(uuid) = self.uuid else { return Ok(()) };
        let guid = self.line.ask(GetSystemGuid(self.behind), limits).map_err(|error| match error {
            DeviceError::Refused(why) => DeviceError::Refused(format!("asked for its UUID: {why}")),
            error @ (DeviceError::NoAnswer(_) | DeviceError::Unsupported(_)) => error,
        })?;
        if !is_of(uuid, guid) {
            return Err(DeviceError::Refused(format!(
                "the controller belongs to another machine: its UUID is {}, not {uuid}; check ip and uuid",
                identity::shown(guid)
            )));
        }
        self.uuid = None;
        Ok(())
    }

    fn control(&mut self, control: Control, limits: Limits) -> Result<(), DeviceError> {
        self.identify(limits)?;
        self.line.ask(ChassisControl(control, self.behind), limits)
    }

    fn read(&mut self, limits: Limits) -> Result<State, DeviceError> {
        self.identify(limits)?;
        let powered = self.line.ask(GetChassisStatus(self.behind), limits)?;
        Ok(if powered { State::On } else { State::Off })
    }
}

impl Device for Controller {
    fn set(&mut self, _: &str, wanted: Power, limits: Limits) -> Result<(), DeviceError> {
        let control = match wanted {
            Power::On => Control::Up,
            Power::Off => Control::Down,
        };
        self.control(control, limits)
    }

    fn state(&mut self, _: &str, limits: Limits) -> State {
        self.read(limits).unwrap_or_else(|error| State::Unknown(error.to_string()))
    }

    fn list(&mut self, limits: Limits) -> Result<Vec<Outlet>, DeviceError> {
        let state = self.read(limits)?;
        Ok(vec![Outlet { plug: self.plug.clone(), alias: String::new(), state }])
    }

    fn diagnose(&mut self, _: &str, limits: Limits) -> Result<(), DeviceError> {
        self.control(Control::Diagnose, limits)
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    fn farewell(&self) -> Option<Farewell> {
        let line = Arc::clone(&self.line);
        Some(Arc::new(move || line.leave()))
    }

    fn close(&mut self) {
        self.line.close();
    }
}
