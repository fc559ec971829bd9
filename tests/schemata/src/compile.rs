//! Weaves a tree and compiles it, leaving out what does not compile.
//!
//! An error within the body of one fault is that fault's alone, since the body and all around it are as cargo-mutants
//! would have them: it would not compile there either. An error because of a function that has to stay `const` keeps it so.

use crate::weave::{Fault, MODULE, Woven, weave};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiler tells of borrows only when all types are right, and of callers that must be `const` one layer at a time.
const ROUNDS_MAX: u32 = 20;

/// Puts the module of [`MODULE`] beside the crate's own.
const DECLARATION: &str = "\nmod fault;\n";

/// What became of the faults.
#[derive(Debug, Default)]
pub struct Built {
    /// Those that do not compile.
    pub unviable: BTreeSet<u32>,
    /// Those that have no place in the one text.
    pub left: BTreeSet<u32>,
    /// Test programs and other programs, by the name of their target.
    pub programs: BTreeMap<String, PathBuf>,
}

/// A tree that is to be woven.
#[derive(Debug)]
pub struct Tree<'a> {
    /// Where it stands.
    pub root: &'a Path,
    /// Where it is built.
    pub target: &'a Path,
    /// Of each file: its text, and its faults.
    pub files: &'a BTreeMap<String, (String, Vec<Fault>)>,
    /// The crate's first file.
    pub first: &'a str,
}

#[derive(Deserialize)]
struct Line {
    message: Option<Message>,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Message {
    level: String,
    message: String,
    rendered: Option<String>,
    spans: Vec<Span>,
}

#[derive(Clone, Debug, Deserialize)]
struct Span {
    file_name: String,
    byte_start: usize,
    is_primary: bool,
}

impl Tree<'_> {
    /// Compiles the tree with all faults that can be compiled, by calls of cargo with these arguments.
    ///
    /// # Errors
    /// An error of the compiler that is due to no fault, a file that cannot be read or written.
    pub fn build(&self, calls: &[&[&str]]) -> Result<Built, String> {
        let mut constants = BTreeSet::new();
        let mut built = Built::default();
        for _ in 0..ROUNDS_MAX {
            let woven = self.weave(&constants, &mut built)?;
            let mut errors = Vec::new();
            for arguments in calls {
                errors = self.compile(arguments, &mut built.programs)?;
                if !errors.is_empty() {
                    break;
                }
            }
            if errors.is_empty() {
                return Ok(built);
            }
            let known = (constants.len(), built.unviable.len());
            for error in &errors {
                let wrong = self.faults_of(&woven, error);
                built.unviable.extend(wrong);
                constants.extend(must_be_constant(error));
            }
            if known == (constants.len(), built.unviable.len()) {
                return Err(format!("no fault is the cause:\n{}", texts(&errors)));
            }
        }
        Err(format!("still errors after {ROUNDS_MAX} rounds"))
    }

    fn weave(
        &self,
        constants: &BTreeSet<String>,
        built: &mut Built,
    ) -> Result<BTreeMap<String, Woven>, String> {
        built.left.clear();
        let mut all = BTreeMap::new();
        for (name, (source, faults)) in self.files {
            let viable: Vec<Fault> =
                faults.iter().filter(|fault| !built.unviable.contains(&fault.number)).cloned().collect();
            let woven = weave(source, &viable, constants).map_err(|error| format!("{name}: {error}"))?;
            write(&self.root.join(name), &woven.text)?;
            built.left.extend(&woven.left);
            all.insert(name.clone(), woven);
        }
        let first = self.root.join(self.first);
        write(&first.with_file_name("fault.rs"), MODULE)?;
        let text =
            std::fs::read_to_string(&first).map_err(|error| format!("{}: {error}", first.display()))?;
        if !text.ends_with(DECLARATION) {
            write(&first, &(text + DECLARATION))?;
        }
        Ok(all)
    }

    /// Makes more programs of the tree, once it is built.
    ///
    /// # Errors
    /// One of the compiler.
    pub fn more(&self, arguments: &[&str], built: &mut Built) -> Result<(), String> {
        let errors = self.compile(arguments, &mut built.programs)?;
        if errors.is_empty() { Ok(()) } else { Err(texts(&errors)) }
    }

    /// Calls cargo; its errors.
    fn compile(
        &self,
        arguments: &[&str],
        programs: &mut BTreeMap<String, PathBuf>,
    ) -> Result<Vec<Message>, String> {
        let output = Command::new("cargo")
            .args(arguments)
            .arg("--message-format=json")
            .current_dir(self.root)
            .env("CARGO_TARGET_DIR", self.target)
            .env("RUSTFLAGS", "-Awarnings") // the faults' are many, and what is denied stays denied
            .output()
            .map_err(|error| format!("cargo: {error}"))?;
        let mut errors = Vec::new();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Ok(line) = serde_json::from_str::<Line>(line) else { continue };
            errors.extend(line.message.filter(|message| message.level == "error"));
            if let (Some(target), Some(program)) = (line.target, line.executable) {
                programs.insert(target.name, program);
            }
        }
        if errors.is_empty() && !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(errors)
    }

    /// The faults in whose bodies an error stands.
    fn faults_of(&self, woven: &BTreeMap<String, Woven>, error: &Message) -> Vec<u32> {
        let places = error.spans.iter().filter(|span| span.is_primary);
        places
            .filter_map(|place| {
                let file = woven.get(&place.file_name)?;
                let body = file.bodies.iter().find(|(_, body)| body.contains(&place.byte_start))?;
                Some(body.0)
            })
            .collect()
    }
}

/// The function that an error wants to be `const`.
fn must_be_constant(error: &Message) -> Option<String> {
    let (_, rest) = error.message.split_once("cannot call non-const ")?;
    let path = rest.split('`').nth(1)?;
    Some(path.rsplit("::").next()?.to_owned())
}

fn texts(errors: &[Message]) -> String {
    errors.iter().filter_map(|error| error.rendered.as_deref()).collect::<Vec<_>>().join("\n")
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
