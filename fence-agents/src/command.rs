//! Which of its many names the program was called by, and what to do then.
//!
//! ```text
//! fence_picket_<device> [options]     that agent, through its link
//! meatclient -c NODE                  the operator's confirmation, as it was always called
//! picket-fence <device> [options]     that agent
//! external/picket-<device> OPERATION  the older plugin interface, by the folder's name
//! picket-fence confirm|link|list|describe|manual …
//! ```

use crate::agent::{self, Surroundings};
use crate::caller::Caller;
use crate::devices::meatware::audit::Actor;
use crate::devices::meatware::confirm::{self, Wish};
use crate::exit::Exit;
use crate::external::{self, Plugin};
use crate::metadata;
use crate::registry::{self, DEVICES, DeviceKind};
use crate::report::{Reporter, Severity};
use std::env;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

/// The name under which operators confirm.
pub const CONFIRM_NAME: &str = "meatclient";

const USAGE: &str = "Usage:
  picket-fence DEVICE [options]       run the agent; without options they are read from standard input
  picket-fence list                   show the devices
  picket-fence describe DEVICE        show a device's options
  picket-fence manual DEVICE          its manual page, for man -l -
  picket-fence confirm -c NODE [--deny] [--spool-dir DIR]
                                      confirm (or deny) that a machine was reset by hand
  picket-fence link DIR…              make the links fence_picket_* and meatclient in DIR, and the plugins picket-*
                                      in its folder external, if it has one; in a DIR called external only those
";

/// What the program is given.
pub struct Call<'a> {
    /// What it was called by, with its directories.
    pub called: &'a str,
    /// The words after it.
    pub words: &'a [String],
    /// Standard input.
    pub stdin: &'a mut dyn Read,
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// The environment.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// Whether messages also go to the system log.
    pub system_log: bool,
}

/// Runs with the process's own arguments, streams and environment.
#[must_use]
pub fn main() -> Exit {
    let mut words = env::args_os().map(|word| word.to_string_lossy().into_owned());
    let called = words.next().unwrap_or_default();
    main_as(&called, &words.collect::<Vec<_>>())
}

/// The same under another name: `called` is what the program was called by, with its path.
#[must_use]
pub fn main_as(called: &str, words: &[String]) -> Exit {
    let name = file_name(called);
    if name != CONFIRM_NAME
        && let Err(error) = picket_host::sys::forbid_core_dumps()
    {
        // Only what could be left behind by a crash is at stake; a fence does not wait for it.
        Reporter::local(&name).say(Severity::Warning, &format!("core dumps cannot be forbidden: {error}"));
    }
    let result = run(Call {
        called,
        words,
        stdin: &mut io::stdin(),
        out: &mut io::stdout(),
        variable: &|name| env::var(name).ok(),
        system_log: true,
    });
    result.unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "{name}: {error}");
        Exit::Failed
    })
}

