//! The program: `picketd --config FILE`, `picketd check-config [FILE]`, `picketd watchdog …`.

use crate::config::Config;
use crate::daemon::{self, Daemon};
use crate::driver::Ended;
use crate::event;
use crate::volume::drbd;
use crate::watchdog::measure;
use clap::{Parser, Subcommand};
use core::time::Duration;
use picket_core::node::NodeAnswer;
use picket_host::config::parse_duration;
use picket_host::logging::{self, emit};
use picket_host::output::say;
use picket_host::sys::{Permitted, ServiceState, forbid_core_dumps, lock_memory, notify_service_manager};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// The node daemon of Picket.
#[derive(Debug, Parser)]
#[command(name = "picketd", version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, global = true, default_value = "/etc/picket/picketd.toml")]
    config: PathBuf,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Report every error in the configuration, the certificates and the keys, and end.
    CheckConfig {
        /// The file, instead of --config.
        file: Option<PathBuf>,
    },
    /// Look at the machine's watchdog.
    #[command(subcommand)]
    Watchdog(WatchdogAction),
}

#[derive(Debug, Subcommand)]
enum WatchdogAction {
    /// Measure the effective time: from the last pet to the machine being dead.
    Measure {
        /// The device, or the socket of a lab machine's watchdog.
        device: PathBuf,
        /// What it is set to, for example 1s; whole seconds for a device.
        #[arg(long, value_parser = length)]
        timeout: Duration,
        /// Where the time is written down until the machine dies; read it with `recorded` after the boot.
        #[arg(long)]
        record: Option<PathBuf>,
        /// A device is measured by letting it reset this machine at once, without stopping anything.
        #[arg(long)]
        this_machine_will_be_reset: bool,
    },
    /// Show what a measurement wrote down before the machine died.
    Recorded {
        /// The file.
        file: PathBuf,
    },
}

fn length(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| format!("{text:?} is no length of time such as \"1s\""))
}

/// Why the program ended in failure; printed as it is.
type Failure = Box<dyn std::error::Error>;

/// Runs the program with these arguments, the program's name first. Exit status 0: it ended as it was told to;
/// 1: it could not start or go on, and standard error says why; 2: the arguments are wrong.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to standard output; a closed one is nothing to tell anybody.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let done = match arguments.action {
        None => serve(&arguments.config),
        Some(Action::CheckConfig { file }) => check(&file.unwrap_or(arguments.config)),
        Some(Action::Watchdog(action)) => watchdog(action),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn check(path: &Path) -> Result<(), Failure> {
    let config = Config::read(path)?;
    daemon::check(&config)?;
    let drbd = drbd::check::all(&config);
    if !drbd.problems.is_empty() {
        return Err(drbd.problems.join("\n").into());
    }
    for warning in config.warnings.iter().chain(&drbd.unseen) {
        eprintln!("warning: {warning}");
    }
    Ok(say(format_args!("{}: no errors; configuration {:016x}\n", path.display(), config.digest().0))?)
}

fn watchdog(action: WatchdogAction) -> Result<(), Failure> {
    use std::os::unix::fs::FileTypeExt;
    match action {
        WatchdogAction::Measure { device, timeout, record, this_machine_will_be_reset } => {
            if std::fs::metadata(&device)?.file_type().is_socket() {
                let effective = measure::lab_effective(&device, timeout)?;
                return Ok(say(format_args!("{} ms\n", effective.as_millis()))?);
            }
            let Some(record) = record.filter(|_| this_machine_will_be_reset) else {
                return Err("a real watchdog is measured by letting it reset this machine: give --record FILE and --this-machine-will-be-reset".into());
            };
            let seconds = u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX);
            if seconds == 0 || timeout.subsec_nanos() != 0 {
                return Err("a device is set in whole seconds".into());
            }
            Ok(measure::until_death(&device, seconds, &record)?)
        }
        WatchdogAction::Recorded { file } => {
            Ok(say(format_args!("effective = \"{}ms\"\n", measure::recorded(&file)?.as_millis()))?)
        }
    }
}

fn serve(path: &Path) -> Result<(), Failure> {
    forbid_core_dumps()?;
    let config = Config::read(path)?;
    let _written = logging::init(&config.log.output, config.log.detail)?;
    match lock_memory() {
        Permitted::Yes { what } => tracing::info!("{what}"),
        Permitted::No { reason } => tracing::warn!("{reason}"),
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(until_told(config));
    if let Err(failure) = &ended {
        emit(&event::FAILED, failure);
    }
    ended
}

async fn until_told(config: Config) -> Result<(), Failure> {
    // Before anything runs, so that an early signal is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut daemon = Daemon::start(config)?;
    tell_manager(ServiceState::Ready);
    let why = loop {
        tokio::select! {
            () = daemon.wait() => break "an operator",
            _ = terminate.recv() => break "SIGTERM",
            _ = interrupt.recv() => break "SIGINT",
            // The configuration is read at the start only.
            _ = hangup.recv() => tracing::info!("SIGHUP is ignored"),
        }
    };
    tell_manager(ServiceState::Stopping);
    if why != "an operator" {
        // An operator's stop has released already, or has left everything running on purpose.
        match daemon.stop().await {
            Some(NodeAnswer::Done) => {}
            Some(other) => tracing::warn!(?other, "not everything could be handed over"),
            None => tracing::warn!("the loop has ended"),
        }
    }
    match daemon.end().await {
        Some(Ended::Told { .. }) => {
            emit(&event::STOPPED, format_args!("stopped by {why}"));
            Ok(())
        }
        // The watchdog stays armed: what is held runs on without anybody who looks after it.
        Some(Ended::Store(error)) => Err(format!("what must be kept cannot be kept: {error}").into()),
        Some(Ended::Timer(error)) => Err(format!("the loop has no timer: {error}").into()),
        None => Err("the loop broke off".into()),
    }
}

fn tell_manager(state: ServiceState<'_>) {
    if let Err(error) = notify_service_manager(state) {
        tracing::warn!("the service manager could not be told {state:?}: {error}");
    }
}
