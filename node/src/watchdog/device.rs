//! The kernel's watchdog device.
//!
//! A device is set in whole seconds and may round them; what it then says is compared with what was asked. It is
//! armed by being opened, so it is opened only when the daemon is ready to pet it.
//!
//! The kernel closes the descriptors of a process that dies. Most drivers run on then and bite, since no magic
//! character came before the close; others are switched off by any close, unless they are set to `nowayout`. One that
//! a dead daemon does not leave armed proves nothing about a lease, and is refused. A driver says with
//! `WDIOF_MAGICCLOSE` that it waits for the character; IPMI's (`ipmi_watchdog`) has no options to say it with, and waits.
#![allow(unsafe_code)] // the watchdog's ioctls have no safe interface

use super::Watchdog;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// `_IOR('W', 0, struct watchdog_info)`.
const GET_SUPPORT: libc::c_ulong = 0x8028_5700;
/// `_IOWR('W', 6, int)`.
const SET_TIMEOUT: libc::c_ulong = 0xc004_5706;
/// `_IOR('W', 7, int)`.
const GET_TIMEOUT: libc::c_ulong = 0x8004_5707;
/// `WDIOF_MAGICCLOSE` of the driver's options: a close without the magic character leaves the device running.
const MAGIC_CLOSE: u32 = 0x0100;

/// What the driver of BMCs' watchdogs calls itself. It has no common part with the others, and keeps running after a close
/// without the magic character, whatever its options say.
const IPMI: &str = "IPMI";

/// `/dev/watchdog`, the other name of the first device. A driver that is not the kernel's first numbered one and
/// owns this number keeps that one from being there.
const FIRST_BY_OTHER_NAME: (u32, u32) = (10, 130);

/// Where the kernel tells of its devices.
const SYS: &str = "/sys";

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

/// Whether a device stays armed when the daemon that pets it dies; none: the kernel does not tell. `options` are the
/// driver's, `no_way_out` says whether the kernel lets nobody switch it off.
pub(super) const fn outlives_its_daemon(options: Option<u32>, no_way_out: Option<bool>) -> Option<bool> {
    match (options, no_way_out) {
        (_, Some(true)) => Some(true),
        (Some(options), _) => Some(options & MAGIC_CLOSE != 0),
        (None, _) => None,
    }
}

/// What the kernel's file `nowayout` says; none: something else than yes or no.
pub(super) fn read_no_way_out(text: &str) -> Option<bool> {
    match text.trim() {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

/// Where the kernel tells of the device with this number that nobody can switch it off. The file is not there where
/// the kernel was built without it, and for drivers that do without the kernel's common part.
pub(super) fn no_way_out_file(sys: &Path, (major, minor): (u32, u32)) -> PathBuf {
    let device = if (major, minor) == FIRST_BY_OTHER_NAME {
        "class/watchdog/watchdog0".to_owned()
    } else {
        format!("dev/char/{major}:{minor}")
    };
    sys.join(device).join("nowayout")
}

#[repr(C)]
#[derive(Default)]
struct Info {
    options: u32,
    firmware: u32,
    identity: [u8; 32],
}

/// What is known of a device before it is set.
#[derive(Debug)]
pub(super) struct Said {
    /// The driver's name for it.
    pub(super) name: String,
    /// The driver's options.
    pub(super) options: u32,
    /// Whether the kernel lets nobody switch it off; none: it does not tell.
    pub(super) no_way_out: Option<bool>,
}

impl Said {
    fn new(info: &Info, no_way_out: Option<bool>) -> Self {
        let end = info.identity.iter().position(|byte| *byte == 0).unwrap_or(info.identity.len());
        let name = String::from_utf8_lossy(info.identity.get(..end).unwrap_or_default()).into_owned();
        Self { name, options: info.options, no_way_out }
    }

    /// Who it is.
    ///
    /// # Errors
    /// The end of its daemon switches it off.
    pub(super) fn identity(self) -> io::Result<Identity> {
        if self.name == IPMI || outlives_its_daemon(Some(self.options), self.no_way_out) == Some(true) {
            return Ok(Identity { name: self.name });
        }
        let way_out = if self.no_way_out.is_some() {
            "set it to nowayout (its module's parameter nowayout=1, or 1 in its file nowayout below \
             /sys/class/watchdog), or take another device"
        } else {
            "take another device (of this one the kernel does not tell whether it is set to nowayout)"
        };
        Err(io::Error::other(format!(
            "{} is switched off when its daemon dies (its driver has no WDIOF_MAGICCLOSE) and would not end this \
             machine: {way_out}",
            self.name
        )))
    }
}

pub(super) struct Device {
    file: File,
    identity: Identity,
}

impl Device {
    /// Opens and arms the device with this timeout. One that is unfit is switched off again only if `idle`: what an
    /// earlier run of the daemon still holds may lean on it. One that any close switches off was off already, and
    /// is off again.
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
        let identity = self.said().and_then(Said::identity).map_err(named)?;
        let mut seconds = libc::c_int::try_from(timeout_s).unwrap_or(libc::c_int::MAX);
        self.ioctl(SET_TIMEOUT, &raw mut seconds).map_err(named)?;
        self.ioctl(GET_TIMEOUT, &raw mut seconds).map_err(named)?;
        if u32::try_from(seconds).ok().is_none_or(|set| set > timeout_s) {
            return Err(io::Error::other(format!(
                "{}: was set to {timeout_s} s and says {seconds} s; its effective time is longer than configured",
                path.display()
            )));
        }
        Ok(identity)
    }

    fn said(&self) -> io::Result<Said> {
        let mut info = Info::default();
        self.ioctl(GET_SUPPORT, &raw mut info)?;
        let device = self.file.metadata()?.rdev();
        let number = (rustix::fs::major(device), rustix::fs::minor(device));
        let told = std::fs::read_to_string(no_way_out_file(Path::new(SYS), number)).ok();
        Ok(Said::new(&info, told.as_deref().and_then(read_no_way_out)))
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
