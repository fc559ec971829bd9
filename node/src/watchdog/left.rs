//! A device that an earlier run of the daemon left armed, while it may not be petted.
//!
//! To open a device is to pet it. A daemon that starts beside what its boot holds, at a time at which that allows no
//! pet, would give the machine one more W each time; one that dies at each start could keep it alive until its lease ends
//! and beyond. So the device stays closed until the first turn that may pet.

use super::{Watchdog, kernel_reset};
use std::io;

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
