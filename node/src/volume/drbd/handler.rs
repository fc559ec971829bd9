//! What DRBD's kernel module runs: `picket-drbd-fence-peer` and `picket-drbd-unfence`.
//!
//! The kernel suspends a Primary's writes when it loses a peer, and runs the `fence-peer` handler. With an exit of 4 or
//! 7 it takes the peer for outdated and goes on in one step; with 6 it outdates its own disk; with 5 it *assumes* the
//! peer dead and goes on. So the contract is:
//!
//! | exit | when |
//! |---|---|
//! | 4 | the witness has recorded that the peer is out of the in-sync set |
//! | 7 | the same, and the peer was fenced as well |
//! | 6 | another node holds the volume with a higher epoch |
//! | 1 | everything else: no daemon, no answer, no understanding, too late. The volume stays suspended |
//!
//! Never 5. The daemon goes on by itself when the removal is recorded after a handler has given up.

use core::time::Duration;
use picket_host::clock::boottime;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The peer is out of the in-sync set, as recorded.
pub const OUTDATED: u8 = 4;
/// Another node holds the volume.
pub const SUPERSEDED: u8 = 6;
/// The peer is out of the in-sync set, as recorded, and was fenced.
pub const FENCED: u8 = 7;
/// Nothing is known: stay suspended.
pub const STAY: u8 = 1;

/// The longest request line that is read.
pub const REQUEST_BYTES_MAX: u64 = 256;

/// The longest answer line that is read: `exit N` is 7 bytes.
const ANSWER_BYTES_MAX: usize = 16;

/// How long a handler waits for the daemon unless its arguments say else. A longer wait would gain nothing: the daemon
/// lifts the suspension by itself later.
const WAIT: Duration = Duration::from_secs(120);

/// Where the daemon's run-time files are, unless the arguments say else.
pub const RUN_DIR: &str = "/run/picket";

/// What a handler asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// May writes go on without the peer?
    FencePeer,
    /// The peer is back and in sync.
    UnfencePeer,
    /// May this replica be overwritten by the peer's data?
    BeforeResyncTarget,
    /// This replica has been brought in sync.
    AfterResyncTarget,
}

impl Question {
    const ALL: [(&'static str, Self); 4] = [
        ("fence-peer", Self::FencePeer),
        ("unfence-peer", Self::UnfencePeer),
        ("before-resync-target", Self::BeforeResyncTarget),
        ("after-resync-target", Self::AfterResyncTarget),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, question)| *question == self).map_or("fence-peer", |(word, _)| word)
    }

    /// Understands a request line: the question, and the peer unless DRBD did not tell it.
    #[must_use]
    pub fn understand(line: &str) -> Option<(Self, Option<String>)> {
        let mut words = line.strip_suffix('\n')?.split(' ');
        let word = words.next()?;
        let (_, question) = Self::ALL.iter().find(|(known, _)| *known == word)?;
        let peer = words.next().filter(|peer| !peer.is_empty())?;
        words.next().is_none().then(|| (*question, (peer != "-").then(|| peer.to_owned())))
    }
}

/// The socket of a resource's driver.
#[must_use]
pub fn socket(run_dir: &Path, resource: &str) -> PathBuf {
    run_dir.join(format!("drbd-{resource}.sock"))
}

/// What the environment and the arguments say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What is asked.
    pub question: Question,
    /// The resource.
    pub resource: String,
    /// The peer, if DRBD told it.
    pub peer: Option<String>,
    /// Where the daemon listens.
    pub run_dir: PathBuf,
    /// How long its answer is waited for.
    pub wait: Duration,
}

