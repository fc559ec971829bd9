//! The spool: pending requests and their answers, as files that survive a crash of the writer.
//!
//! ```text
//! <dir>/.lock                    held while anything below changes
//! <dir>/<node>.request           the pending request; every waiting agent holds a shared lock on it
//! <dir>/<node>.<id>.answer       "confirmed" or "denied", for this one request
//! ```
//!
//! Contract: a request is pending exactly as long as an agent waits for it (the kernel drops its
//! lock even if it is killed). An answer counts only for the request with its id, and is written
//! once. Files appear whole: written aside, synced, renamed, the directory synced.

use rustix::fs::{FlockOperation, flock};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

/// The longest name of a machine: with the ending of an answer it still is a file name.
pub const NODE_BYTES_MAX: usize = 128;

/// What a challenge is made of: no letter or digit that is taken for another one.
const CHALLENGE_LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Long enough that nobody types it by habit, short enough to be typed at three in the morning.
const CHALLENGE_LENGTH: usize = 6;

/// Why the spool cannot be used, or says no.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// A file operation failed.
    #[error("cannot {what} {path}: {error}")]
    File {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// Somebody else could write answers there.
    #[error(
        "{path} belongs to user {owner} with mode {mode:o}; it must be ours (user {us}) and writable by us alone"
    )]
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its permission bits.
        mode: u32,
        /// Who we are.
        us: u32,
    },
    /// A name that cannot be a machine's.
    #[error("{0:?} is no machine name: letters, digits, '.', '-', '_' and ':', at most 128, no '.' first")]
    BadNode(String),
    /// Nothing to answer.
    #[error("no pending request for exactly {node:?}; pending: {pending}")]
    NotPending {
        /// The name that was asked for.
        node: String,
        /// The names that are pending, or "none".
        pending: String,
    },
    /// The second answer.
    #[error("the request for {node} has already been {answer}")]
    Answered {
        /// The machine.
        node: String,
        /// What was answered first.
        answer: &'static str,
    },
    /// Another request took the place of the one that was shown.
    #[error("the request for {0} is not the one that was shown; look again")]
    Replaced(String),
    /// A file that is not as we write it.
    #[error("{0} is damaged")]
    Damaged(PathBuf),
}

/// Refuses names that could be paths, hidden files or several words.
///
/// # Errors
/// [`SpoolError::BadNode`].
pub fn check_node(node: &str) -> Result<(), SpoolError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    let fits = !node.is_empty() && node.len() <= NODE_BYTES_MAX && !node.starts_with('.');
    if fits && node.bytes().all(allowed) { Ok(()) } else { Err(SpoolError::BadNode(node.to_owned())) }
}

/// What an operator answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The machine was reset.
    Confirmed,
    /// It will not be.
    Denied,
}

impl Answer {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Denied => "denied",
        }
    }
}

/// A pending request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The machine.
    pub node: String,
    /// What distinguishes this request from every other.
    pub id: String,
    /// What the operator must type.
    pub challenge: String,
    /// When it was made, for people.
    pub since: String,
    /// Where the answer must be recorded.
    pub audit_file: PathBuf,
    /// The shell command that names the machines that are still heard.
    pub heard_check: String,
}

impl Request {
    fn new(node: &str, audit_file: &Path, heard_check: &str) -> io::Result<Self> {
        let mut random = [0_u8; 16 + CHALLENGE_LENGTH];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let (id, challenge) = random.split_at(16);
        // 32 letters: every byte maps without favouring any.
        let letter = |byte: &u8| char::from(CHALLENGE_LETTERS[usize::from(byte % 32)]);
        let since = picket_host::clock::rfc3339(picket_host::clock::wall());
        Ok(Self {
            node: node.to_owned(),
            id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
            challenge: challenge.iter().map(letter).collect(),
            since,
            audit_file: audit_file.to_owned(),
            heard_check: heard_check.to_owned(),
        })
    }

