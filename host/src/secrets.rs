//! Secrets that wipe themselves, and the files that they come from.
//!
//! Idea: a secret is read from a file that only its owner can read, lives in memory that is wiped,
//! and has no way into a log: its debug form is `<secret>`. Contract: a file that others could
//! read or write is refused with the mode that was found, also when root reads it.

use core::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

#[cfg(test)]
mod tests;

/// The largest secret file: passwords and keys are short, and a wrong path should not fill memory.
pub const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Bytes that are wiped when dropped and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the one place that needs them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text without the line end that editors add, if they are UTF-8.
    #[must_use]
    pub fn expose_line(&self) -> Option<&str> {
        let text = core::str::from_utf8(&self.0).ok()?;
        Some(text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line)))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<secret>")
    }
}

/// A 32-byte key. Wiped when dropped and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// Takes the bytes over.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A new random key.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn random() -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        getrandom::fill(bytes.as_mut()).map_err(|_| Error::NoRandomness)?;
        Ok(Self(bytes))
    }

    /// The bytes, for the one place that needs them.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<secret>")
    }
}

/// Why a secret could not be read or written. Never holds any of its content.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened, read, made or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others than its owner can use the file.
    #[error("{}: mode is {found:04o}, so others than the owner can use it; expected no more than 0700, for example: chmod 600", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        found: u32,
    },
    /// The file belongs to somebody else.
    #[error("{}: belongs to user {found}; expected root or user {current}", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        found: u32,
        /// Who we are.
        current: u32,
    },
    /// The path is not a regular file.
    #[error("{}: not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file is larger than a secret can be.
    #[error("{}: {found} bytes; expected at most {SECRET_BYTES_MAX}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
    },
    /// The file does not hold a key.
    #[error("{}: not a key; expected 64 hexadecimal digits on one line, found {found} characters", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// How many characters it holds.
        found: usize,
    },
    /// The system has no randomness to give.
    #[error("the system gave no random bytes")]
    NoRandomness,
}

/// Reads a secret from a file of root's or ours that nobody else can use.
///
/// # Errors
/// See [`Error`]; the owner and mode are those of the opened file, not of the name.
pub fn read_secret(path: &Path) -> Result<Secret, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    // Without NONBLOCK a path that names a pipe would wait for a writer before we can refuse it.
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(io)?;
    let about = file.metadata().map_err(io)?;
    let (found, current) = (about.uid(), rustix::process::geteuid().as_raw());
    if !about.is_file() {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    if found != 0 && found != current {
        return Err(Error::Owner { path: path.to_owned(), found, current });
    }
    if about.mode() & 0o077 != 0 {
        return Err(Error::Open { path: path.to_owned(), found: about.mode() & 0o7777 });
    }
    if about.len() > SECRET_BYTES_MAX {
        return Err(Error::TooLarge { path: path.to_owned(), found: about.len() });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(about.len()).unwrap_or(0) + 1));
    Read::take(&mut file, SECRET_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
    Ok(Secret(bytes))
}

/// Makes a file that only its owner can use and writes `bytes` to it, synced.
///
/// # Errors
/// The file exists already (it is never overwritten), or cannot be written.
pub fn write_new_secret(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(io)
}

/// Makes a key file: 64 hexadecimal digits, a line end, mode 0600.
///
/// # Errors
/// The file exists already, or cannot be written.
pub fn create_key(path: &Path) -> Result<Key, Error> {
    let key = Key::random()?;
    let mut line = Zeroizing::new(hex(key.expose()));
    line.push('\n');
    write_new_secret(path, line.as_bytes())?;
    Ok(key)
}

/// Reads a key file; the rules of [`read_secret`] hold.
///
/// # Errors
/// See [`Error`].
pub fn read_key(path: &Path) -> Result<Key, Error> {
    let secret = read_secret(path)?;
    let line = secret.expose_line().unwrap_or_default();
    let not_a_key = || Error::NotAKey { path: path.to_owned(), found: line.chars().count() };
    let bytes = Zeroizing::new(parse_hex(line).ok_or_else(not_a_key)?);
    let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| not_a_key())?;
    Ok(Key::new(key))
}

/// Lower-case hexadecimal digits of `bytes`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    // Made in one piece: a string that grows would leave unwiped copies behind.
    let mut text = String::with_capacity(bytes.len() * 2 + 1);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.extend(DIGITS.get(usize::from(nibble)));
        }
    }
    text
}

/// The bytes that hexadecimal digits (either case, an even count) stand for.
#[must_use]
pub fn parse_hex(digits: &str) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    for pair in digits.as_bytes().chunks_exact(2) {
        let [high, low] = pair else { return None };
        bytes.push(nibble(*high)? << 4 | nibble(*low)?);
    }
    Some(bytes)
}
