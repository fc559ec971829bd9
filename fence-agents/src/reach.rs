//! Where a program runs: on this machine, or on another one by `ssh`.
//!
//! Contract: `ssh` asks nothing and is given no password; an unknown host key is a failure. What runs
//! on the other side gets its words as they are: nothing in them is read by the remote shell.

use crate::deadline::Deadline;
use crate::input::{InputError, Options};
use crate::options::{Kind, OptionSpec};
use crate::tool;
use picket_host::process::Program;

/// The rows of the option table for a device that goes through ssh.
pub const IDENTITY_FILE: OptionSpec = OptionSpec::text("identity_file", "Private key for ssh").short('k');

/// See [`IDENTITY_FILE`].
pub const SSH_OPTIONS: OptionSpec =
    OptionSpec::text("ssh_options", "More words for ssh, separated by blanks");

/// See [`IDENTITY_FILE`].
pub const SSH_PATH: OptionSpec = OptionSpec::text("ssh_path", "The ssh program here").default("ssh");

/// See [`IDENTITY_FILE`].
pub const SSH_PORT: OptionSpec =
    OptionSpec::text("ipport", "TCP port of ssh").short('u').kind(Kind::Integer).default("22");

/// Where programs run.
#[derive(Clone, Debug)]
pub enum Reach {
    /// This machine.
    Here,
    /// Another one, by ssh.
    Ssh {
        /// Its name or address.
        host: String,
        /// The words before the host.
        words: Vec<String>,
        /// The program.
        ssh: String,
    },
}

/// Who and where, as far as it is not what the options say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Target<'t> {
    /// The login there.
    pub username: Option<&'t str>,
    /// The port of its ssh.
    pub port: Option<u16>,
    /// The private key for it.
    pub identity_file: Option<&'t str>,
}

impl Reach {
    /// Reads how to reach `host`; `None` is this machine.
    ///
    /// # Errors
    /// The host or an option cannot be used.
    pub fn read(options: &Options, host: Option<&str>, target: Target<'_>) -> Result<Self, InputError> {
        let Some(host) = host else { return Ok(Self::Here) };
        let username = target.username.or_else(|| options.get("username"));
        let odd = |word: &str| word.is_empty() || word.starts_with('-') || word.contains(char::is_whitespace);
        if odd(host) {
            return Err(InputError::Unusable(format!("{host:?} is no host; check ip")));
        }
        if let Some(username) = username.filter(|username| odd(username)) {
            return Err(InputError::Unusable(format!("{username:?} is no login; check username")));
        }
        // BatchMode: no question, no password; an unknown host key is a failure. -n: no input.
        let mut words: Vec<String> =
            ["-n", "-T", "-x", "-a", "-q", "-o", "BatchMode=yes"].map(String::from).into();
        let port = match target.port {
            Some(port) => port.into(),
            None => options.integer("ipport", u16::MAX.into())?,
        };
        words.extend(["-p".to_owned(), port.to_string()]);
        words.extend(username.into_iter().flat_map(|username| ["-l".to_owned(), username.to_owned()]));
        if let Some(key) = target.identity_file.or_else(|| options.get("identity_file")) {
            words.extend(["-i".to_owned(), key.to_owned(), "-o".to_owned(), "IdentitiesOnly=yes".to_owned()]);
        }
        let more = options.get("ssh_options").unwrap_or_default();
        words.extend(more.split_whitespace().map(str::to_owned));
        Ok(Self::Ssh { host: host.to_owned(), words, ssh: options.need("ssh_path")?.to_owned() })
    }

    /// For people; `here` is what this machine is called.
    #[must_use]
    pub fn name<'n>(&'n self, here: &'n str) -> &'n str {
        match self {
            Self::Here => here,
            Self::Ssh { host, .. } => host,
        }
    }

    /// The program of these words, ready to run; ssh must be connected by `login`.
    #[must_use]
    pub fn program(&self, words: &[&str], login: Deadline) -> Program {
        match self {
            Self::Here => {
                let (name, rest) = words.split_first().unwrap_or((&"", &[]));
                tool::program(name).args(rest.iter().copied())
            }
            Self::Ssh { host, words: before, ssh } => {
                let mut program = tool::program(ssh).args(before);
                if let Some(left) = login.remaining() {
                    // ssh counts whole seconds, and 0 would be "no limit".
                    program = program.arg("-o").arg(format!("ConnectTimeout={}", left.as_secs().max(1)));
                }
                let command: Vec<String> = words.iter().map(|word| quoted(word)).collect();
                program.arg("--").arg(host).arg(command.join(" "))
            }
        }
    }
}

/// One word for a remote shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
