//! Who asked, confirmed or denied what, when, from where: one line each, synced before it counts.

use super::spool::{Request, SpoolError};
use picket_host::clock;
use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// What the kernel says for "nobody logged in".
const NO_LOGIN: &str = "4294967295";

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An agent asked for a reset.
    Requested,
    /// An operator confirmed it.
    Confirmed,
    /// An operator denied it.
    Denied,
    /// An operator typed the wrong challenge.
    WrongChallenge,
    /// The agent no longer waits.
    Expired,
}

impl Event {
    const fn word(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Confirmed => "confirmed",
            Self::Denied => "denied",
            Self::WrongChallenge => "wrong-challenge",
            Self::Expired => "expired",
        }
    }
}

/// Who does something, as far as the kernel and the login tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// User and login user.
    pub who: String,
    /// Terminal and remote address.
    pub from: String,
}

impl Actor {
    /// This process.
    #[must_use]
    pub fn here() -> Self {
        let uid = rustix::process::getuid().as_raw().to_string();
        // Unlike the user id, it survives su and sudo.
        let login = fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
        let login = Some(login.trim()).filter(|uid| !uid.is_empty() && *uid != NO_LOGIN);
        let mut who = format!("uid={uid}({})", user_name(&uid).unwrap_or_default());
        if let Some(login) = login {
            who.push_str(&format!(" login={login}({})", user_name(login).unwrap_or_default()));
        }
        if let Ok(user) = env::var("SUDO_USER") {
            who.push_str(&format!(" sudo={user}"));
        }
        let terminal = fs::read_link("/proc/self/fd/0").ok().filter(|path| path.starts_with("/dev"));
        let mut from =
            format!("tty={}", terminal.map_or_else(|| "none".to_owned(), |tty| tty.display().to_string()));
        if let Some(address) =
            env::var("SSH_CLIENT").ok().and_then(|all| Some(all.split(' ').next()?.to_owned()))
        {
            from.push_str(&format!(" ssh={address}"));
        }
        Self { who, from }
    }
}

fn user_name(uid: &str) -> Option<String> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.split(':').nth(2) == Some(uid))?;
    line.split(':').next().map(str::to_owned)
}

/// Appends one line and syncs it.
///
/// # Errors
/// The line may not be on the disk; what it records must not take effect.
pub fn append(path: &Path, event: Event, request: &Request, actor: &Actor) -> Result<(), SpoolError> {
    let line = format!(
        "{} event={} node={} request={} pid={} who=\"{}\" from=\"{}\"\n",
        clock::rfc3339(clock::wall()),
        event.word(),
        request.node,
        request.id,
        std::process::id(),
        plain(&actor.who),
        plain(&actor.from),
    );
    let written = open(path).and_then(|mut file| {
        file.write_all(line.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| SpoolError::File { what: "record in", path: path.to_owned(), error })
}

/// Tests that lines could be appended.
///
/// # Errors
/// They could not.
pub fn check(path: &Path) -> Result<(), SpoolError> {
    open(path).map(drop).map_err(|error| SpoolError::File { what: "record in", path: path.to_owned(), error })
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Environment variables are the user's: they must not forge a line or a field.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || c == '"' { '?' } else { c }).collect()
}
