//! What an agent says about itself: XML for cluster managers, help and manual page for people.
//!
//! All three are made from the option table. The XML validates against the `RelaxNG` schema
//! `metadata.rng` that Debian's fence-agents package installs.

use crate::action::Action;
use crate::options::{Kind, OptionSpec};
use crate::registry::DeviceKind;
use std::io::{self, Write};

#[cfg(test)]
mod tests;

/// Writes the XML description.
///
/// # Errors
/// `out` cannot be written.
pub fn xml(kind: &DeviceKind, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<?xml version=\"1.0\" ?>")?;
    let (name, shortdesc) = (kind.agent_name(), escaped(kind.shortdesc));
    writeln!(out, "<resource-agent name=\"{name}\" shortdesc=\"{shortdesc}\">")?;
    writeln!(out, "<longdesc>{}</longdesc>", escaped(kind.longdesc))?;
    writeln!(out, "<vendor-url></vendor-url>")?;
    writeln!(out, "<parameters>")?;
    for spec in kind.all_options() {
        let obsoletes = spec.old.map(|old| format!(" obsoletes=\"{old}\"")).unwrap_or_default();
        parameter(&spec, spec.name, &obsoletes, out)?;
        if let Some(old) = spec.old {
            parameter(&spec, old, " deprecated=\"1\"", out)?;
        }
    }
    writeln!(out, "</parameters>")?;
    writeln!(out, "<actions>")?;
    for action in kind.actions() {
        // "automatic" is for fabric fencing, where a node is let in again when it joins.
        let extra = if action == Action::On { " automatic=\"0\"" } else { "" };
        writeln!(out, "\t<action name=\"{}\"{extra}/>", action.name())?;
    }
    writeln!(out, "</actions>")?;
    writeln!(out, "</resource-agent>")
}

/// Writes the parameters as a plugin of the older `external/` interface does.
///
/// # Errors
/// `out` cannot be written.
pub fn plugin_parameters(
    specs: impl Iterator<Item = OptionSpec>,
    kind: &DeviceKind,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "<parameters>")?;
    for spec in specs {
        let theirs = kind.external_options.iter().filter(|(_, ours)| *ours == spec.name);
        let names = std::iter::once(spec.name).chain(theirs.map(|(theirs, _)| *theirs));
        for name in names {
            // A required option has one required name; the others mean the same.
            let required =
                u8::from(spec.required && spec.default.is_none() && name == spec.name && name != "plug");
            let default =
                spec.default.map(|value| format!(" default=\"{}\"", escaped(value))).unwrap_or_default();
            writeln!(out, "<parameter name=\"{name}\" unique=\"0\" required=\"{required}\">")?;
            writeln!(out, "<content type=\"string\"{default}/>")?;
            writeln!(out, "<shortdesc lang=\"en\">{name}</shortdesc>")?;
            writeln!(out, "<longdesc lang=\"en\">{}</longdesc>\n</parameter>", escaped(spec.text))?;
        }
    }
    writeln!(out, "</parameters>")
}

fn parameter(spec: &OptionSpec, name: &str, note: &str, out: &mut dyn Write) -> io::Result<()> {
    let required = u8::from(spec.required);
    writeln!(out, "\t<parameter name=\"{name}\" unique=\"0\" required=\"{required}\"{note}>")?;
    writeln!(out, "\t\t<getopt mixed=\"{}\"/>", escaped(&flags(spec)))?;
    let default = spec.default.map(|value| format!(" default=\"{}\"", escaped(value))).unwrap_or_default();
    match spec.kind {
        Kind::Flag => writeln!(out, "\t\t<content type=\"boolean\"{default}/>")?,
        Kind::Text => writeln!(out, "\t\t<content type=\"string\"{default}/>")?,
        Kind::Seconds => writeln!(out, "\t\t<content type=\"second\"{default}/>")?,
        Kind::Integer => writeln!(out, "\t\t<content type=\"integer\"{default}/>")?,
        Kind::Choice(words) => {
            writeln!(out, "\t\t<content type=\"select\"{default}>")?;
            for word in words {
                writeln!(out, "\t\t\t<option value=\"{word}\"/>")?;
            }
            writeln!(out, "\t\t</content>")?;
        }
    }
    writeln!(out, "\t\t<shortdesc lang=\"en\">{}</shortdesc>", escaped(spec.text))?;
    writeln!(out, "\t</parameter>")
}

