//! What stands in a server's directory beside its data.
//!
//! Contract: whenever a server is not granted to this node, `standby.signal` is on its disk, so that it can start as
//! nothing but a replica, whoever starts it. It is put back right after each promotion, which takes it away.
//!
//! A replica that is being rebuilt is marked beside its directory, because the directory itself may be emptied.

use picket_host::process::{Program, SYSTEM_PATH};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};

/// The settings that are put on top of the user's.
pub(super) const CONF: &str = "picket.conf";

const SIGNAL: &str = "standby.signal";

/// Says that the data was nobody's copy when it was taken over: all of it is there.
const ORIGINAL: &str = "picket.original";

/// A server's directory.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    pub(super) data: PathBuf,
}

impl Directory {
    /// The user that it belongs to, which must be the one that runs the server.
    fn owner(&self) -> io::Result<(u32, u32)> {
        let data = fs::metadata(&self.data)?;
        Ok((data.uid(), data.gid()))
    }

    /// Nothing is in it: a replica that has never been.
    pub(super) fn is_empty(&self) -> io::Result<bool> {
        Ok(fs::read_dir(&self.data)?.next().is_none())
    }

    /// Makes sure, also after a crash, that a server that starts here is a replica.
    pub(super) fn put_signal(&self) -> io::Result<()> {
        let path = self.data.join(SIGNAL);
        if !path.exists() {
            self.create(&path)?.sync_all()?;
        }
        File::open(&self.data)?.sync_all()
    }

    pub(super) fn has_signal(&self) -> bool {
        self.data.join(SIGNAL).exists()
    }

    /// Where the settings stand.
    pub(super) fn conf(&self) -> PathBuf {
        self.data.join(CONF)
    }

    /// Takes the place of the settings. They are written anew before each start, so they need not survive a crash.
    pub(super) fn write_conf(&self, text: &str) -> io::Result<()> {
        let draft = self.data.join("picket.conf.new");
        // One that was left behind may belong to somebody else.
        remove_if_there(&draft)?;
        self.create(&draft)?.write_all(text.as_bytes())?;
        fs::rename(draft, self.conf())
    }

    /// The history of a timeline; none: there is none, as of the first one.
    pub(super) fn history(&self, timeline: u32) -> Option<String> {
        fs::read_to_string(self.data.join("pg_wal").join(format!("{timeline:08X}.history"))).ok()
    }

    /// Settings were written here: the server was ours before.
    pub(super) fn was_ours(&self) -> bool {
        self.conf().exists()
    }

    pub(super) fn is_original(&self) -> bool {
        self.data.join(ORIGINAL).exists()
    }

    pub(super) fn set_original(&self) -> io::Result<()> {
        self.create(&self.data.join(ORIGINAL))?.sync_all()?;
        File::open(&self.data)?.sync_all()
    }

    pub(super) fn clear_original(&self) -> io::Result<()> {
        remove_if_there(&self.data.join(ORIGINAL))
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        if rustix::process::geteuid().is_root() {
            let (user, group) = self.owner()?;
            chown(path, Some(user), Some(group))?;
        }
        Ok(file)
    }

    fn mark(&self) -> PathBuf {
        let mut path: OsString = self.data.clone().into_os_string();
        path.push(".picket-rebuild");
        path.into()
    }

    /// The replica is being rebuilt: what is in the directory is nothing to be started.
    pub(super) fn is_marked(&self) -> io::Result<bool> {
        self.mark().try_exists()
    }

    pub(super) fn set_mark(&self) -> io::Result<()> {
        let path = self.mark();
        let text =
            "picketd rebuilds the replica beside this file. It is not complete until this file is gone.\n";
        let mut file = File::create(&path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        sync_parent(&path)
    }

    pub(super) fn clear_mark(&self) -> io::Result<()> {
        let path = self.mark();
        remove_if_there(&path)?;
        sync_parent(&path)
    }

    /// Removes everything in it, for a copy that takes its place. Only of what is marked, and never of a server
    /// whose tablespaces lie elsewhere: they are not ours to remove.
    pub(super) fn empty(&self) -> io::Result<()> {
        if !self.is_marked()? {
            return Err(io::Error::other("the directory is not marked as being rebuilt"));
        }
        let spaces = self.data.join("pg_tblspc");
        if spaces.is_dir() && fs::read_dir(&spaces)?.next().is_some() {
            return Err(io::Error::other(format!(
                "{} has tablespaces elsewhere; copy this replica by hand",
                self.data.display()
            )));
        }
        for entry in fs::read_dir(&self.data)? {
            let path = entry?.path();
            // A log directory that is a link, or pg_wal on a disk of its own: the link goes, and what it leads to stays.
            if fs::symlink_metadata(&path)?.is_dir() {
                fs::remove_dir_all(&path)?;
            } else {
                fs::remove_file(&path)?;
            }
        }
        File::open(&self.data)?.sync_all()
    }
}

pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// A program of PostgreSQL's, run as the user that runs the server.
pub(super) fn program(bin: &Path, name: &str, os_user: &str, directory: &Directory) -> Program {
    let path = bin.join(name);
    let own = directory.owner().is_ok_and(|(user, _)| user == rustix::process::geteuid().as_raw());
    let program = if own {
        Program::new(path)
    } else {
        let words = ["--reuid", os_user, "--regid", os_user, "--init-groups", "--"];
        Program::new("/usr/bin/setpriv").args(words).arg(path)
    };
    program.env("PATH", SYSTEM_PATH).env("LC_ALL", "C")
}
