//! How the programs of volumes and of resources ended, and what they wrote; and what agents say of themselves.

use crate::must;
use crate::scratch;
use crate::target::{Answer, Broken, Target};
use core::time::Duration;
use picket_core::node::CommandOutcome;
use picket_host::process::{Captured, Descendants, Finished, Outcome};
use picket_host::secrets::{Secret, read_secret, write_new_secret};
use picket_node::resource::act::command as service;
use picket_node::resource::ocf::Agent;
use picket_node::resource::ocf::metadata::Metadata;
use picket_node::resource::tree::{Outcome as Told, Verb};
use picket_node::volume::postgresql::server;
use picket_node::volume::{command, drbd};
use std::collections::{BTreeMap, BTreeSet};

/// The target. An input is four bytes (whose program, action, way of ending, exit status), then the output; a zero byte
/// separates what went to the standard output from what went to the other.
pub const TARGET: Target = Target {
    name: "program-output",
    about: "how volumes' and resources' programs ended: done only by its exit status; one harmless line without secrets",
    seeds,
    words: &[
        "s3cr3t w0rd",
        "s3cr3t",
        " w0rd",
        "\u{1b}[31m",
        "\r",
        "\n",
        "\u{9b}31m",
        "\u{0}",
        "\u{8}",
        "<secret>",
        "\u{e4}",
    ],
    check,
};

/// The target. An input is what an agent prints for `meta-data`.
pub const METADATA: Target = Target {
    name: "agent-metadata",
    about: "what a resource's agent says of itself: only what stands in a whole document, and the same when written again",
    seeds: metadata_seeds,
    words: &[
        "<parameters>",
        "</parameters>",
        "<actions>",
        "</actions>",
        "<parameter name=\"dir\" required=\"1\"/>",
        "<action name=\"start\" timeout=\"35s\"/>",
        "<!DOCTYPE resource-agent [<!ENTITY a \"b\">]>",
        "&a;",
        "&#27;",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "required=\"true\"",
        "timeout=\"",
        "20000ms",
        "1e9",
        "<",
        ">",
        "\"",
    ],
    check: metadata_check,
};

/// What a program wrote is shown with so many bytes, at most: 400 letters of four bytes, and how it ended.
const SHOWN_BYTES_MAX: usize = 2000;

/// What an agent is told and nobody else.
const SECRET: &str = "s3cr3t w0rd";

const PROGRAMS: u8 = 6;

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for program in 0..PROGRAMS {
        for action in 0..4 {
            for code in [0, 1, 2, 3, 7, 8, 9, 190] {
                seeds.push([&[program, action, 0, code][..], b"out\n\0one\nlast words\n"].concat());
            }
        }
        for ending in 1..6 {
            seeds.push([&[program, 0, ending, 9][..], b"\0told s3cr3t w0rd\n"].concat());
        }
    }
    seeds
}

fn check(input: &[u8]) -> Result<Answer, Broken> {
    let Some((&[program, action, ending, code], said)) = input.split_first_chunk() else {
        return Ok(Answer::new("short"));
    };
    let (out, err) = said.iter().position(|byte| *byte == 0).map_or((said, &[][..]), |at| said.split_at(at));
    let dropped_bytes = u64::from(ending / 128);
    let captured = |bytes: &[u8]| Captured { bytes: bytes.to_vec(), dropped_bytes };
    let finished = Finished {
        outcome: outcome(ending % 128, code),
        descendants: Descendants::Gone,
        stdout: captured(out),
        stderr: captured(err),
        took: Duration::ZERO,
    };
    match program % PROGRAMS {
        0 => volume(&finished),
        1 => answer(&finished, drbd::tool::answer(&["get-gi"], &finished), true),
        2 => answer(&finished, server::well_ended("psql", &finished).map_err(CommandOutcome::Failed), false),
        3 => in_service(action, &finished),
        which => agent(which == 5, action, &finished),
    }
}

/// How a program can end.
pub(super) fn outcome(ending: u8, code: u8) -> Outcome {
    match ending % 6 {
        0 => Outcome::Exited { code: i32::from(code) },
        1 => Outcome::Signaled { signal: i32::from(code % 64) },
        2 => Outcome::TimedOut { all_gone: true },
        3 => Outcome::TimedOut { all_gone: false },
        4 => Outcome::NotStarted { reason: "no such file".to_owned() },
        _ => Outcome::Lost { reason: "killed".to_owned() },
    }
}

/// It is shown to people, and one line of a log.
fn harmless(text: &str) -> Result<(), Broken> {
    must!(!text.contains(|c: char| c.is_control()), "it would drive a terminal: {text:?}");
    must!(text.len() <= SHOWN_BYTES_MAX, "{} bytes are shown", text.len());
    Ok(())
}

