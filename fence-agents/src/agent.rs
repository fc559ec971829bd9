//! One agent from its first byte of input to its exit status.

use crate::action::{Action, Run};
use crate::caller::Caller;
use crate::device::{DeviceError, State};
use crate::exit::Exit;
use crate::gate::{self, OpenGate};
use crate::input::{InputError, Options};
use crate::metadata;
use crate::registry::DeviceKind;
use crate::report::{Reporter, Severity};
use crate::runner::Runner;
use crate::timing::Timing;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The most that is read from standard input: options are a few lines, 64 KiB is far beyond them.
pub const INPUT_BYTES_MAX: u64 = 64 * 1024;

/// What surrounds a run; handed in so that tests need no environment of their own.
pub struct Surroundings<'a> {
    /// The words after the agent's name.
    pub words: &'a [String],
    /// Read only if there are no words.
    pub stdin: &'a mut dyn Read,
    /// Where the answer goes.
    pub out: &'a mut dyn Write,
    /// Who started the agent.
    pub caller: Caller,
    /// Whether messages also go to the system log.
    pub system_log: bool,
}

/// Runs the agent.
///
/// # Errors
/// Standard input cannot be read or the answer cannot be written; the caller must count that as
/// [`Exit::Failed`].
pub fn run(kind: &'static DeviceKind, around: Surroundings<'_>) -> io::Result<Exit> {
    let name = kind.agent_name();
    let options = if around.words.is_empty() {
        let mut text = Zeroizing::new(String::new());
        around.stdin.take(INPUT_BYTES_MAX).read_to_string(&mut text)?;
        Ok(Options::from_lines(kind, &text))
    } else {
        Options::from_flags(kind, around.words)
    };
    let options = match options {
        Ok(options) => options,
        Err(error) => return Ok(refuse(&Reporter::local(&name), &error)),
    };
    if options.truth("help").ok().flatten() == Some(true) {
        metadata::help(kind, around.out)?;
        return Ok(Exit::Success);
    }
    if options.truth("version").ok().flatten() == Some(true) {
        writeln!(around.out, "{name} {}", env!("CARGO_PKG_VERSION"))?;
        return Ok(Exit::Success);
    }
    let action = options.get("action").unwrap_or_default();
    let parsed = Action::parse(action);
    match parsed {
        Some(Action::Metadata) => metadata::xml(kind, around.out).map(|()| Exit::Success),
        Some(Action::Manpage) => metadata::manual(kind, around.out).map(|()| Exit::Success),
        Some(action) => perform(kind, action, options, around.caller, around.system_log, around.out),
        None => {
            let error = InputError::Unusable(format!("Failed: Unrecognised action '{action}'"));
            Ok(refuse(&Reporter::local(&name), &error))
        }
    }
}

fn refuse(report: &Reporter, error: &InputError) -> Exit {
    report.say(Severity::Error, &error.to_string());
    Exit::Failed
}

fn reporter(kind: &DeviceKind, options: &Options, system_log: bool) -> Reporter {
    let name = kind.agent_name();
    if !system_log {
        return Reporter::local(&name);
    }
    let yes = |option| options.truth(option).ok().flatten() == Some(true);
    let level = options.integer("verbose_level", u32::MAX).unwrap_or(0);
    let mut report = Reporter::new(&name, yes("quiet"), yes("verbose") || level > 0);
    if let Some(path) = options.get("debug_file")
        && let Err(error) = report.add_file(Path::new(path))
    {
        // Whoever wanted to look on must not keep a node from being fenced.
        report.say(Severity::Warning, &format!("debug_file {path}: {error}"));
    }
    report
}

/// Carries out one action on what the options name.
///
/// # Errors
/// The answer cannot be written.
pub(crate) fn perform(
    kind: &'static DeviceKind,
    action: Action,
    options: Options,
    caller: Caller,
    system_log: bool,
    out: &mut dyn Write,
) -> io::Result<Exit> {
    let report = reporter(kind, &options, system_log);
    for ignored in &options.ignored {
        report.say(Severity::Warning, &format!("ignored what is unknown here: {ignored}"));
    }
    let findings = options.check(action.needs_plug());
    for finding in &findings {
        report.say(Severity::Error, &finding.to_string());
    }
    if !findings.is_empty() {
        return Ok(Exit::Failed);
    }
    if let Some(open) = kind.gate {
        return at_gate(open, action, &options, caller, &report, out);
    }
    let prepared = Timing::read(&options, caller).and_then(|timing| {
        let plugs = if action.needs_plug() { options.plugs()? } else { Vec::new() };
        let options = Arc::new(options);
        Ok((timing, plugs, Arc::clone(&options), Runner::new(kind, options, timing)?))
    });
    let (timing, plugs, options, mut runner) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return Ok(refuse(&report, &error)),
    };
    for warning in &runner.warnings {
        report.say(Severity::Warning, warning);
    }
    let mut run =
        Run { runner: &mut runner, powers_on: kind.powers_on, plugs: &plugs, timing, report: &report };
    let exit = match action {
        Action::On => run.on(out),
        Action::Off => run.off(out),
        Action::Reboot => run.reboot(out),
        Action::Status => run.status(out),
        Action::List => list(&mut runner, &options, false, &report, out),
        Action::ListStatus => list(&mut runner, &options, true, &report, out),
        Action::Monitor => Ok(monitor(&mut runner, &report)),
        Action::Diag => run.diag(caller, out),
        // The checks above were all there is to it; metadata and manual page were answered before.
        Action::ValidateAll | Action::Metadata | Action::Manpage => Ok(Exit::Success),
    };
    runner.close();
    exit
}

fn at_gate(
    open: OpenGate,
    action: Action,
    options: &Options,
    caller: Caller,
    report: &Reporter,
    out: &mut dyn Write,
) -> io::Result<Exit> {
    let plugs = if action.needs_plug() { options.plugs() } else { Ok(Vec::new()) };
    let opened = plugs.and_then(|plugs| Ok((plugs, open(options, caller)?)));
    match opened {
        Ok((plugs, mut gate)) => gate::perform(gate.as_mut(), action, &plugs, caller, report, out),
        Err(error) => Ok(refuse(report, &error)),
    }
}

fn monitor(runner: &mut Runner, report: &Reporter) -> Exit {
    match runner.monitor() {
        Ok(()) => Exit::Success,
        Err(error) => failed(report, &error),
    }
}

fn list(
    runner: &mut Runner,
    options: &Options,
    with_status: bool,
    report: &Reporter,
    out: &mut dyn Write,
) -> io::Result<Exit> {
    let outlets = match runner.list() {
        Ok(outlets) => outlets,
        Err(error) => return Ok(failed(report, &error)),
    };
    let separator = options.get("separator").unwrap_or(",");
    for outlet in outlets {
        write!(out, "{}{separator}{}", outlet.plug, outlet.alias)?;
        if with_status {
            let word = match outlet.state {
                State::On => "ON",
                State::Off => "OFF",
                State::Unknown(_) => "UNKNOWN",
            };
            write!(out, "{separator}{word}")?;
        }
        writeln!(out)?;
    }
    Ok(Exit::Success)
}

fn failed(report: &Reporter, error: &DeviceError) -> Exit {
    report.say(Severity::Error, &format!("Failed: {error}"));
    Exit::Failed
}
