//! The program: `picket-witness --config FILE [check-config]` and `picket-witness dump DIR`.

use crate::codes;
use crate::config::Config;
use crate::server;
use crate::store;
use clap::{Parser, Subcommand};
use picket_host::files::RealFiles;
use picket_host::logging::{self, emit};
use picket_host::output::say;
use picket_host::sys::{
    Permitted, ServiceState, forbid_core_dumps, lock_memory, notify_service_manager, realtime_priority,
};
use picket_host::tls::Credentials;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// The third-site witness of Picket.
#[derive(Debug, Parser)]
#[command(name = "picket-witness", version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, global = true, default_value = "/etc/picket/witness.toml")]
    config: PathBuf,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Report every error in the configuration and the certificates, and end.
    CheckConfig,
    /// Print a store, after every checksum was checked. Works beside a running witness.
    Dump {
        /// The store's directory.
        directory: PathBuf,
    },
}

/// The priority of the witness, where the kernel permits it: above ordinary work, below the kernel's own.
const PRIORITY: u8 = 10;

/// So many tasks run at most until timers and connections are looked at again. The longest piece of work is a TLS
/// handshake, of about a millisecond: many that come at once delay nobody's deadline by more than a few.
const TASKS_BETWEEN_LOOKS: u32 = 8;

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
    let done = match &arguments.action {
        None => serve(&arguments.config),
        Some(Action::CheckConfig) => check(&arguments.config)
            .and_then(|_| Ok(say(format_args!("{}: no errors\n", arguments.config.display()))?)),
        Some(Action::Dump { directory }) => dump(directory),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn check(path: &Path) -> Result<(Config, Credentials), Failure> {
    let config = Config::read(path)?;
    let credentials = Credentials::read(&config.tls.ca, &config.tls.cert, &config.tls.key)?;
    Ok((config, credentials))
}

fn dump(directory: &Path) -> Result<(), Failure> {
    Ok(say(format_args!("{}", store::dump(&RealFiles, directory)?))?)
}

fn serve(path: &Path) -> Result<(), Failure> {
    forbid_core_dumps()?;
    let (config, credentials) = check(path)?;
    let _written = logging::init(&config.log.output, config.log.detail)?;
    match lock_memory() {
        Permitted::Yes { what } => tracing::info!("{what}"),
        Permitted::No { reason } => tracing::info!("{reason}"),
    }
    match realtime_priority(PRIORITY) {
        Permitted::Yes { what } => tracing::info!("{what}"),
        Permitted::No { reason } => tracing::info!("ordinary priority: {reason}"),
    }
    // One thread for the loop and all connections: a message that is handed from thread to thread wakes each of them,
    // which costs an idle witness twice as much.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().event_interval(TASKS_BETWEEN_LOOKS).build()?;
    let ended = runtime.block_on(until_told(config, credentials));
    if let Err(failure) = &ended {
        emit(&codes::FAILED, failure);
    }
    ended
}

async fn until_told(config: Config, credentials: Credentials) -> Result<(), Failure> {
    // Before anything listens, so that an early signal is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut running = server::start(config, &credentials, Arc::new(RealFiles)).await?;
    tell_manager(ServiceState::Ready);
    let why = tokio::select! {
        ended = running.wait() => return Ok(ended?),
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tell_manager(ServiceState::Stopping);
    running.stop().await;
    running.wait().await?;
    emit(&codes::STOPPED, format_args!("stopped by {why}"));
    Ok(())
}

fn tell_manager(state: ServiceState<'_>) {
    let told: io::Result<()> = notify_service_manager(state);
    if let Err(error) = told {
        tracing::warn!("the service manager could not be told {state:?}: {error}");
    }
}
