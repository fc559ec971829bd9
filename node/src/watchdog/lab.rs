//! The watchdog of a lab machine: a socket of its supervisor.
//!
//! Each line has one answer: `pet <ms>` → `ok <effective ms>`, `V` → `ok 0`, `measure <ms>` → `effective <ms>`,
//! anything else → `error <why>`. The supervisor bites so long after it has read the pet.

use super::Watchdog;
use core::time::Duration;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The longest answer.
const LINE_BYTES_MAX: usize = 256;

pub(super) struct Lab {
    socket: PathBuf,
    stream: Option<UnixStream>,
    effective: Duration,
    answer_within: Duration,
}

impl Lab {
    /// Connects, and checks that the watchdog bites within `effective`.
    pub(super) fn connect(socket: &Path, effective: Duration, pet: Duration) -> io::Result<Self> {
        // A slow answer may eat what is left of the effective time after one period, and no more.
        let answer_within = (effective.saturating_sub(pet) / 2).max(Duration::from_millis(1));
        let mut lab = Self { socket: socket.to_owned(), stream: None, effective, answer_within };
        let found = measure_on(lab.stream()?, effective)?;
        if found > effective {
            return Err(io::Error::other(format!(
                "{}: bites {found:?} after a pet; the configuration says {effective:?}",
                socket.display()
            )));
        }
        Ok(lab)
    }

    fn stream(&mut self) -> io::Result<&mut UnixStream> {
        if self.stream.is_none() {
            let stream = UnixStream::connect(&self.socket)?;
            stream.set_read_timeout(Some(self.answer_within))?;
            stream.set_write_timeout(Some(self.answer_within))?;
            self.stream = Some(stream);
        }
        self.stream.as_mut().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))
    }

    fn ask(&mut self, line: &str, expected: &str) -> io::Result<()> {
        let answered = self.stream().and_then(|stream| ask(stream, line));
        match answered {
            Ok(answer) if answer.split_whitespace().next() == Some(expected) => Ok(()),
            Ok(answer) => {
                self.stream = None;
                Err(io::Error::other(format!("{line:?} was answered by {answer:?}")))
            }
            Err(error) => {
                self.stream = None;
                Err(error)
            }
        }
    }
}

impl Watchdog for Lab {
    fn pet(&mut self) -> io::Result<()> {
        let line = format!("pet {}", self.effective.as_millis());
        self.ask(&line, "ok")
    }

    fn disarm(&mut self) -> io::Result<()> {
        self.ask("V", "ok")?;
        self.stream = None;
        Ok(())
    }

    fn bite(&mut self) -> io::Result<()> {
        self.ask("pet 1", "ok")
    }
}

/// What a lab watchdog's effective time for `timeout` is; changes nothing.
pub(super) fn measure(socket: &Path, timeout: Duration) -> io::Result<Duration> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    measure_on(&mut stream, timeout)
}

fn measure_on(stream: &mut UnixStream, timeout: Duration) -> io::Result<Duration> {
    let answer = ask(stream, &format!("measure {}", timeout.as_millis().max(1)))?;
    let effective = answer.strip_prefix("effective ").and_then(|ms| ms.parse().ok());
    let effective =
        effective.ok_or_else(|| io::Error::other(format!("measure was answered by {answer:?}")))?;
    Ok(Duration::from_millis(effective))
}

fn ask(stream: &mut UnixStream, line: &str) -> io::Result<String> {
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut answer = Vec::new();
    // Each read gives at least one byte, so the bound on the line bounds the loop.
    while answer.len() < LINE_BYTES_MAX {
        let mut byte = [0_u8; 1];
        match stream.read(&mut byte) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) if byte == *b"\n" => {
                return String::from_utf8(answer).map_err(|_| io::ErrorKind::InvalidData.into());
            }
            Ok(_) => answer.extend(byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}