/// `-n, --plug=[name]`.
fn flags(spec: &OptionSpec) -> String {
    let short = spec.short.map(|letter| format!("-{letter}, ")).unwrap_or_default();
    let value = match spec.kind {
        Kind::Flag => String::new(),
        Kind::Text => "=[text]".to_owned(),
        Kind::Seconds => "=[seconds]".to_owned(),
        Kind::Integer => "=[number]".to_owned(),
        Kind::Choice(words) => format!("=[{}]", words.join("|")),
    };
    format!("{short}--{}{value}", spec.long())
}

/// What follows the text of an option: its default, that it is required, its older name.
fn remarks(spec: &OptionSpec) -> String {
    let default = spec.default.map(|value| format!("default {value}"));
    let required = (spec.required && spec.default.is_none()).then(|| "required".to_owned());
    let old = spec.old.map(|old| format!("also {old}"));
    let all: Vec<String> = [required, default, old].into_iter().flatten().collect();
    if all.is_empty() { String::new() } else { format!(" ({})", all.join("; ")) }
}

/// Writes what `--help` shows.
///
/// # Errors
/// `out` cannot be written.
pub fn help(kind: &DeviceKind, out: &mut dyn Write) -> io::Result<()> {
    let actions: Vec<_> = kind.actions().map(Action::name).collect();
    writeln!(out, "{}: {}\n", kind.agent_name(), kind.shortdesc)?;
    writeln!(out, "Usage:\n  {} [options]", kind.agent_name())?;
    writeln!(out, "  With no options they are read as key=value lines from standard input.\n")?;
    writeln!(out, "Actions:\n  {}\n", actions.join(" "))?;
    writeln!(out, "Options:")?;
    for spec in kind.all_options() {
        writeln!(out, "  {:<36} {}{}", flags(&spec), spec.text, remarks(&spec))?;
    }
    writeln!(out, "\nExit status:\n  0 done, or already so; 1 failed, or not known; 2 (status only) off")?;
    writeln!(out, "\n{}", kind.longdesc)
}

/// Writes a manual page in `man` format.
///
/// # Errors
/// `out` cannot be written.
pub fn manual(kind: &DeviceKind, out: &mut dyn Write) -> io::Result<()> {
    let name = kind.agent_name();
    writeln!(out, ".TH {} 8", name.to_uppercase())?;
    writeln!(out, ".SH NAME\n{} \\- {}", roff(&name), roff(kind.shortdesc))?;
    writeln!(out, ".SH SYNOPSIS\n.B {}\n[options]", roff(&name))?;
    writeln!(out, ".SH DESCRIPTION")?;
    for paragraph in kind.longdesc.split("\n\n") {
        writeln!(out, ".PP\n{}", roff(paragraph))?;
    }
    writeln!(out, ".SH OPTIONS\nOn standard input, when there are no arguments, the same as key=value.")?;
    for spec in kind.all_options() {
        writeln!(out, ".TP\n.B {}\n{}{}", roff(&flags(&spec)), roff(spec.text), roff(&remarks(&spec)))?;
    }
    writeln!(out, ".SH ACTIONS")?;
    let actions: Vec<_> = kind.actions().map(Action::name).collect();
    writeln!(out, "{}", roff(&actions.join(", ")))?;
    writeln!(
        out,
        ".SH EXIT STATUS\n0: done, or already so. 1: failed, or not known. 2: only for status, off."
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&apos;")
}

fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let guard = |line: &str| {
        // A line that begins with one of these would be taken as a request.
        if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() }
    };
    text.lines().map(guard).collect::<Vec<_>>().join("\n")
}
