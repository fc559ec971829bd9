//! Log lines, levels and numbered operator events.
//!
//! Idea: what an operator has to know is an *event* with a number and a name that never change, so
//! that alerts, digests and other people's scripts can lean on them; everything else is ordinary
//! tracing. Contract: one event is one line, in the form
//!
//! ```text
//! 2026-01-31T12:34:56.789Z NOTIFY [P1203 path-failed] 10.0.0.1 to 10.0.0.2 failed node=n2
//! ```
//!
//! Under the journal the time is left out and the syslog priority stands in front (`<5>`), which
//! the journal takes away again. Levels: INFO, NOTIFY (information that operators act on), WARN,
//! ERROR, CRIT (a person is needed now); below them DEBUG and TRACE of ordinary tracing.
//!
//! A thread of its own writes the lines: a log that is stuck (a journal that hangs, a disk that does
//! not answer) holds up nobody. Lines that find no room are lost, and how many is said.

use crate::clock::{rfc3339, wall};
use core::fmt::{self, Write as _};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

#[cfg(test)]
mod tests;

/// The target of operator events, which are logged at every detail.
const OPERATORS: &str = "picket::event";

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Worth keeping.
    Info,
    /// Information that operators act on.
    Notify,
    /// Something is not as it should be; nothing stopped.
    Warn,
    /// Something failed.
    Error,
    /// A person is needed now.
    Crit,
}

impl Level {
    /// The word in the log.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Notify => "NOTIFY",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Crit => "CRIT",
        }
    }
}

/// The number, name and level of an operator event. Once released, none of them changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventCode {
    /// Unique in all of Picket; shown as `P1203`.
    pub number: u16,
    /// Unique as well; lower-case words joined by hyphens.
    pub name: &'static str,
    /// How much it matters.
    pub level: Level,
}

impl EventCode {
    /// An event code.
    #[must_use]
    pub const fn new(number: u16, name: &'static str, level: Level) -> Self {
        Self { number, name, level }
    }
}

impl fmt::Display for EventCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "P{:04} {}", self.number, self.name)
    }
}

/// Finds what is wrong with lists of event codes: numbers or names that occur twice, and names of
/// the wrong form. A test calls it with the codes of all programs.
///
/// # Errors
/// All faults, one a line.
pub fn check_codes<'a>(codes: impl IntoIterator<Item = &'a EventCode>) -> Result<(), String> {
    let (mut numbers, mut names) = (std::collections::BTreeMap::new(), std::collections::BTreeSet::new());
    let mut faults = String::new();
    for code in codes {
        if let Some(first) = numbers.insert(code.number, code.name) {
            let _ = writeln!(faults, "P{:04} is both {first} and {}", code.number, code.name);
        }
        if !names.insert(code.name) {
            let _ = writeln!(faults, "{} has more than one number", code.name);
        }
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if code.name.is_empty() || !code.name.chars().all(allowed) {
            let _ = writeln!(faults, "{:?} is not lower-case words joined by hyphens", code.name);
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Logs an operator event. Never put a secret into `text`.
pub fn emit(code: &EventCode, text: impl fmt::Display) {
    let event = tracing::field::display(code);
    match code.level {
        Level::Info => tracing::info!(target: OPERATORS, %event, level_word = "INFO", "{text}"),
        Level::Notify => tracing::info!(target: OPERATORS, %event, level_word = "NOTIFY", "{text}"),
        Level::Warn => tracing::warn!(target: OPERATORS, %event, level_word = "WARN", "{text}"),
        Level::Error => tracing::error!(target: OPERATORS, %event, level_word = "ERROR", "{text}"),
        Level::Crit => tracing::error!(target: OPERATORS, %event, level_word = "CRIT", "{text}"),
    }
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Standard error; in the journal's form if the journal listens there.
    Stderr,
    /// The end of a file, which is made with mode 0640 if it is not there.
    File(PathBuf),
}

/// Which tracing lines are logged. Operator events are logged in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// WARN and ERROR.
    Quiet,
    /// And INFO.
    Normal,
    /// And DEBUG.
    Debug,
    /// Everything.
    Trace,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log file cannot be opened.
    #[error("cannot open the log file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was set up before.
    #[error("logging is already set up")]
    Twice,
}

/// Writes what waits to be written when it is dropped, for a second at most. To be kept until the process ends.
#[must_use]
#[derive(Debug)]
pub struct Written {
    _guard: WorkerGuard,
}

/// Sets up logging for the whole process, once.
///
/// # Errors
/// See [`Error`].
pub fn init(output: &Output, detail: Detail) -> Result<Written, Error> {
    let (lines, written) = match output {
        Output::Stderr => {
            // systemd sets this when it connects standard error to the journal.
            let form = if std::env::var_os("JOURNAL_STREAM").is_some() { Form::Journal } else { Form::Plain };
            Lines::new(io::stderr(), form, detail)
        }
        Output::File(path) => {
            let opened = OpenOptions::new().append(true).create(true).mode(0o640).open(path);
            let file = opened.map_err(|source| Error::File { path: path.clone(), source })?;
            Lines::new(file, Form::Plain, detail)
        }
    };
    let subscriber = tracing_subscriber::registry().with(lines);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| Error::Twice)?;
    Ok(written)
}

/// Lines that wait to be written: some minutes of a bad time.
const WAITING_MAX: usize = 8192;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Journal,
}

