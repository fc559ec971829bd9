//! cargo-mutants itself, for the faults that have no place in the one text, and to compare verdicts.

use crate::book::Verdict;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Seconds for the tests of one fault, not optimised, those of the checkers too: on a busy machine they take minutes
/// without a fault, and a time-out counts as a fault that was noticed.
const TIMEOUT_S: &str = "900";

const LISTS: [(&str, Verdict); 4] = [
    ("caught.txt", Verdict::Caught),
    ("timeout.txt", Verdict::TimedOut),
    ("missed.txt", Verdict::Survived),
    ("unviable.txt", Verdict::Unviable),
];

/// Where cargo-mutants is and works.
#[derive(Debug)]
pub struct Real<'a> {
    /// The program.
    pub program: &'a Path,
    /// Its configuration.
    pub config: &'a Path,
    /// The tree in which it puts its faults.
    pub tree: &'a Path,
    /// Where that is built.
    pub target: &'a Path,
    /// Where its results go.
    pub out: &'a Path,
}

impl Real<'_> {
    /// Its verdicts over faults of these names, by the unit tests of the packages.
    ///
    /// # Errors
    /// It cannot be run, or has no verdict over one.
    pub fn judge(&self, names: &[&str], packages: &[&str]) -> Result<BTreeMap<String, Verdict>, String> {
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut command = Command::new(self.program);
        command.args(["mutants", "--package", "picket-core", "--in-place", "--no-shuffle"]);
        command.args(["--baseline", "skip", "--timeout", TIMEOUT_S, "--config"]).arg(self.config);
        command.arg("--output").arg(self.out);
        packages.iter().for_each(|package| _ = command.args(["--test-package", package]));
        names.iter().for_each(|name| _ = command.args(["--re", &format!("^{}$", escaped(name))]));
        // Some kinds of faults it takes whatever their name, so that it has to be told the files too.
        let files: BTreeSet<&str> = names.iter().filter_map(|name| Some(name.split_once(':')?.0)).collect();
        files.iter().for_each(|file| _ = command.args(["--file", file]));
        let output = command
            .current_dir(self.tree)
            .env("CARGO_TARGET_DIR", self.target)
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "0") // what is compiled runs once
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .output()
            .map_err(|error| format!("{}: {error}", self.program.display()))?;
        let mut verdicts = BTreeMap::new();
        for (file, verdict) in LISTS {
            let text = std::fs::read_to_string(self.out.join("mutants.out").join(file)).unwrap_or_default();
            verdicts.extend(text.lines().map(|name| (name.to_owned(), verdict)));
        }
        match names.iter().find(|name| !verdicts.contains_key(**name)) {
            None => Ok(verdicts),
            Some(name) => {
                let told = [output.stdout, output.stderr].concat();
                Err(format!("no verdict over {name}:\n{}", String::from_utf8_lossy(&told)))
            }
        }
    }
}

/// A name as a pattern for just itself.
fn escaped(name: &str) -> String {
    let mut pattern = String::new();
    for letter in name.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(letter) {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}