fn file_name(called: &str) -> String {
    Path::new(called).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Runs what the call asks for.
///
/// # Errors
/// A stream or file failed; counts as [`Exit::Failed`].
pub fn run(call: Call<'_>) -> io::Result<Exit> {
    let name = file_name(call.called);
    let caller = Caller::of_environment(call.variable);
    if name == CONFIRM_NAME {
        return confirm(call.words, call.stdin, call.out);
    }
    if let Some(plugin) = external::plugin_name(call.called) {
        let Call { words, variable, out, system_log, .. } = call;
        return match external::find(plugin) {
            Some(kind) => external::run(kind, Plugin { words, variable, out, system_log }),
            None => unknown_device(plugin),
        };
    }
    // Only the agents' own names: a program called "process" is none of ours.
    if name.starts_with(registry::AGENT_PREFIX) {
        return match registry::find(&name) {
            Some(kind) => agent(kind, call.words, call.stdin, call.out, caller, call.system_log),
            None => unknown_device(&name),
        };
    }
    let Some((verb, rest)) = call.words.split_first() else {
        write!(call.out, "{USAGE}")?;
        return Ok(Exit::Failed);
    };
    match (verb.as_str(), rest) {
        ("-h" | "--help" | "help", _) => write!(call.out, "{USAGE}").map(|()| Exit::Success),
        ("-V" | "--version", _) => {
            writeln!(call.out, "picket-fence {}", env!("CARGO_PKG_VERSION")).map(|()| Exit::Success)
        }
        ("list", []) => list(call.out),
        ("describe", [device]) => match registry::find(device) {
            Some(kind) => metadata::help(kind, call.out).map(|()| Exit::Success),
            None => unknown_device(device),
        },
        ("manual", [device]) => match registry::find(device) {
            Some(kind) => metadata::manual(kind, call.out).map(|()| Exit::Success),
            None => unknown_device(device),
        },
        ("link", [_, ..]) => {
            let program = env::current_exe()?;
            let made = rest.iter().map(|dir| link(&program, Path::new(dir), call.out));
            made.collect::<io::Result<Vec<Exit>>>().map(worst)
        }
        ("confirm", rest) => confirm(rest, call.stdin, call.out),
        ("list" | "describe" | "manual" | "link", _) => {
            write!(io::stderr(), "{USAGE}")?;
            Ok(Exit::Failed)
        }
        (device, rest) => match registry::find(device) {
            Some(kind) => agent(kind, rest, call.stdin, call.out, caller, call.system_log),
            None => unknown_device(device),
        },
    }
}

fn agent(
    kind: &'static DeviceKind,
    words: &[String],
    stdin: &mut dyn Read,
    out: &mut dyn Write,
    caller: Caller,
    system_log: bool,
) -> io::Result<Exit> {
    agent::run(kind, Surroundings { words, stdin, out, caller, system_log })
}

fn unknown_device(name: &str) -> io::Result<Exit> {
    let known: Vec<_> = DEVICES.iter().map(|kind| kind.name).collect();
    writeln!(io::stderr(), "no device {name}; there are: {}", known.join(", "))?;
    Ok(Exit::Failed)
}

fn list(out: &mut dyn Write) -> io::Result<Exit> {
    for kind in DEVICES {
        writeln!(out, "{:<15} {:<28} {}", kind.name, kind.agent_name(), kind.shortdesc)?;
    }
    Ok(Exit::Success)
}

fn confirm(words: &[String], stdin: &mut dyn Read, out: &mut dyn Write) -> io::Result<Exit> {
    let done = Wish::parse(words)
        .and_then(|wish| confirm::confirm(&wish, &Actor::here(), &mut BufReader::new(stdin), out));
    match done {
        Ok(()) => Ok(Exit::Success),
        Err(error) => {
            writeln!(io::stderr(), "{error}")?;
            Ok(Exit::Failed)
        }
    }
}

/// A success if all are.
fn worst(exits: Vec<Exit>) -> Exit {
    exits.into_iter().find(|exit| *exit != Exit::Success).unwrap_or(Exit::Success)
}

/// Makes the links in a folder. One that already points here stays; anything else in its place is an error.
fn link(program: &Path, dir: &Path, out: &mut dyn Write) -> io::Result<Exit> {
    let plugins = |dir: &Path| DEVICES.iter().map(|kind| dir.join(external::link_name(kind))).collect();
    let paths: Vec<PathBuf> = if dir.file_name().is_some_and(|name| name == external::FOLDER) {
        plugins(dir)
    } else {
        let below = dir.join(external::FOLDER);
        let agents = DEVICES.iter().map(|kind| kind.agent_name()).chain([CONFIRM_NAME.to_owned()]);
        let agents = agents.map(|name| dir.join(name));
        agents.chain(if below.is_dir() { plugins(&below) } else { Vec::new() }).collect()
    };
    let mut exit = Exit::Success;
    for path in paths {
        match symlink(program, &path) {
            Ok(()) => writeln!(out, "{} -> {}", path.display(), program.display())?,
            Err(_) if path.read_link().is_ok_and(|target| target == program) => {}
            Err(error) => {
                writeln!(io::stderr(), "{}: {error}", path.display())?;
                exit = Exit::Failed;
            }
        }
    }
    Ok(exit)
}