struct Lines {
    into: Mutex<NonBlocking>,
    lost: ErrorCounter,
    /// How many of the lost lines were told, or need not be.
    told: AtomicUsize,
    form: Form,
    detail: LevelFilter,
}

impl Lines {
    fn new(into: impl Write + Send + 'static, form: Form, detail: Detail) -> (Self, Written) {
        let detail = match detail {
            Detail::Quiet => LevelFilter::WARN,
            Detail::Normal => LevelFilter::INFO,
            Detail::Debug => LevelFilter::DEBUG,
            Detail::Trace => LevelFilter::TRACE,
        };
        let room = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING_MAX);
        let (into, guard) = room.thread_name("picket-log").finish(into);
        let (lost, told) = (into.error_counter(), AtomicUsize::new(0));
        (Self { into: Mutex::new(into), lost, told, form, detail }, Written { _guard: guard })
    }

    fn begin(&self, word: &str) -> String {
        match self.form {
            Form::Plain => format!("{} {word}", rfc3339(wall())),
            Form::Journal => format!("<{}>{word}", priority(word)),
        }
    }

    /// Hands a line over. What was lost before it is told as soon as there is room again.
    fn write(&self, line: &str) {
        let mut into = self.into.lock().unwrap_or_else(PoisonError::into_inner);
        let (lost, told) = (self.lost.dropped_lines(), self.told.load(Ordering::Relaxed));
        if lost > told {
            let count = lost - told;
            let line = format!("{} {count} lines of this log were lost: it was stuck\n", self.begin("WARN"));
            let _ = into.write_all(line.as_bytes());
            // This line is none of those that it tells of, if it is lost itself.
            let found_room = self.lost.dropped_lines() == lost;
            self.told.store(if found_room { lost } else { told + 1 }, Ordering::Relaxed);
        }
        // A log that cannot be written has nowhere to say so.
        let _ = into.write_all(line.as_bytes());
    }

    /// Whether lines from there are logged. What is not is never put into words, and the libraries' spans are not
    /// made: they cost more than what a server does for a heartbeat.
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let (level, target) = (*metadata.level(), metadata.target());
        // Libraries are heard only when something is wrong or details are asked for.
        let is_ours = target.starts_with("picket");
        let quiet = !is_ours && self.detail < LevelFilter::DEBUG;
        let shown = if quiet { self.detail.min(LevelFilter::WARN) } else { self.detail };
        target == OPERATORS && metadata.is_event() || LevelFilter::from_level(level) <= shown
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut parts = Parts::default();
        event.record(&mut parts);
        let level = *event.metadata().level();
        let word = if parts.word.is_empty() { level.to_string() } else { parts.word };
        let mut line = self.begin(&word);
        if !parts.code.is_empty() {
            let _ = write!(line, " [{}]", parts.code);
        }
        // One event is one line: what comes from outside cannot forge another.
        for text in [&parts.message, &parts.fields] {
            if !text.is_empty() {
                line.push(' ');
                line.push_str(&text.trim().replace(['\n', '\r'], " "));
            }
        }
        line.push('\n');
        self.write(&line);
    }
}

/// The syslog priority of a level's word.
fn priority(word: &str) -> u8 {
    match word {
        "CRIT" => 2,
        "ERROR" => 3,
        "WARN" => 4,
        "NOTIFY" => 5,
        "INFO" => 6,
        _ => 7,
    }
}

#[derive(Default)]
struct Parts {
    message: String,
    code: String,
    word: String,
    fields: String,
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            "event" => write!(self.code, "{value:?}"),
            name => write!(self.fields, "{name}={value:?} "),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "level_word" => value.clone_into(&mut self.word),
            _ => self.record_debug(field, &value),
        }
    }
}
