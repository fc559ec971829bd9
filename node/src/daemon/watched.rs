//! The watchdog and the thread that pets it, for the daemon's start.

use super::{StartError, io};
use crate::config::Config;
use crate::control::WatchdogStatus;
use crate::event::{self, Told};
use crate::events::Events;
use crate::watchdog::{self, Bounds, Petting, Trouble};
use core::sync::atomic::AtomicBool;
use picket_core::ids::BootId;
use picket_core::params::Watchdog as Timing;
use std::sync::Arc;

/// The watchdog and the thread that pets it.
pub(super) struct Watched {
    pub(super) petting: Option<Petting>,
    pub(super) status: WatchdogStatus,
}

impl Watched {
    pub(super) fn open(
        config: &Config,
        (start, boot): (watchdog::Start, BootId),
        bounds: &Arc<Bounds>,
        events: &Events,
    ) -> Result<Self, StartError> {
        let record = watchdog::Record::new(&config.run_dir, boot);
        let opened = watchdog::open(&config.watchdog, start, record).map_err(io("watchdog"))?;
        let Some(opened) = opened else {
            let status = WatchdogStatus { text: "none".to_owned(), ..WatchdogStatus::default() };
            return Ok(Self { petting: None, status });
        };
        let counts = opened.counts && config.params.watchdog.is_some();
        if let Some(warning) = &opened.warning {
            events.tell(Told::new(event::DEGRADED, warning.clone()));
        }
        let teller = events.clone();
        let tell = Box::new(move |trouble| teller.tell(told(trouble)));
        let timing = Timing { effective: config.watchdog.effective, pet: config.watchdog.pet };
        let petting = watchdog::start(opened.watchdog, timing, bounds.clone(), tell);
        let petting = petting.map_err(io("the petting thread"))?;
        let (title, effective) = (opened.title, config.watchdog.effective);
        let how = if start.may_pet { "is armed" } else { "is left as it is until it may be petted" };
        let armed = format!(
            "{title} {how}, effective {effective:?}, {}",
            if counts { "counts" } else { "does not count" }
        );
        events.tell(Told::new(event::WATCHDOG_ARMED, armed));
        let petted: Arc<AtomicBool> = petting.petted_flag();
        let text = opened.warning.unwrap_or_default();
        let status = WatchdogStatus { title, armed: opened.armed, counts, effective, petted, text };
        Ok(Self { petting: Some(petting), status })
    }

    /// The start failed after the watchdog was armed. With something held it stays armed, and bites.
    pub(super) fn give_up(self, idle: bool) {
        if let Some(petting) = self.petting.filter(|_| idle) {
            // What cannot be closed bites, as it does when a daemon dies.
            let _ = petting.close();
        }
    }
}

fn told(trouble: Trouble) -> Told {
    match trouble {
        Trouble::NotPetted(why) => {
            Told::new(event::WATCHDOG_FAILED, format!("the watchdog was not petted: {why}"))
        }
        Trouble::PettedAgain => Told::new(event::WATCHDOG_ARMED, "the watchdog is petted again"),
        Trouble::Late { by } => {
            Told::new(event::WATCHDOG_LATE, format!("a pet came {by:?} too late: this machine is reset"))
        }
        Trouble::NoPriority(reason) => Told::new(event::DEGRADED, format!("the petting thread: {reason}")),
    }
}