/// An order of a volume: done is exit 0, not done with nothing changed is exit 1 or no start, and all else is unknown.
fn volume(finished: &Finished) -> Result<Answer, Broken> {
    let told = command::outcome("demote", finished);
    let expected = match finished.outcome {
        Outcome::Exited { code: 0 } => "done",
        Outcome::Exited { code: 1 } | Outcome::NotStarted { .. } => "failed",
        _ => "unknown",
    };
    must!(short(&told)? == expected, "{}: {told:?}", finished.outcome);
    Ok(Answer::new(format!("a volume's: {expected}")))
}

fn short(told: &CommandOutcome) -> Result<&'static str, Broken> {
    match told {
        CommandOutcome::Done => Ok("done"),
        CommandOutcome::Failed(text) => harmless(text).map(|()| "failed"),
        CommandOutcome::Unknown(text) => harmless(text).map(|()| "unknown"),
    }
}

/// A program's answer: all that it printed, or none.
fn answer(
    finished: &Finished,
    told: Result<String, CommandOutcome>,
    is_order: bool,
) -> Result<Answer, Broken> {
    let exited = finished.outcome == Outcome::Exited { code: 0 };
    match told {
        Ok(text) => {
            must!(exited, "{} has an answer", finished.outcome);
            must!(finished.stdout.dropped_bytes == 0, "half of an answer was taken");
            must!(text == finished.stdout.text(), "{text:?} is not what it printed");
            Ok(Answer::new("an answer"))
        }
        Err(told) => {
            let word = short(&told)?;
            let ended = matches!(finished.outcome, Outcome::Exited { .. } | Outcome::NotStarted { .. });
            must!(!is_order || ended || word == "unknown", "{}: {told:?}", finished.outcome);
            must!(!exited || finished.stdout.dropped_bytes > 0, "a good answer is refused: {told:?}");
            Ok(Answer::new(format!("no answer, {word}")))
        }
    }
}

fn verb(action: u8) -> Verb {
    [Verb::Monitor, Verb::Start, Verb::Stop][usize::from(action % 3)]
}

/// The words of an outcome, which must be harmless.
fn told(outcome: &Told) -> Result<&'static str, Broken> {
    match outcome {
        Told::Done => Ok("done"),
        Told::NotRunning => Ok("not running"),
        Told::Failed(text) => harmless(text).map(|()| "failed"),
        Told::Unfit(text) => harmless(text).map(|()| "unfit"),
        Told::Unknown(text) => harmless(text).map(|()| "unknown"),
    }
}

/// A resource's own programs: 0 is done, 3 of a look does not run, and nothing else is either.
fn in_service(action: u8, finished: &Finished) -> Result<Answer, Broken> {
    let verb = verb(action);
    let outcome = service::judge(verb, finished);
    let word = told(&outcome)?;
    let expected = match (&finished.outcome, verb) {
        (Outcome::Exited { code: 0 }, _) => "done",
        (Outcome::Exited { code: 3 }, Verb::Monitor) => "not running",
        (Outcome::NotStarted { .. }, _) => "unfit",
        _ => "failed",
    };
    must!(word == expected, "{verb:?} {}: {outcome:?}", finished.outcome);
    Ok(Answer::new(format!("a service's {verb:?}: {word}")))
}

/// An agent's actions, by the statuses of the standard; its secret is told to nobody.
fn agent(promotable: bool, action: u8, finished: &Finished) -> Result<Answer, Broken> {
    let agent = Agent {
        root: "/usr/lib/ocf".into(),
        provider: "test".to_owned(),
        name: "Scripted".to_owned(),
        parameters: BTreeMap::new(),
        secrets: BTreeMap::new(),
        promotable,
    };
    let action = ["monitor", "start", "stop", "promote", "demote"][usize::from(action % 5)];
    let outcome = agent.judge(action, finished, &[secret()?]);
    let word = told(&outcome)?;
    let shown = format!("{outcome:?}");
    must!(!shown.contains(SECRET), "the secret is told: {shown}");
    let expected = match (action, &finished.outcome) {
        ("monitor", Outcome::Exited { code: 8 | 191 }) => "done",
        ("monitor", Outcome::Exited { code: 0 | 190 }) if promotable => "failed",
        ("monitor", Outcome::Exited { code: 190 }) | (_, Outcome::Exited { code: 0 }) => "done",
        ("monitor", Outcome::Exited { code: 7 }) => "not running",
        ("stop" | "demote", Outcome::Exited { code: 7 }) => "done",
        (_, Outcome::Exited { code: 2..=6 } | Outcome::NotStarted { .. }) => "unfit",
        _ => "failed",
    };
    must!(word == expected, "{action} {}: {outcome:?}", finished.outcome);
    Ok(Answer::new(format!("an agent's {action}: {word}")))
}

