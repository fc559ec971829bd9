//! What an agent says about its work: to standard error, to the system log, to a file.
//!
//! Standard output belongs to the answer (`Status: ON`, metadata, lists); everything else goes
//! here. No message ever holds the value of a password option: messages are made of what devices
//! answered and of names, never of the options as a whole.

use picket_host::clock;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// Where the system log listens.
const SYSTEM_LOG: &str = "/dev/log";

/// Facility "daemon" of the syslog protocol, already shifted.
const FACILITY_DAEMON: u8 = 3 << 3;

/// How much a message matters; the numbers are those of syslog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A person must act now.
    Critical = 2,
    /// The action failed.
    Error = 3,
    /// Something is odd, the action goes on.
    Warning = 4,
    /// What is done; shown only with `verbose`.
    Info = 6,
}

impl Severity {
    const fn word(self) -> &'static str {
        match self {
            Self::Critical => "CRIT",
            Self::Error => "ERROR",
            Self::Warning => "WARN",
            Self::Info => "INFO",
        }
    }
}

/// Where messages go.
#[derive(Debug)]
pub struct Reporter {
    name: String,
    quiet: bool,
    verbose: bool,
    system_log: Option<UnixDatagram>,
    file: Option<File>,
}

impl Reporter {
    /// For the agent called `name`. Without a system log it does without.
    #[must_use]
    pub fn new(name: &str, quiet: bool, verbose: bool) -> Self {
        Self { name: name.to_owned(), quiet, verbose, system_log: system_log(), file: None }
    }

    /// Only standard error, for tests and for commands typed by a person.
    #[must_use]
    pub fn local(name: &str) -> Self {
        Self { name: name.to_owned(), quiet: false, verbose: false, system_log: None, file: None }
    }

    /// Also writes to this file, at its end.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn add_file(&mut self, path: &Path) -> io::Result<()> {
        self.file = Some(OpenOptions::new().create(true).append(true).open(path)?);
        Ok(())
    }

    /// Says `text`. A log that cannot be written is no reason to stop a fence.
    pub fn say(&self, severity: Severity, text: &str) {
        if severity == Severity::Info && !self.verbose && self.file.is_none() {
            return;
        }
        let line = format!("{} {}: {text}", clock::rfc3339(clock::wall()), severity.word());
        if let Some(file) = &self.file {
            let mut file = file;
            let _ = writeln!(file, "{line}");
        }
        if severity == Severity::Info && !self.verbose {
            return;
        }
        if !self.quiet || severity == Severity::Critical {
            let _ = writeln!(io::stderr(), "{line}");
        }
        if let Some(log) = &self.system_log {
            let priority = FACILITY_DAEMON | severity as u8;
            let record = format!("<{priority}>{}[{}]: {text}", self.name, std::process::id());
            let _ = log.send(record.as_bytes());
        }
    }
}

/// A socket that never blocks: a stuck log must not delay a fence.
fn system_log() -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    socket.connect(SYSTEM_LOG).ok()?;
    Some(socket)
}