    fn text(&self) -> String {
        let Self { node, id, challenge, since, audit_file, heard_check } = self;
        let audit_file = audit_file.display();
        format!(
            "node={node}\nid={id}\nchallenge={challenge}\nsince={since}\naudit_file={audit_file}\n\
heard_check={heard_check}\nend\n"
        )
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
            Some(value.to_owned())
        };
        if !text.ends_with("\nend\n") {
            return None;
        }
        let request = Self {
            node: field("node")?,
            id: field("id")?,
            challenge: field("challenge")?,
            since: field("since")?,
            audit_file: field("audit_file")?.into(),
            heard_check: field("heard_check")?,
        };
        Some(request).filter(|request| request.is_whole() && request.text() == text)
    }

    /// Whether id and challenge are what is drawn for a request. An empty challenge would be answered by a key.
    fn is_whole(&self) -> bool {
        let is_id = self.id.len() == 32 && self.id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let letters = self.challenge.as_bytes();
        let is_challenge = letters.len() == CHALLENGE_LENGTH
            && letters.iter().all(|letter| CHALLENGE_LETTERS.contains(letter));
        is_id && is_challenge
    }
}

/// A request that this process waits for. Its lock says so to everybody.
#[derive(Debug)]
pub struct Pending {
    request: Request,
    new: bool,
    held: File,
}

impl Pending {
    /// The request.
    #[must_use]
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// Whether this call made it; otherwise another agent waits for it as well.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.new
    }
}

/// The directory of the requests.
#[derive(Clone, Debug)]
pub struct Spool {
    dir: PathBuf,
}

impl Spool {
    /// The spool in `dir`, which need not exist yet.
    #[must_use]
    pub const fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn failed(&self, what: &'static str, error: io::Error) -> SpoolError {
        SpoolError::File { what, path: self.dir.clone(), error }
    }

