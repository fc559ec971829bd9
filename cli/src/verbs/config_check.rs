//! `picket config check`: every error of a file, each with its place; and what in DRBD's own configuration of its volumes
//! would undo the guarantee, where DRBD is installed.

use crate::exit::{Exit, Fault};
use crate::session::Session;
use picket_host::config::{Diagnostics, Source};
use picket_node::volume::drbd::check;
use picket_proto::SCHEMA;
use serde_json::json;
use std::fs;
use std::path::Path;

/// Whose configuration a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Node,
    Witness,
}

impl Kind {
    /// Told by what only one of the two has. A file that cannot be parsed is read as a node's, whose reader then
    /// tells why.
    pub(super) fn of(text: &str) -> Self {
        let Ok(table) = text.parse::<toml::Table>() else { return Self::Node };
        let is_list = table.get("cluster").is_some_and(toml::Value::is_array);
        let is_witness = is_list || (table.contains_key("listen") && !table.contains_key("node"));
        if is_witness { Self::Witness } else { Self::Node }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::Node => "picketd",
            Self::Witness => "picket-witness",
        }
    }
}

pub(super) fn run(file: &Path, session: &mut Session) -> Result<Exit, Fault> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).map_err(|error| Fault::File(format!("{name}: {error}")))?;
    let kind = Kind::of(&text);
    let source = Source::from_text(&name, text);
    let mut beyond = Vec::new();
    let checked = match kind {
        Kind::Node => picket_node::config::Config::parse(&source).map(|config| {
            let drbd = check::all(&config);
            beyond = drbd.problems;
            [config.warnings, drbd.unseen].concat()
        }),
        Kind::Witness => picket_witness::config::Config::parse(&source).map(|_| Vec::new()),
    };
    if session.json {
        show_json(kind, &checked, &beyond, session)?;
    } else {
        show(kind, &name, &checked, &beyond, session)?;
    }
    Ok(if checked.is_ok() && beyond.is_empty() { Exit::Done } else { Exit::Failed })
}

fn show(
    kind: Kind,
    name: &str,
    checked: &Result<Vec<String>, Diagnostics>,
    beyond: &[String],
    session: &mut Session,
) -> Result<(), Fault> {
    match checked {
        Ok(warnings) => {
            for warning in warnings {
                writeln!(session.out, "{name}: warning: {warning}")?;
            }
            for problem in beyond {
                writeln!(session.out, "{problem}")?;
            }
            let errors = match beyond.len() {
                0 => "no errors".to_owned(),
                1 => "1 error".to_owned(),
                many => format!("{many} errors"),
            };
            writeln!(session.out, "{name}: {errors} ({})", kind.program())?;
        }
        Err(diagnostics) => {
            writeln!(session.out, "{diagnostics}")?;
            let count = diagnostics.problems.len();
            let errors = if count == 1 { "error" } else { "errors" };
            writeln!(session.out, "{name}: {count} {errors} ({})", kind.program())?;
        }
    }
    Ok(())
}

fn show_json(
    kind: Kind,
    checked: &Result<Vec<String>, Diagnostics>,
    beyond: &[String],
    session: &mut Session,
) -> Result<(), Fault> {
    let problems =
        checked.as_ref().err().map(|diagnostics| diagnostics.problems.as_slice()).unwrap_or_default();
    let problems: Vec<_> = problems
        .iter()
        .map(|problem| {
            json!({
                "file": problem.file, "line": problem.line, "column": problem.column, "key": problem.key,
                "what": problem.what, "expected": problem.expected,
            })
        })
        .collect();
    let warnings = checked.as_deref().unwrap_or_default();
    let line = json!({
        "schema": SCHEMA, "program": kind.program(), "ok": checked.is_ok() && beyond.is_empty(), "problems": problems,
        "warnings": warnings, "drbd": beyond,
    });
    Ok(writeln!(session.out, "{line}")?)
}

#[cfg(test)]
mod tests;
