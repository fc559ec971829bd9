//! A device that an earlier run of the daemon left armed, while it may not be petted.
//!
//! To open a device is to pet it. A daemon that starts beside what its boot holds, at a time at which that allows no
//! pet, would give the machine one more W each time; one that dies at each start could keep it alive for ever. So the
//! device stays closed until the first turn that may pet, and what it is comes from the kernel's files.

use super::device::{Identity, below_sys};
use super::{Watchdog, kernel_reset};
use std::io;
use std::path::Path;

type Open = Box<dyn FnMut() -> io::Result<Box<dyn Watchdog>> + Send>;

/// The device, opened by the first pet.
pub(super) struct Left {
    open: Open,
    opened: Option<Box<dyn Watchdog>>,
}

impl Left {
    pub(super) fn new(open: Open) -> Self {
        Self { open, opened: None }
    }
}

impl Watchdog for Left {
    /// The first opens it, and nothing else: the clock is looked at between the two.
    fn pet(&mut self) -> io::Result<()> {
        match &mut self.opened {
            Some(watchdog) => watchdog.pet(),
            None => {
                self.opened = Some((self.open)()?);
                Ok(())
            }
        }
    }

    fn disarm(&mut self) -> io::Result<()> {
        if self.opened.is_none() {
            self.pet()?;
        }
        self.opened.as_mut().map_or(Ok(()), |watchdog| watchdog.disarm())
    }

    fn bite(&mut self) -> io::Result<()> {
        match &mut self.opened {
            Some(watchdog) => watchdog.bite(),
            None => kernel_reset(false),
        }
    }
}

/// What the kernel's files tell of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Who it is; none: not told.
    pub(super) identity: Option<Identity>,
    /// Somebody has armed it, and it bites at the latest so many seconds after a pet; none: not told, or not armed.
    pub(super) armed_s: Option<u32>,
}

/// Looks at the files of the device with this number below `sys`; it is not opened.
pub(super) fn told(sys: &Path, number: (u32, u32)) -> Told {
    let files = below_sys(sys, number);
    let read = |name: &str| std::fs::read_to_string(files.join(name)).ok().map(|text| text.trim().to_owned());
    let is_active = read("state").as_deref() == Some("active");
    let seconds = || read("timeout")?.parse().ok();
    Told {
        identity: read("identity").map(|name| Identity { name }),
        armed_s: is_active.then(seconds).flatten(),
    }
}
