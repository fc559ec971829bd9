//! Reading the options: `key=value` lines, or flags.
//!
//! Contract: `#` lines and unknown keys are ignored (the unknown ones with a warning; `nodename`,
//! which Pacemaker always sends, without), the last value wins, `-` and `_` are the same, old and
//! new names are the same option. An unknown *flag* is an error, because nobody knows whether the
//! word after it is its value.
//!
//! Values may be secrets: they are wiped from memory when dropped and never shown by `Debug`.

use crate::options::{Kind, OptionSpec};
use crate::registry::DeviceKind;
use core::time::Duration;
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

#[cfg(test)]
mod tests;

/// The longest wait that an option may ask for: a week is longer than anyone waits for a fence.
pub const SECONDS_MAX: f64 = 7.0 * 86_400.0;

/// Why the options cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// A flag that is not in the table.
    #[error("unknown option {0}; --help shows those that exist")]
    UnknownFlag(String),
    /// A beginning that fits several options.
    #[error("--{given} could be any of {fits}")]
    Ambiguous {
        /// What was typed.
        given: String,
        /// What it could mean.
        fits: String,
    },
    /// A flag without its value.
    #[error("option {0} needs a value")]
    NoValue(String),
    /// A value after a flag that takes none.
    #[error("option {0} takes no value")]
    UnwantedValue(String),
    /// A value of the wrong kind.
    #[error("{option}={given} is not {wanted}")]
    BadValue {
        /// The option.
        option: String,
        /// Its value; never that of a secret, those are plain text and always fit.
        given: String,
        /// What was expected.
        wanted: String,
    },
    /// An option without which this action has no meaning.
    #[error("option {0} is required")]
    Missing(&'static str),
    /// Something else that the device cannot work with.
    #[error("{0}")]
    Unusable(String),
}

/// The options as given, with the defaults of the table behind them.
pub struct Options {
    table: Vec<OptionSpec>,
    given: BTreeMap<&'static str, Zeroizing<String>>,
    /// The name that Pacemaker knows the machine by; the plug if no plug is given.
    nodename: Option<String>,
    /// The option that names the machine if neither does.
    plug_option: Option<&'static str>,
    /// What was ignored, to be told as warnings.
    pub ignored: Vec<String>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.given.keys()).finish()
    }
}

impl Options {
    fn empty(kind: &DeviceKind) -> Self {
        let table = kind.all_options().collect();
        Self {
            table,
            given: BTreeMap::new(),
            nodename: None,
            plug_option: kind.plug_option,
            ignored: Vec::new(),
        }
    }

    /// Reads `key=value` lines.
    #[must_use]
    pub fn from_lines(kind: &DeviceKind, text: &str) -> Self {
        let mut options = Self::empty(kind);
        let mut after_secret = false;
        for (number, line) in (1_usize..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line.split_once('=').map_or((line, None), |(key, value)| (key, Some(value)));
            let (key, text) = (key.trim(), unquoted(value.unwrap_or_default().trim()));
            if let Some(spec) = options.spec(key) {
                options.given.insert(spec.name, Zeroizing::new(text.to_owned()));
                after_secret = spec.secret;
            } else if key == "nodename" {
                options.nodename = Some(text.to_owned());
                after_secret = false;
            } else if value.is_none() || after_secret {
                // It may be the rest of a password with a line break in it, and so may what follows.
                options.ignored.push(format!("line {number}; an option is NAME=VALUE on one line"));
            } else {
                // The key alone: the value may be a password under a name that we do not know.
                options.ignored.push(key.to_owned());
            }
        }
        options
    }

    /// Takes for each option what `value` has for it.
    #[must_use]
    pub fn from_lookup(kind: &DeviceKind, value: impl Fn(&OptionSpec) -> Option<String>) -> Self {
        let mut options = Self::empty(kind);
        for spec in options.table.clone() {
            options.given.extend(value(&spec).map(|value| (spec.name, Zeroizing::new(value))));
        }
        options
    }

