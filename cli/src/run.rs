//! The program, under all of its names.

use crate::args::Cli;
use crate::demo::machine::supervisor_main;
use crate::exit::{Exit, Fault};
use crate::multicall::Program;
use crate::session::Session;
use crate::verbs;
use clap::Parser;
use picket_fence::command;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs what these words ask for, the program's own path first.
#[must_use]
pub fn run(words: &[OsString]) -> ExitCode {
    let (program, used) = Program::of_words(words);
    let rest = words.get(used..).unwrap_or_default();
    let named = || std::iter::once(OsString::from(program.name())).chain(rest.iter().cloned());
    match program {
        Program::Picket => picket(words),
        Program::Meatclient => meatclient(rest),
        Program::Node => picket_node::run(named()),
        Program::Witness => picket_witness::run(named()),
        Program::Ledger => ledger(rest),
        Program::Fence => fence(words, used),
        Program::LabMachine => match supervisor_main() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
    }
}

fn failed(error: &dyn core::fmt::Display) -> ExitCode {
    // Standard error that is gone has nobody behind it.
    let _ = writeln!(io::stderr(), "{error}");
    ExitCode::FAILURE
}

fn picket(words: &[OsString]) -> ExitCode {
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output; a closed one is nothing to tell anybody.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let mut session = Session::of_process(cli.socket.clone(), cli.json);
    let ended = runtime().and_then(|runtime| runtime.block_on(verbs::run(cli, &mut session)));
    end(ended)
}

/// Of several threads: the demonstration's cables and clients must not wait for each other.
fn runtime() -> Result<tokio::runtime::Runtime, Fault> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

fn end(ended: Result<Exit, Fault>) -> ExitCode {
    match ended {
        Ok(exit) => exit.into(),
        // Whoever reads us has read enough.
        Err(Fault::Terminal(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(fault) => {
            let _ = writeln!(io::stderr(), "picket: {fault}");
            fault.exit().into()
        }
    }
}

fn meatclient(rest: &[OsString]) -> ExitCode {
    let words: Vec<String> = rest.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let socket = std::env::var_os("PICKET_SOCKET").map(PathBuf::from);
    let mut session = Session::of_process(socket, false);
    let asked = runtime().and_then(|runtime| runtime.block_on(verbs::as_meatclient(&words, &mut session)));
    match asked {
        Ok(Some(exit)) => exit.into(),
        Ok(None) => agent(command::CONFIRM_NAME, &words),
        Err(fault) => end(Err(fault)),
    }
}

fn fence(words: &[OsString], used: usize) -> ExitCode {
    // Under `run-as` the name is the word before the rest, else that of the link.
    let name = words.get(used - 1).map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    let rest = words.get(used..).unwrap_or_default();
    let rest: Vec<String> = rest.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    agent(&name, &rest)
}

fn agent(name: &str, words: &[String]) -> ExitCode {
    command::main_as(name, words).into()
}

/// The server only: the tools around it are the installed program's.
fn ledger(rest: &[OsString]) -> ExitCode {
    let [option, file] = rest else {
        return failed(&"picket-ledger: expected --config FILE");
    };
    if option != "--config" {
        return failed(&format_args!("picket-ledger: expected --config, got {}", option.to_string_lossy()));
    }
    let config = match picket_ledger::Config::load(&PathBuf::from(file)) {
        Ok(config) => config,
        Err(error) => return failed(&error),
    };
    let log = picket_host::logging::Output::Stderr;
    let _written = match picket_host::logging::init(&log, picket_host::logging::Detail::Normal) {
        Ok(written) => written,
        Err(error) => return failed(&error),
    };
    let served = runtime().map(|runtime| runtime.block_on(picket_ledger::serve(config)));
    match served {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => failed(&error),
        Err(fault) => failed(&fault),
    }
}
