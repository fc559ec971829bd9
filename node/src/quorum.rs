//! The quorum checks that ask others than members and witness: `tcp_remote`, whether a majority of listed hosts takes
//! a TCP connection, and `storage`, whether a majority of listed directories on shared storage takes a file.
//!
//! Advisory. Each is asked at an interval; one that was not asked yet counts as unknown, not as silent. A storage that
//! hangs holds up nobody: its directory is silent until the attempt comes back, and no second one is made meanwhile.

use crate::config::{Asked, Config, Quorum};
use crate::driver::Wake;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use futures_util::future::join_all;
use picket_core::node::Input;
use picket_core::quorum::{Vote, tcp_remote};
use picket_host::config::HostPort;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};

#[cfg(test)]
mod tests;

/// How many answered the last question.
#[derive(Clone, Debug, Default)]
pub struct Answers(Arc<AtomicUsize>);

impl Answers {
    /// How many.
    #[must_use]
    pub fn newest(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Asks for ever, and tells the loop each time.
pub async fn run(config: Arc<Config>, answers: Answers, into: mpsc::Sender<Wake>) {
    let quorum = &config.quorum;
    let mut asker = Asker::new(quorum, &format!("picket-quorum-{}-{}", config.cluster, config.name));
    let mut turn = interval(quorum.interval);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        let (vote, answered) = asker.ask(quorum.timeout).await;
        answers.0.store(answered, Ordering::Relaxed);
        if into.send(Input::RemoteVote(vote).into()).await.is_err() {
            return;
        }
    }
}

enum Asker {
    Hosts(Vec<HostPort>),
    Directories(Vec<Directory>),
}

impl Asker {
    fn new(quorum: &Quorum, file: &str) -> Self {
        match &quorum.asked {
            Asked::Hosts(hosts) => Self::Hosts(hosts.clone()),
            Asked::Directories(directories) => {
                let directory = |path: &PathBuf| Directory { file: path.join(file), turn: 0, attempt: None };
                Self::Directories(directories.iter().map(directory).collect())
            }
        }
    }

    /// The vote, and how many answered.
    async fn ask(&mut self, limit: Duration) -> (Vote, usize) {
        let answers: Vec<bool> = match self {
            Self::Hosts(hosts) => join_all(hosts.iter().map(|host| takes_connection(host, limit))).await,
            Self::Directories(all) => join_all(all.iter_mut().map(|one| one.takes_file(limit))).await,
        };
        let answered = answers.iter().filter(|answered| **answered).count();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        (tcp_remote(count(answered), count(answers.len() - answered), 0), answered)
    }
}

async fn takes_connection(host: &HostPort, limit: Duration) -> bool {
    let connect = TcpStream::connect((host.host.clone(), host.port));
    timeout(limit, connect).await.is_ok_and(|connected| connected.is_ok())
}

/// A directory on shared storage, and the attempt on it that has not come back.
struct Directory {
    file: PathBuf,
    turn: u64,
    attempt: Option<oneshot::Receiver<io::Result<()>>>,
}

impl Directory {
    async fn takes_file(&mut self, limit: Duration) -> bool {
        let late = self.attempt.is_some();
        let mut attempt = match self.attempt.take() {
            Some(attempt) => attempt,
            None => self.begin(),
        };
        match timeout(limit, &mut attempt).await {
            // What was begun at an earlier question answers that one.
            Ok(answer) => !late && matches!(answer, Ok(Ok(()))),
            Err(_) => {
                self.attempt = Some(attempt);
                false
            }
        }
    }

    /// A thread of its own for each attempt: one that hangs in the kernel hangs there alone, and ends with the process.
    fn begin(&mut self) -> oneshot::Receiver<io::Result<()>> {
        let (done, attempt) = oneshot::channel();
        self.turn += 1;
        let (file, turn) = (self.file.clone(), self.turn);
        let thread = std::thread::Builder::new().name("picket-quorum".to_owned());
        // Without a thread the sender is gone, which is no answer.
        drop(thread.spawn(move || drop(done.send(write_and_read_back(&file, turn)))));
        attempt
    }
}

fn write_and_read_back(path: &Path, turn: u64) -> io::Result<()> {
    let written = format!("{turn}\n");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(written.as_bytes())?;
    file.sync_all()?;
    let mut read = String::new();
    OpenOptions::new().read(true).open(path)?.read_to_string(&mut read)?;
    if read == written { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}