/// A secret as it is read from its file.
fn secret() -> Result<Secret, Broken> {
    let path = scratch::directory()?.join("secret");
    let failed = |error: picket_host::secrets::Error| Broken(format!("no secret to hide: {error}"));
    if !path.exists() {
        write_new_secret(&path, SECRET.as_bytes()).map_err(failed)?;
    }
    read_secret(&path).map_err(failed)
}

fn metadata_seeds() -> Vec<Vec<u8>> {
    let known = Metadata {
        parameters: [("dir".to_owned(), true), ("rc_stop".to_owned(), false)].into(),
        actions: [("start", Some(Duration::from_secs(35))), ("stop", None)]
            .map(|(name, timeout)| (name.to_owned(), timeout))
            .into(),
    };
    let whole = "<?xml version=\"1.0\"?>\n<!DOCTYPE resource-agent SYSTEM \"ra-api-1.dtd\">\n\
                 <resource-agent name=\"Dummy\" version=\"1.1\"><version>1.0</version>\n\
                 <longdesc lang=\"en\">A &amp; B</longdesc><shortdesc lang=\"en\">x</shortdesc>\n\
                 <parameters><parameter name=\"state\" unique-group=\"state\"><content type=\"string\" default=\"x\"/></parameter></parameters>\n\
                 <actions><action name=\"start\" timeout=\"20s\"/><action name=\"monitor\" timeout=\"20\" interval=\"10s\" depth=\"0\"/></actions>\n\
                 </resource-agent>\n";
    [whole.to_owned(), written(&known)].map(String::into_bytes).into()
}

fn written(metadata: &Metadata) -> String {
    let quoted = |text: &str| {
        let letter = |c: char| {
            if "&<>\"".contains(c) || c.is_control() { format!("&#{};", u32::from(c)) } else { c.into() }
        };
        text.chars().map(letter).collect::<String>()
    };
    let parameter = |(name, required): (&String, &bool)| {
        format!("<parameter name=\"{}\" required=\"{}\"/>\n", quoted(name), u8::from(*required))
    };
    let action = |(name, timeout): (&String, &Option<Duration>)| {
        let timeout = timeout.map(|timeout| format!(" timeout=\"{}ns\"", timeout.as_nanos()));
        format!("<action name=\"{}\"{}/>\n", quoted(name), timeout.unwrap_or_default())
    };
    let parameters: String = metadata.parameters.iter().map(parameter).collect();
    let actions: String = metadata.actions.iter().map(action).collect();
    format!(
        "<resource-agent><parameters>{parameters}</parameters><actions>{actions}</actions></resource-agent>\n"
    )
}

fn metadata_check(input: &[u8]) -> Result<Answer, Broken> {
    let text = String::from_utf8_lossy(input);
    let metadata = match Metadata::parse(&text) {
        Ok(metadata) => metadata,
        Err(error) => {
            must!(!error.contains(char::is_control), "an error that drives a terminal: {error:?}");
            // What it shows of the document stands in quotes of this kind.
            return Ok(Answer::new(error.split('\'').step_by(2).collect::<String>()));
        }
    };
    let end = text.trim_end();
    must!(end.ends_with('>') && text.contains("resource-agent"), "half a document was taken: {text:?}");
    // A name is written as it is, or with what XML has for letters.
    let plain = !text.contains('&') && !text.contains(['\n', '\r', '\t']);
    for name in metadata.parameters.keys().chain(metadata.actions.keys()) {
        must!(!plain || text.contains(name.as_str()), "{name:?} never was there");
    }
    let is_told = metadata.parameters.values().any(|required| *required);
    must!(!is_told || text.contains("required"), "a parameter must be told of which nobody said so");
    // Written lengths have at most twelve digits, which few of them need as nanoseconds.
    let is_short = |timeout: &Duration| timeout.as_nanos() < 1_000_000_000_000;
    if metadata.actions.values().flatten().all(is_short) {
        let again = Metadata::parse(&written(&metadata));
        must!(again.as_ref() == Ok(&metadata), "written again it is {again:?}, not {metadata:?}");
    }
    let mut words = BTreeSet::new();
    words.extend(metadata.parameters.values().map(|required| format!("required {required}")));
    words.extend(metadata.actions.values().map(|timeout| format!("timed {}", timeout.is_some())));
    Ok(Answer::all(&words))
}
