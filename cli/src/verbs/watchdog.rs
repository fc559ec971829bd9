//! `picket watchdog measure`: what the watchdog really does with a timeout. Never arms it.
//!
//! A lab watchdog says its effective time itself. A device is only read, through sysfs: opening it would arm it.
//! How long it takes until the machine is dead can only be seen by letting it bite, which `picketd watchdog measure`
//! does.

use crate::exit::{Exit, Fault};
use crate::session::Session;
use core::time::Duration;
use picket_host::config::Source;
use picket_node::config::{Config, WatchdogKind};
use picket_node::watchdog::measure;
use picket_proto::SCHEMA;
use serde_json::json;
use std::fs;
use std::path::Path;

/// What sysfs tells of a watchdog device without opening it.
const ATTRIBUTES: [&str; 8] =
    ["identity", "state", "timeout", "min_timeout", "max_timeout", "options", "nowayout", "pretimeout"];

pub(super) fn run(file: &Path, session: &mut Session) -> Result<Exit, Fault> {
    let source = Source::read(file).map_err(|diagnostics| Fault::File(diagnostics.to_string()))?;
    let config = Config::parse(&source).map_err(|diagnostics| Fault::File(diagnostics.to_string()))?;
    let wanted = config.watchdog.effective;
    match &config.watchdog.kind {
        WatchdogKind::Lab { socket } => lab(socket, wanted, session),
        WatchdogKind::Device { path, .. } => device(path, wanted, session),
        WatchdogKind::SelfReset => {
            Err(Fault::Missing("the watchdog is the daemon itself; there is no device to measure".to_owned()))
        }
        WatchdogKind::None => Err(Fault::Missing(format!("{}: there is no watchdog", file.display()))),
    }
}

fn lab(socket: &Path, wanted: Duration, session: &mut Session) -> Result<Exit, Fault> {
    let effective = measure::lab_effective(socket, wanted)
        .map_err(|error| Fault::Missing(format!("{}: {error}; is a daemon using it?", socket.display())))?;
    let (fits, effective_ms) = (effective <= wanted, crate::args::to_ms(effective));
    if session.json {
        let line = json!({
            "schema": SCHEMA, "device": socket, "configured_ms": crate::args::to_ms(wanted),
            "effective_ms": effective_ms, "ok": fits,
        });
        writeln!(session.out, "{line}")?;
    } else {
        writeln!(session.out, "{}: effective {effective_ms} ms, configured {wanted:?}", socket.display())?;
        if !fits {
            writeln!(
                session.out,
                "It kills the machine later than configured: set effective to {effective_ms}ms."
            )?;
        }
    }
    Ok(if fits { Exit::Done } else { Exit::Failed })
}

fn device(path: &Path, wanted: Duration, session: &mut Session) -> Result<Exit, Fault> {
    // /dev/watchdog is the first of the numbered devices.
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = if name == "watchdog" { "watchdog0".to_owned() } else { name };
    let dir = Path::new("/sys/class/watchdog").join(&name);
    let read =
        |attribute: &str| fs::read_to_string(dir.join(attribute)).ok().map(|text| text.trim().to_owned());
    let values: Vec<(&str, Option<String>)> =
        ATTRIBUTES.iter().map(|attribute| (*attribute, read(attribute))).collect();
    if values.iter().all(|(_, value)| value.is_none()) {
        return Err(Fault::Missing(format!("{}: the kernel tells nothing about {name}", dir.display())));
    }
    let outlives = measure::outlives_its_daemon(read("options").as_deref(), read("nowayout").as_deref());
    let exit = if outlives == Some(false) { Exit::Failed } else { Exit::Done };
    if session.json {
        let values: serde_json::Map<_, _> =
            values.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let line = json!({
            "schema": SCHEMA, "device": path, "configured_ms": crate::args::to_ms(wanted), "kernel": values,
            "outlives_its_daemon": outlives,
        });
        writeln!(session.out, "{line}")?;
        return Ok(exit);
    }
    for (name, value) in &values {
        writeln!(session.out, "{name:<12} {}", value.as_deref().unwrap_or("not told"))?;
    }
    writeln!(session.out, "configured   effective {wanted:?}")?;
    writeln!(session.out, "{}", after_its_daemon(outlives))?;
    writeln!(
        session.out,
        "The kernel's numbers are what the device was told. How long it takes until this machine is dead is seen only\n\
by letting it bite, on a machine that holds nothing and whose daemon is stopped:\n\
  picketd watchdog measure {} --timeout {wanted:?} --record FILE --this-machine-will-be-reset\n\
and after the boot: picketd watchdog recorded FILE",
        path.display()
    )?;
    Ok(exit)
}

/// What people are told of a device whose daemon dies.
const fn after_its_daemon(outlives: Option<bool>) -> &'static str {
    match outlives {
        Some(true) => "It stays armed when the daemon dies.",
        Some(false) => {
            "It is switched off when the daemon dies: picketd refuses it. Set it to nowayout (its module's parameter\n\
nowayout=1, or 1 in its file nowayout below /sys/class/watchdog), or take another device."
        }
        None => {
            "Whether it stays armed when the daemon dies, this kernel does not tell; picketd asks its driver at each\n\
start, and refuses one that does not."
        }
    }
}
