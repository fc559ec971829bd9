//! Passwords: where they come from, and where they never go.
//!
//! Sources, the first that is given: the output of `password_script`; `password_file`, a file of
//! root's that nobody else can read, or, as a name without `/`, a credential that systemd passed to
//! the service; `password` itself, which comes on standard input.
//!
//! Contract: a secret is never an argument of a program that we start, is in no message, and is
//! wiped when dropped.

use crate::deadline::Deadline;
use crate::input::{InputError, Options};
use crate::options::OptionSpec;
use crate::tool;
use picket_host::process::Outcome;
use picket_host::secrets::{self, Secret};
use std::env;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

/// The rows of the option table for a device that logs in with a password.
pub const PASSWORD: OptionSpec =
    OptionSpec::text("password", "Login password; better password_file, or on standard input")
        .short('p')
        .old("passwd")
        .secret();

/// See [`PASSWORD`].
pub const PASSWORD_SCRIPT: OptionSpec =
    OptionSpec::text("password_script", "Program that prints the password").short('S').old("passwd_script");

/// See [`PASSWORD`].
pub const PASSWORD_FILE: OptionSpec = OptionSpec::text(
    "password_file",
    "File that holds the password and that nobody but root can read; without / a systemd credential",
);

/// Where systemd puts the credentials of a service.
pub const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// The password, if one is given. A password script must end before `until`.
///
/// # Errors
/// A source is given that cannot be used. The message never holds the secret.
pub fn password(options: &Options, until: Deadline) -> Result<Option<Secret>, InputError> {
    from(options, env::var_os(CREDENTIALS_VARIABLE).map(PathBuf::from).as_deref(), until)
}

fn from(
    options: &Options,
    credentials: Option<&Path>,
    until: Deadline,
) -> Result<Option<Secret>, InputError> {
    if let Some(script) = options.get("password_script") {
        return printed(Path::new(script), until).map(Some);
    }
    if let Some(file) = options.get("password_file") {
        return read(file, credentials).map(Some);
    }
    Ok(options.get("password").map(|password| Secret::new(password.as_bytes().to_vec())))
}

fn read(file: &str, credentials: Option<&Path>) -> Result<Secret, InputError> {
    let path = match (file.contains('/'), credentials) {
        (true, _) => PathBuf::from(file),
        (false, Some(dir)) => dir.join(file),
        (false, None) => {
            return Err(InputError::Unusable(format!(
                "password_file={file} names a systemd credential, but {CREDENTIALS_VARIABLE} is not set; \
give LoadCredential={file}:… in the unit, or an absolute path"
            )));
        }
    };
    let secret = secrets::read_secret(&path)
        .map_err(|error| InputError::Unusable(format!("password_file: {error}")))?;
    one_line(&secret, &format!("password_file {}", path.display()))
}

fn printed(script: &Path, until: Deadline) -> Result<Secret, InputError> {
    let shown = script.display();
    let unusable = |why: String| InputError::Unusable(format!("password_script {shown}: {why}"));
    let about = script.metadata().map_err(|error| unusable(error.to_string()))?;
    if about.mode() & 0o022 != 0 {
        let mode = about.mode() & 0o7777;
        return Err(unusable(format!("mode is {mode:04o}, so others could change it; chmod go-w")));
    }
    let finished = tool::run(tool::program(&script.to_string_lossy()), until);
    // Its complaints may hold what it was about to print: only how it ended is told.
    if finished.outcome != (Outcome::Exited { code: 0 }) {
        return Err(unusable(finished.outcome.to_string()));
    }
    one_line(&Secret::new(finished.stdout.bytes), &format!("password_script {shown}"))
}

/// A secret without its line end; one with several lines is no password.
fn one_line(secret: &Secret, source: &str) -> Result<Secret, InputError> {
    let line = secret.expose_line().filter(|line| !line.is_empty() && !line.contains(['\n', '\r', '\0']));
    let line = line.ok_or_else(|| InputError::Unusable(format!("{source}: not one line of text")))?;
    Ok(Secret::new(line.as_bytes().to_vec()))
}
