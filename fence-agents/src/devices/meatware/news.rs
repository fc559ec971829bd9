//! Waiting for a change in the spool directory without polling.

use crate::deadline::Deadline;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Room for one read of news; what does not fit is read at the next turn.
const NEWS_BYTES: usize = 4096;

/// A watch on a directory.
#[derive(Debug)]
pub(super) struct News(OwnedFd);

impl News {
    /// Watches for files that appear in `dir`.
    pub(super) fn of(dir: &Path) -> io::Result<Self> {
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        inotify::add_watch(&watch, dir, WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF)?;
        Ok(Self(watch))
    }

    /// Returns when something has appeared since the last call, or at the deadline. News only mean
    /// "look again".
    pub(super) fn wait(&self, until: Deadline) -> io::Result<()> {
        let left = until.remaining().map(Timespec::try_from).transpose();
        let left = left.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut watched = [PollFd::new(&self.0, PollFlags::IN)];
        match poll(&mut watched, left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut news = [0; NEWS_BYTES];
        match rustix::io::read(&self.0, &mut news) {
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
