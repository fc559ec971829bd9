//! A program's pipes, seen from our side.
//!
//! Contract: output is read as long as the program writes, kept up to the cap and dropped beyond
//! it, so the program never blocks on us. Input is offered as fast as it is taken; a program that
//! does not read it loses nothing but its input.

use crate::sys::watch;
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use zeroize::Zeroizing;

/// What is read at once: the size of a pipe.
const CHUNK_BYTES: usize = 64 * 1024;

/// What the last look into a pipe reads at most, when a descendant that may stay goes on writing:
/// the largest pipe that an unprivileged process can make.
const DRAIN_BYTES_MAX: usize = 1024 * 1024;

/// The captured output of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Captured {
    /// The first bytes, up to the cap.
    pub bytes: Vec<u8>,
    /// How many bytes came after the cap and were dropped.
    pub dropped_bytes: u64,
}

impl Captured {
    /// The bytes as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// Reads one output stream.
pub(super) struct Capture {
    pipe: Option<AsyncFd<OwnedFd>>,
    captured: Captured,
    cap_bytes: usize,
}

impl Capture {
    pub(super) fn closed(cap_bytes: usize) -> Self {
        Self { pipe: None, captured: Captured::default(), cap_bytes }
    }

    pub(super) fn open(&mut self, pipe: Option<OwnedFd>) {
        self.pipe = pipe.and_then(|pipe| watch(pipe, Interest::READABLE).ok());
    }

    /// Reads until the stream's end. Cancel-safe.
    pub(super) async fn read_on(&mut self) {
        let mut chunk = vec![0_u8; CHUNK_BYTES];
        while let Some(pipe) = &self.pipe {
            let Ok(mut ready) = pipe.readable().await else { break };
            match ready.try_io(|pipe| Ok(rustix::io::read(pipe.get_ref(), &mut chunk)?)) {
                Ok(Ok(0)) => break,
                Ok(Ok(length)) => self.keep(chunk.get(..length).unwrap_or_default()),
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(_)) => break,
                Err(_would_block) => {}
            }
        }
        self.pipe = None;
    }

    /// Reads what is in the pipe now, without waiting, and closes it.
    pub(super) fn drain(&mut self) {
        let Some(pipe) = self.pipe.take() else { return };
        let mut chunk = vec![0_u8; CHUNK_BYTES];
        let mut drained = 0;
        while drained < DRAIN_BYTES_MAX {
            match rustix::io::read(pipe.get_ref(), &mut chunk) {
                Ok(length) if length > 0 => {
                    drained += length;
                    self.keep(chunk.get(..length).unwrap_or_default());
                }
                Err(rustix::io::Errno::INTR) => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    pub(super) fn into_captured(self) -> Captured {
        self.captured
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.cap_bytes - self.captured.bytes.len().min(self.cap_bytes);
        let (kept, dropped) = bytes.split_at(room.min(bytes.len()));
        self.captured.bytes.extend_from_slice(kept);
        self.captured.dropped_bytes += dropped.len() as u64;
    }
}

/// Writes the input stream.
pub(super) struct Feed {
    pipe: Option<AsyncFd<OwnedFd>>,
    bytes: Zeroizing<Vec<u8>>,
}

impl Feed {
    pub(super) fn new(pipe: Option<OwnedFd>, bytes: Zeroizing<Vec<u8>>) -> Self {
        Self { pipe: pipe.and_then(|pipe| watch(pipe, Interest::WRITABLE).ok()), bytes }
    }

    /// Writes everything and closes the stream; stops when the program closed its end.
    pub(super) async fn all(&mut self) {
        let mut written = 0;
        while let Some(pipe) = &self.pipe {
            let rest = self.bytes.get(written..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            let Ok(mut ready) = pipe.writable().await else { break };
            match ready.try_io(|pipe| Ok(rustix::io::write(pipe.get_ref(), rest)?)) {
                Ok(Ok(length)) => written += length,
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(_)) => break,
                Err(_would_block) => {}
            }
        }
        self.pipe = None;
    }
}
