//! One Dom0: how it is reached, and the three commands that it is given.

use super::domains::{Domains, config_name};
use crate::device::Limits;
use crate::input::{InputError, Options};
use crate::reach::Reach;
use crate::tool;
use picket_host::process::{Finished, Leftovers};

/// One Dom0.
#[derive(Clone, Debug)]
pub(super) struct Dom0 {
    reach: Reach,
    xl: String,
}

impl Dom0 {
    pub(super) fn new(options: &Options, reach: Reach) -> Result<Self, InputError> {
        Ok(Self { reach, xl: options.need("xl_path")?.to_owned() })
    }

    /// For people.
    pub(super) fn name(&self) -> &str {
        self.reach.name("Dom0")
    }

    fn run(&self, words: &[&str], limits: Limits) -> Finished {
        tool::run(self.reach.program(words, limits.login), limits.call)
    }

    fn order(&self, words: &[&str], leftovers: Leftovers, limits: Limits) -> Result<(), String> {
        let all: Vec<&str> = std::iter::once(self.xl.as_str()).chain(words.iter().copied()).collect();
        let program = self.reach.program(&all, limits.login).leftovers(leftovers);
        let finished = tool::run(program, limits.call);
        let failed = |why: String| format!("{}: xl {}: {why}", self.name(), words.join(" "));
        tool::answer(&finished).map(drop).map_err(failed)
    }

    /// Its domains.
    ///
    /// # Errors
    /// No whole list, and why.
    pub(super) fn list(&self, limits: Limits) -> Result<Domains, String> {
        let finished = self.run(&[&self.xl, "list"], limits);
        let text = tool::answer(&finished).map_err(|why| format!("xl list {why}"))?;
        Domains::parse(&text)
    }

    /// Whether the configuration at `path` is that of the domain `name`.
    pub(super) fn config_names(&self, path: &str, name: &str, limits: Limits) -> bool {
        let finished = self.run(&["cat", "--", path], limits);
        tool::answer(&finished).is_ok_and(|text| config_name(&text).as_deref() == Some(name))
    }

    /// Destroys a domain.
    ///
    /// # Errors
    /// How the command failed; the effect is unknown.
    pub(super) fn destroy(&self, name: &str, limits: Limits) -> Result<(), String> {
        self.order(&["destroy", name], Leftovers::Kill, limits)
    }

    /// Starts a domain from its configuration.
    ///
    /// # Errors
    /// How the command failed; the effect is unknown.
    pub(super) fn create(&self, path: &str, limits: Limits) -> Result<(), String> {
        // xl stays in the background to tend the domain; killed with its parent it would not.
        self.order(&["create", path], Leftovers::Leave, limits)
    }
}
