//! The real program, run as its callers run it: options on standard input, a bounded wait for its end.
#![allow(dead_code, reason = "each test program uses a part of it")]

use picket_fence::deadline::Deadline;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The password of all tests. No run may ever say it.
pub(crate) const PASSWORD: &str = "s3cr3t-\"\\ü!";

/// Far beyond the timeouts that the tests give; a run that lasts longer hangs.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// Timeouts for devices that answer at once: a busy machine does not end a call, and a power state that does
/// not come is not waited for.
pub(crate) const PROMPT: &str =
    "login_timeout=20\nshell_timeout=20\npower_timeout=0.3\nstonith_status_sleep=0.1\nretry_on=0\n";

/// Timeouts for devices that do not answer.
pub(crate) const HASTY: &str = "login_timeout=1\nshell_timeout=1\npower_timeout=0.3\n";

/// A run under way.
pub(crate) struct Running {
    child: Child,
    said: Option<(JoinHandle<String>, JoinHandle<String>)>,
}

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Done {
    /// Its exit status, or none if a signal ended it.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    /// What it wrote to standard output.
    pub(crate) out: String,
    /// What it wrote to standard error.
    pub(crate) err: String,
}

impl Done {
    /// The exit status and the answer.
    pub(crate) fn verdict(&self) -> (Option<i32>, &str) {
        (self.code, self.out.trim_end())
    }

    /// The one line that says why it failed.
    ///
    /// # Panics
    /// It did not fail, claims a success, or explains itself in more or fewer lines.
    pub(crate) fn why(&self) -> &str {
        assert_eq!(self.verdict(), (Some(1), ""), "{self:?}");
        let errors: Vec<&str> = self.err.lines().filter(|line| line.contains(" ERROR: ")).collect();
        assert_eq!(errors.len(), 1, "{}", self.err);
        errors[0].split_once(" ERROR: ").unwrap().1
    }
}

/// Starts `device` with these options.
pub(crate) fn start(device: &str, options: &str) -> Running {
    let mut child = Command::new(env!("CARGO_BIN_EXE_picket-fence"))
        .arg(device)
        .env_remove("PCMK_service")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(options.as_bytes()).unwrap();
    let out = gather(child.stdout.take().unwrap());
    let err = gather(child.stderr.take().unwrap());
    Running { child, said: Some((out, err)) }
}

fn gather(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        text
    })
}

impl Running {
    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It hangs, panicked, or said the password.
    pub(crate) fn end(mut self) -> Done {
        let limit = Deadline::after(HANGS_AFTER);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if limit.is_past() {
                self.child.kill().unwrap();
                panic!("the agent hangs");
            }
            thread::park_timeout(Duration::from_millis(5));
        };
        let (out, err) = self.said.take().unwrap();
        let (out, err) = (out.join().unwrap(), err.join().unwrap());
        assert!(!err.contains("panicked"), "{err}");
        assert!(!out.contains(PASSWORD) && !err.contains(PASSWORD), "it said the password: {out}{err}");
        Done { code: status.code(), signal: status.signal(), out, err }
    }
}

/// Runs `device` with these options to its end.
pub(crate) fn run(device: &str, options: &str) -> Done {
    start(device, options).end()
}

/// Waits for something that is about to happen.
///
/// # Panics
/// It does not.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Deadline::after(HANGS_AFTER);
    while !holds() {
        assert!(!limit.is_past(), "still waiting: {what}");
        thread::park_timeout(Duration::from_millis(2));
    }
}