impl Call {
    /// Reads arguments (`--run-dir DIR`, `--wait SECONDS`, a question's word) and DRBD's variables.
    ///
    /// # Errors
    /// What is missing or not understood.
    pub fn read(
        default: Question,
        arguments: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let (mut question, mut run_dir, mut wait) = (default, PathBuf::from(RUN_DIR), WAIT);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let argument = argument.to_string_lossy().into_owned();
            match argument.as_str() {
                "--run-dir" => run_dir = arguments.next().ok_or("--run-dir needs a directory")?.into(),
                "--wait" => {
                    let text = arguments.next().ok_or("--wait needs seconds")?;
                    let seconds = text.to_str().and_then(|text| text.parse().ok());
                    wait = Duration::from_secs(seconds.ok_or("--wait needs whole seconds")?);
                }
                word => {
                    let known = Question::ALL.iter().find(|(known, _)| *known == word);
                    question = known.ok_or_else(|| format!("{word:?} is no argument of this program"))?.1;
                }
            }
        }
        let resource = variable("DRBD_RESOURCE").ok_or("DRBD_RESOURCE is not set: DRBD runs this program")?;
        // It names a socket beside others'.
        if resource.is_empty() || resource.contains(|letter: char| letter == '/' || letter.is_control()) {
            return Err(format!("DRBD_RESOURCE is {resource:?}, which is no resource's name"));
        }
        let word =
            |name: &str| variable(name).and_then(|text| text.split_whitespace().next().map(str::to_owned));
        // DRBD 9 calls for one peer by its number and lists the names; 8.4 has one peer.
        let by_number = variable("DRBD_PEER_NODE_ID").and_then(|id| word(&format!("DRBD_NODE_ID_{id}")));
        let peer = by_number.or_else(|| word("DRBD_PEERS")).or_else(|| word("DRBD_PEER"));
        Ok(Self { question, resource, peer, run_dir, wait })
    }

    /// The line that asks it.
    #[must_use]
    pub fn request(&self) -> String {
        format!("{} {}\n", self.question.word(), self.peer.as_deref().unwrap_or("-"))
    }

    /// Asks the daemon. What it does not say in so many words is [`STAY`].
    #[must_use]
    pub fn fence_peer(&self) -> u8 {
        match self.ask() {
            Ok(code) => of_fence_peer(code),
            Err(error) => {
                eprintln!("picket-drbd-fence-peer: {}: {error}: writes stay suspended", self.resource);
                STAY
            }
        }
    }

    /// Tells the daemon. 1 only where it says that this replica must not be overwritten: the kernel drops the
    /// connection then.
    #[must_use]
    pub fn unfence(&self) -> u8 {
        match self.ask() {
            Ok(code) => u8::from(code != 0),
            Err(error) => {
                eprintln!("picket-drbd-unfence: {}: {error}", self.resource);
                // Only a node that holds the volume has anything to refuse, and a holder is not a resync's target.
                0
            }
        }
    }

    fn ask(&self) -> io::Result<u8> {
        let until = boottime().saturating_add(self.wait);
        let mut stream = connect(&socket(&self.run_dir, &self.resource), until)?;
        stream.set_write_timeout(Some(self.wait.max(Duration::from_millis(1))))?;
        stream.write_all(self.request().as_bytes())?;
        let mut line = Vec::new();
        // Ends: the line has a bound, and each turn reads a byte of it or looks at the clock.
        while line.len() < ANSWER_BYTES_MAX && line.last() != Some(&b'\n') {
            let left = until.saturating_sub(boottime());
            if left.is_zero() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the daemon has not answered in time"));
            }
            stream.set_read_timeout(Some(left))?;
            let mut byte = [0_u8; 1];
            match stream.read(&mut byte) {
                Ok(0) => break,
                Ok(_) => line.extend_from_slice(&byte),
                // A signal is no answer, and the kernel does not restart a read that has a timeout.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        answered(&line).ok_or_else(|| io::Error::other("the daemon's answer is not understood"))
    }
}

/// The exit status in the daemon's line, `exit N`; none: it is not understood.
#[must_use]
pub fn answered(line: &[u8]) -> Option<u8> {
    let text = core::str::from_utf8(line).ok()?;
    let code: u8 = text.strip_prefix("exit ")?.strip_suffix('\n')?.parse().ok()?;
    // Whatever else reads as this number is not what the daemon writes.
    (text == format!("exit {code}\n")).then_some(code)
}

/// What a `fence-peer` handler exits with when the daemon says this: only what settles something is passed on.
#[must_use]
pub const fn of_fence_peer(code: u8) -> u8 {
    match code {
        OUTDATED | FENCED | SUPERSEDED => code,
        _ => STAY,
    }
}

/// Connects; a signal that comes in between is no answer.
fn connect(socket: &Path, until: Duration) -> io::Result<UnixStream> {
    // Ends when the handler's time is over.
    loop {
        match UnixStream::connect(socket) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted && boottime() < until => {}
            connected => return connected,
        }
    }
}
