//! What an agent says of itself: its parameters and actions.

use super::Agent;
use crate::volume::one_line;
use core::time::Duration;
use picket_host::clock::boottime;
use picket_host::config::parse_duration;
use picket_host::process::{Outcome, Program, SYSTEM_PATH, run};
use roxmltree::{Document, Node, ParsingOptions};
use std::collections::BTreeMap;

/// An agent only prints a text: one that takes longer hangs.
const METADATA_WITHIN: Duration = Duration::from_secs(10);

/// What an agent says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The parameters that it knows; true: it must be told.
    pub parameters: BTreeMap<String, bool>,
    /// The actions that it can do, each with the timeout that it advises.
    pub actions: BTreeMap<String, Option<Duration>>,
}

impl Metadata {
    /// Asks the agent. Blocks until it has answered.
    ///
    /// # Errors
    /// What it did instead, in a line.
    pub fn read(agent: &Agent) -> Result<Self, String> {
        let program = agent.base(Program::new(agent.path()).env("PATH", SYSTEM_PATH), "meta-data");
        // The configuration is read inside of runtimes and outside of them: it gets one of its own.
        let asked = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok::<_, std::io::Error>(runtime.block_on(run(program, boottime() + METADATA_WITHIN)))
        });
        let finished = asked.join().map_err(|_| "it could not be asked".to_owned())?;
        let finished = finished.map_err(|error| format!("it could not be asked: {error}"))?;
        if finished.outcome != (Outcome::Exited { code: 0 }) {
            return Err(format!("meta-data {}", finished.outcome));
        }
        Self::parse(&finished.stdout.text())
    }

    /// Understands the text.
    ///
    /// # Errors
    /// Why it is not what an agent says.
    pub fn parse(text: &str) -> Result<Self, String> {
        let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
        let document = Document::parse_with_options(text.trim_start(), options)
            .map_err(|error| one_line(&format!("meta-data is no XML: {error}")))?;
        let root = document.root_element();
        if root.tag_name().name() != "resource-agent" {
            return Err(format!("meta-data is of a {:?}, not of a resource-agent", root.tag_name().name()));
        }
        let yes = |value: Option<&str>| matches!(value, Some("1" | "true" | "yes"));
        let parameters = named(root, "parameters", "parameter");
        let actions = named(root, "actions", "action");
        Ok(Self {
            parameters: parameters.map(|(name, node)| (name, yes(node.attribute("required")))).collect(),
            actions: actions.map(|(name, node)| (name, node.attribute("timeout").and_then(length))).collect(),
        })
    }
}

/// The elements of one kind with their names.
fn named<'a, 'i: 'a>(
    root: Node<'a, 'i>,
    list: &'static str,
    kind: &'static str,
) -> impl Iterator<Item = (String, Node<'a, 'i>)> {
    let lists = root.children().filter(move |node| node.has_tag_name(list));
    let all = lists.flat_map(|list| list.children());
    all.filter(move |node| node.has_tag_name(kind))
        .filter_map(|node| Some((node.attribute("name")?.to_owned(), node)))
}

/// `20s`, `20`, `20000ms`: without a unit it is seconds.
fn length(text: &str) -> Option<Duration> {
    let text = text.trim();
    match text.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => parse_duration(text),
    }
}