    /// Makes the directory, for us alone, or checks that it is so.
    ///
    /// # Errors
    /// It cannot be made, or somebody else could write there.
    pub fn prepare(&self) -> Result<(), SpoolError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
        made.map_err(|error| self.failed("create", error))?;
        self.check()
    }

    fn check(&self) -> Result<(), SpoolError> {
        let is = fs::metadata(&self.dir).map_err(|error| self.failed("read", error))?;
        let us = rustix::process::geteuid().as_raw();
        let mode = is.mode() & 0o7777;
        if is.uid() == us && mode & 0o022 == 0 {
            return Ok(());
        }
        Err(SpoolError::Unsafe { path: self.dir.clone(), owner: is.uid(), mode, us })
    }

    fn lock(&self) -> Result<File, SpoolError> {
        let path = self.dir.join(".lock");
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let lock = lock.and_then(|lock| {
            flock(&lock, FlockOperation::LockExclusive)?;
            Ok(lock)
        });
        lock.map_err(|error| SpoolError::File { what: "lock", path, error })
    }

    fn request_path(&self, node: &str) -> PathBuf {
        self.dir.join(format!("{node}.request"))
    }

    fn answer_path(&self, request: &Request) -> PathBuf {
        self.dir.join(format!("{}.{}.answer", request.node, request.id))
    }

    /// Makes a request for `node`, or joins the one that others wait for.
    ///
    /// # Errors
    /// A name that is none, or the spool cannot be used.
    pub fn request(&self, node: &str, audit_file: &Path, heard_check: &str) -> Result<Pending, SpoolError> {
        check_node(node)?;
        let _lock = self.lock()?;
        if let Some((request, file)) = self.waited_for(node)? {
            flock(&file, FlockOperation::LockShared).map_err(|error| self.failed("lock", error.into()))?;
            return Ok(Pending { request, new: false, held: file });
        }
        let request = Request::new(node, audit_file, heard_check)
            .map_err(|error| self.failed("draw a challenge for", error))?;
        let path = self.request_path(node);
        self.write(&path, &request.text())?;
        let held = File::open(&path).and_then(|file| {
            flock(&file, FlockOperation::LockShared)?;
            Ok(file)
        });
        let held = held.map_err(|error| SpoolError::File { what: "lock", path, error })?;
        Ok(Pending { request, new: true, held })
    }

    /// The pending request for `node`, if an agent waits for it. One that nobody waits for is
    /// removed. The spool's lock must be held.
    fn waited_for(&self, node: &str) -> Result<Option<(Request, File)>, SpoolError> {
        let path = self.request_path(node);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SpoolError::File { what: "read", path, error }),
        };
        let text = fs::read_to_string(&path).unwrap_or_default();
        let request = Request::parse(&text).filter(|request| request.node == node);
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // Nobody waits: its agent has died.
            self.remove(node, request.as_ref())?;
            return Ok(None);
        }
        request.map(|request| Some((request, file))).ok_or(SpoolError::Damaged(path))
    }

    fn remove(&self, node: &str, request: Option<&Request>) -> Result<(), SpoolError> {
        let answer = request.map(|request| self.answer_path(request));
        for path in [Some(self.request_path(node)), answer].into_iter().flatten() {
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(SpoolError::File { what: "remove", path, error }),
            }
        }
        Ok(())
    }

    /// What was answered to this request, if anything.
    ///
    /// # Errors
    /// The answer cannot be read, or is none that we write.
    pub fn answer(&self, request: &Request) -> Result<Option<Answer>, SpoolError> {
        let path = self.answer_path(request);
        match fs::read_to_string(&path) {
            Ok(text) if text.trim_end() == Answer::Confirmed.word() => Ok(Some(Answer::Confirmed)),
            Ok(text) if text.trim_end() == Answer::Denied.word() => Ok(Some(Answer::Denied)),
            Ok(_) => Err(SpoolError::Damaged(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SpoolError::File { what: "read", path, error }),
        }
    }

    /// Ends waiting. `true` if nobody else waits, so that the request is gone now.
    ///
    /// # Errors
    /// The spool cannot be used.
    pub fn withdraw(&self, pending: Pending) -> Result<bool, SpoolError> {
        let _lock = self.lock()?;
        let Pending { request, new: _, held } = pending;
        // Closing alone would not do it while a child between fork and exec has the file too.
        flock(&held, FlockOperation::Unlock).map_err(|error| self.failed("unlock", error.into()))?;
        Ok(self.waited_for(&request.node)?.is_none())
    }

    /// The names of the machines that agents wait for.
    ///
    /// # Errors
    /// The spool cannot be used.
    pub fn pending(&self) -> Result<Vec<String>, SpoolError> {
        if !self.dir.exists() {
            return Ok(Vec::new());
        }
        let _lock = self.lock()?;
        let mut nodes = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(|error| self.failed("read", error))? {
            let name = entry.map_err(|error| self.failed("read", error))?.file_name();
            if let Some(node) = name.to_str().and_then(|name| name.strip_suffix(".request"))
                && self.waited_for(node)?.is_some()
            {
                nodes.push(node.to_owned());
            }
        }
        nodes.sort();
        Ok(nodes)
    }

    /// The pending, unanswered request for exactly `node`, for showing it.
    ///
    /// # Errors
    /// There is none, it was already answered, or the spool is not ours alone.
    pub fn look(&self, node: &str) -> Result<Request, SpoolError> {
        let not_pending = |pending: &[String]| SpoolError::NotPending {
            node: node.to_owned(),
            pending: if pending.is_empty() { "none".to_owned() } else { pending.join(", ") },
        };
        let pending = self.pending()?;
        if check_node(node).is_err() || !pending.iter().any(|name| name == node) {
            return Err(not_pending(&pending));
        }
        self.check()?;
        let _lock = self.lock()?;
        let Some((request, _)) = self.waited_for(node)? else { return Err(not_pending(&[])) };
        self.unanswered(&request)?;
        Ok(request)
    }

    fn unanswered(&self, request: &Request) -> Result<(), SpoolError> {
        match self.answer(request)? {
            Some(answer) => Err(SpoolError::Answered { node: request.node.clone(), answer: answer.word() }),
            None => Ok(()),
        }
    }

    /// Answers the request that was shown. `record` is called, with the spool locked, before the
    /// answer can be seen; if it fails nothing is answered.
    ///
    /// # Errors
    /// The request is no longer pending, was answered or replaced meanwhile, or `record` failed.
    pub fn give(
        &self,
        shown: &Request,
        answer: Answer,
        record: impl FnOnce() -> Result<(), SpoolError>,
    ) -> Result<(), SpoolError> {
        let _lock = self.lock()?;
        let gone = || SpoolError::NotPending { node: shown.node.clone(), pending: "not asked".to_owned() };
        let (request, _) = self.waited_for(&shown.node)?.ok_or_else(gone)?;
        if request != *shown {
            return Err(SpoolError::Replaced(shown.node.clone()));
        }
        self.unanswered(&request)?;
        record()?;
        self.write(&self.answer_path(&request), &format!("{}\n", answer.word()))
    }

    /// Makes a whole, synced file appear. The spool's lock must be held: one aside at a time.
    fn write(&self, path: &Path, text: &str) -> Result<(), SpoolError> {
        let aside = self.dir.join(".aside");
        let written = (|| {
            let mut file =
                OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&aside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&aside, path)?;
            File::open(&self.dir)?.sync_all()
        })();
        written.map_err(|error| SpoolError::File { what: "write", path: path.to_owned(), error })
    }
}