    /// Gives an option of the table a value, whatever it had before.
    pub fn set(&mut self, name: &str, value: String) {
        if let Some(spec) = self.spec(name) {
            self.given.insert(spec.name, Zeroizing::new(value));
        }
    }

    /// Reads flags: `-o off`, `-ooff`, `--action=off`, `--action off`, `--act off`.
    ///
    /// # Errors
    /// An unknown or ambiguous flag, a value too few or too many.
    pub fn from_flags(kind: &DeviceKind, words: &[String]) -> Result<Self, InputError> {
        let mut options = Self::empty(kind);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                options.ignored.extend(words.by_ref().cloned());
            } else if let Some(long) = word.strip_prefix("--") {
                options.long_flag(long, &mut words)?;
            } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
                options.short_flags(letters, &mut words)?;
            } else {
                options.ignored.push(word.clone());
            }
        }
        Ok(options)
    }

    fn long_flag(&mut self, flag: &str, rest: &mut std::slice::Iter<'_, String>) -> Result<(), InputError> {
        let (key, value) = match flag.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (flag, None),
        };
        if key == "nodename" {
            self.nodename = value.or_else(|| rest.next().cloned());
            return Ok(());
        }
        let spec = self.spec_by_beginning(key)?;
        let shown = format!("--{}", spec.long());
        let value = match (spec.kind, value) {
            (Kind::Flag, None) => "1".to_owned(),
            (Kind::Flag, Some(_)) => return Err(InputError::UnwantedValue(shown)),
            (Kind::Text | Kind::Seconds | Kind::Integer | Kind::Choice(_), Some(value)) => value,
            (Kind::Text | Kind::Seconds | Kind::Integer | Kind::Choice(_), None) => {
                rest.next().cloned().ok_or(InputError::NoValue(shown))?
            }
        };
        self.given.insert(spec.name, Zeroizing::new(value));
        Ok(())
    }

    fn short_flags(
        &mut self,
        letters: &str,
        rest: &mut std::slice::Iter<'_, String>,
    ) -> Result<(), InputError> {
        for (at, letter) in letters.char_indices() {
            let spec = self.table.iter().find(|spec| spec.short == Some(letter)).copied();
            let spec = spec.ok_or_else(|| InputError::UnknownFlag(format!("-{letter}")))?;
            if spec.kind == Kind::Flag {
                self.given.insert(spec.name, Zeroizing::new("1".to_owned()));
                continue;
            }
            let glued = &letters[at + letter.len_utf8()..];
            let value = if glued.is_empty() { rest.next().cloned() } else { Some(glued.to_owned()) };
            let value = value.ok_or_else(|| InputError::NoValue(format!("-{letter}")))?;
            self.given.insert(spec.name, Zeroizing::new(value));
            return Ok(());
        }
        Ok(())
    }

    fn spec(&self, key: &str) -> Option<OptionSpec> {
        self.table.iter().find(|spec| spec.is_named(key)).copied()
    }

    fn spec_by_beginning(&self, key: &str) -> Result<OptionSpec, InputError> {
        if let Some(spec) = self.spec(key) {
            return Ok(spec);
        }
        let beginning = key.replace('-', "_");
        let fits: Vec<_> = self.table.iter().filter(|spec| spec.name.starts_with(&beginning)).collect();
        match fits.as_slice() {
            [] => Err(InputError::UnknownFlag(format!("--{key}"))),
            [one] => Ok(**one),
            [_, _, ..] => {
                let fits = fits.iter().map(|spec| format!("--{}", spec.long())).collect::<Vec<_>>();
                Err(InputError::Ambiguous { given: key.to_owned(), fits: fits.join(", ") })
            }
        }
    }

    /// The value of an option: as given, else its default. An empty value is none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let given = self.given.get(name).map(|value| value.as_str()).filter(|value| !value.is_empty());
        given.or_else(|| self.spec(name).and_then(|spec| spec.default))
    }

    /// The value of an option that must be there.
    ///
    /// # Errors
    /// It is not.
    pub fn need(&self, name: &'static str) -> Result<&str, InputError> {
        self.get(name).ok_or(InputError::Missing(name))
    }

    /// An option in seconds; zero if it is not given and has no default.
    ///
    /// # Errors
    /// No number, negative, or above [`SECONDS_MAX`].
    pub fn seconds(&self, name: &str) -> Result<Duration, InputError> {
        let Some(given) = self.get(name) else { return Ok(Duration::ZERO) };
        let number = given.trim().trim_end_matches('s').parse::<f64>().ok();
        let number = number.filter(|seconds| (0.0..=SECONDS_MAX).contains(seconds));
        number.map(Duration::from_secs_f64).ok_or_else(|| bad(name, given, "a time in seconds"))
    }

    /// A whole number; zero if it is not given and has no default.
    ///
    /// # Errors
    /// No number, or above `most`.
    pub fn integer(&self, name: &str, most: u32) -> Result<u32, InputError> {
        let Some(given) = self.get(name) else { return Ok(0) };
        let number = given.trim().parse::<u32>().ok().filter(|number| *number <= most);
        number.ok_or_else(|| bad(name, given, &format!("a whole number from 0 to {most}")))
    }

    /// A yes or no, if it is given.
    ///
    /// # Errors
    /// Neither a word for yes nor one for no.
    pub fn truth(&self, name: &str) -> Result<Option<bool>, InputError> {
        let Some(given) = self.get(name) else { return Ok(None) };
        match given.to_ascii_lowercase().as_str() {
            "1" | "yes" | "on" | "true" => Ok(Some(true)),
            "0" | "no" | "off" | "false" => Ok(Some(false)),
            _ => Err(bad(name, given, "yes or no")),
        }
    }

    /// The machines that the action is about: `plug`, else the name that Pacemaker sent along, else what
    /// the device's [`plug_option`](DeviceKind::plug_option) says.
    ///
    /// # Errors
    /// None of them is given.
    pub fn plugs(&self) -> Result<Vec<String>, InputError> {
        let named = self.get("plug").or(self.nodename.as_deref());
        let named = named.or_else(|| self.plug_option.and_then(|option| self.get(option)));
        let separator = self.need("plug_separator")?;
        let plugs = named.unwrap_or_default().split(separator).map(str::trim).filter(|plug| !plug.is_empty());
        let plugs: Vec<String> = plugs.map(str::to_owned).collect();
        if plugs.is_empty() {
            Err(InputError::Missing(self.plug_option.unwrap_or("plug")))
        } else {
            Ok(plugs)
        }
    }

    /// Whether somebody wrote `plug` for this device. Pacemaker also sends the node's name as plug where
    /// nobody wrote one.
    #[must_use]
    pub fn plug_is_own(&self) -> bool {
        self.get("plug").is_some_and(|plug| self.nodename.as_deref() != Some(plug))
    }

    /// Checks every value that is there against its kind, and, if `whole`, that every required
    /// option is there. All findings together, so that nobody has to repair them one by one.
    #[must_use]
    pub fn check(&self, whole: bool) -> Vec<InputError> {
        let mut found = Vec::new();
        for spec in &self.table {
            let finding = match spec.kind {
                Kind::Flag => self.truth(spec.name).err(),
                Kind::Seconds => self.seconds(spec.name).err(),
                Kind::Integer => self.integer(spec.name, u32::MAX).err(),
                Kind::Choice(words) => self.get(spec.name).and_then(|given| {
                    let fits = words.iter().any(|word| word.eq_ignore_ascii_case(given));
                    (!fits).then(|| bad(spec.name, given, &format!("one of {}", words.join(", "))))
                }),
                Kind::Text => None,
            };
            found.extend(finding);
            // A machine may also be named by `nodename`; `plugs` decides about it.
            if whole && spec.required && spec.name != "plug" && self.get(spec.name).is_none() {
                found.push(InputError::Missing(spec.name));
            }
        }
        if whole {
            found.extend(self.plugs().err());
        }
        found
    }
}

fn bad(option: &str, given: &str, wanted: &str) -> InputError {
    InputError::BadValue { option: option.to_owned(), given: given.to_owned(), wanted: wanted.to_owned() }
}

/// Without one pair of surrounding double quotes.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
}
