//! The faults, as `cargo mutants --list --json` tells of them.

use crate::diff;
use crate::weave::Fault;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// One fault of the list.
#[derive(Clone, Debug, Deserialize)]
pub struct Listed {
    /// What identifies it: file, place, and what is replaced.
    pub name: String,
    /// The file, from the root of the tree.
    pub file: String,
    /// What it changes.
    pub diff: String,
}

impl Listed {
    /// Its name without line and column, which change with every other change of the file.
    #[must_use]
    pub fn lasting_name(&self) -> String {
        let place = self.name.strip_prefix(&self.file).and_then(|rest| rest.split_once(": "));
        place.map_or_else(|| self.name.clone(), |(_, what)| format!("{}: {what}", self.file))
    }
}

/// All faults of a tree, and the texts of their files.
#[derive(Debug)]
pub struct List {
    /// The faults; a fault's number is its place here, from one.
    pub faults: Vec<Listed>,
    /// The files that have some.
    pub texts: BTreeMap<String, String>,
}

impl List {
    /// Reads the list, and the files that it names.
    ///
    /// # Errors
    /// A file that cannot be read or is no such list.
    pub fn read(json: &Path, tree: &Path) -> Result<Self, String> {
        let faults: Vec<Listed> = serde_json::from_str(&text(json)?).map_err(|error| error.to_string())?;
        let mut texts = BTreeMap::new();
        for fault in &faults {
            if !texts.contains_key(&fault.file) {
                texts.insert(fault.file.clone(), text(&tree.join(&fault.file))?);
            }
        }
        Ok(Self { faults, texts })
    }

    /// The fault with a number.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&Listed> {
        self.faults.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    /// Every fault with its number.
    pub fn numbered(&self) -> impl Iterator<Item = (u32, &Listed)> {
        (1..).zip(&self.faults)
    }

    /// Of each file: its text, and those of its faults that are wanted.
    ///
    /// # Errors
    /// A difference that does not fit its file.
    pub fn files(&self, wanted: &[u32]) -> Result<BTreeMap<String, (String, Vec<Fault>)>, String> {
        let mut files: BTreeMap<String, (String, Vec<Fault>)> = BTreeMap::new();
        for (name, text) in &self.texts {
            files.insert(name.clone(), (text.clone(), Vec::new()));
        }
        for number in wanted {
            let Some(fault) = self.get(*number) else { continue };
            let Some((text, faults)) = files.get_mut(&fault.file) else { continue };
            let mutated =
                diff::apply(text, &fault.diff).map_err(|error| format!("{}: {error}", fault.name))?;
            faults.push(Fault { number: *number, mutated });
        }
        Ok(files)
    }
}

fn text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The sum of a file's text.
#[must_use]
pub fn sum(text: &str) -> String {
    short(Sha256::new().chain_update(text))
}

/// The sum of all files below the folders, of the code and of its tests, wherever the folders are.
///
/// # Errors
/// A folder that cannot be read.
pub fn sum_of_all(folders: &[std::path::PathBuf]) -> Result<String, String> {
    let mut digest = Sha256::new();
    for root in folders {
        let mut left = vec![root.clone()];
        let mut files = Vec::new();
        while let Some(folder) = left.pop() {
            let told = |error| format!("{}: {error}", folder.display());
            for entry in std::fs::read_dir(&folder).map_err(told)? {
                let path = entry.map_err(told)?.path();
                if path.is_dir() { left.push(path) } else { files.push(path) }
            }
        }
        files.sort();
        for file in files {
            let bytes = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            digest.update(file.strip_prefix(root).unwrap_or(&file).to_string_lossy().as_bytes());
            digest.update(&bytes);
        }
    }
    Ok(short(digest))
}

fn short(digest: Sha256) -> String {
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
