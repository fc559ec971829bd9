//! The kernel's watchdog device.
//!
//! A device is set in whole seconds and may round them; what it then says is compared with what was asked. It is
//! armed by being opened, so it is opened only when the daemon is ready to pet it.
#![allow(unsafe_code)] // the watchdog's ioctls have no safe interface

use super::Watchdog;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

/// `_IOR('W', 0, struct watchdog_info)`.
const GET_SUPPORT: libc::c_ulong = 0x8028_5700;
/// `_IOWR('W', 6, int)`.
const SET_TIMEOUT: libc::c_ulong = 0xc004_5706;
/// `_IOR('W', 7, int)`.
const GET_TIMEOUT: libc::c_ulong = 0x8004_5707;

/// What the driver says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub name: String,
}

impl Identity {
    /// The kernel's own timer, which dies with the kernel.
    #[must_use]
    pub fn is_software(&self) -> bool {
        self.name.to_ascii_lowercase().contains("software watchdog")
    }
}

#[repr(C)]
#[derive(Default)]
struct Info {
    options: u32,
    firmware: u32,
    identity: [u8; 32],
}

pub(super) struct Device {
    file: File,
    identity: Identity,
}

impl Device {
    /// Opens and arms the device with this timeout. One that is unfit is switched off again only if `idle`: what an
    /// earlier run of the daemon still holds may lean on it.
    pub(super) fn open(path: &Path, timeout_s: u32, idle: bool) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file = OpenOptions::new().write(true).open(path).map_err(named)?;
        let mut device = Self { file, identity: Identity { name: String::new() } };
        match device.set_up(path, timeout_s) {
            Ok(identity) => {
                device.identity = identity;
                Ok(device)
            }
            Err(error) => {
                if idle {
                    // What cannot be switched off bites.
                    let _ = device.disarm();
                }
                Err(error)
            }
        }
    }

    fn set_up(&mut self, path: &Path, timeout_s: u32) -> io::Result<Identity> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let mut info = Info::default();
        self.ioctl(GET_SUPPORT, &raw mut info).map_err(named)?;
        let mut seconds = libc::c_int::try_from(timeout_s).unwrap_or(libc::c_int::MAX);
        self.ioctl(SET_TIMEOUT, &raw mut seconds).map_err(named)?;
        self.ioctl(GET_TIMEOUT, &raw mut seconds).map_err(named)?;
        if u32::try_from(seconds).ok().is_none_or(|set| set > timeout_s) {
            return Err(io::Error::other(format!(
                "{}: was set to {timeout_s} s and says {seconds} s; its effective time is longer than configured",
                path.display()
            )));
        }
        let end = info.identity.iter().position(|byte| *byte == 0).unwrap_or(info.identity.len());
        let name = String::from_utf8_lossy(info.identity.get(..end).unwrap_or_default()).into_owned();
        Ok(Identity { name })
    }

    pub(super) const fn identity(&self) -> &Identity {
        &self.identity
    }

    fn ioctl<T>(&self, request: libc::c_ulong, argument: *mut T) -> io::Result<()> {
        // SAFETY: the descriptor is open for as long as `self`; each request above reads or writes exactly one
        // value of the type that its caller points to, and the pointer is to a live local.
        let result = unsafe { libc::ioctl(self.file.as_raw_fd(), request as _, argument) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl Watchdog for Device {
    fn pet(&mut self) -> io::Result<()> {
        self.file.write_all(b"\0")
    }

    fn disarm(&mut self) -> io::Result<()> {
        // The magic character: the close that follows switches it off, unless the kernel forbids it.
        self.file.write_all(b"V")
    }

    /// The kernel resets at once; if it cannot any more, nobody pets and the device does.
    fn bite(&mut self) -> io::Result<()> {
        super::kernel_reset(false)
    }
}
