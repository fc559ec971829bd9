//! The ways to tell a scenario: a name in its text stands for several words or moments.
//!
//! ```text
//! for LINKS in repl 1 2 | beats 1 2       the name stands for these words, then for those
//! for T from 1000 to 1300 every 20 ms     the name stands for 1.000, 1.020, … seconds
//! ```
//! Several names multiply.

/// A text with every name replaced, and which words took their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The names and their words, for people; empty for a text without names.
    pub told: String,
    /// The text. Its lines keep their numbers.
    pub text: String,
}

/// Every way to tell a text, at most so many: each costs as much as a scenario of its own.
const VARIANTS_MAX: usize = 1000;

/// Every way to tell a text.
///
/// # Errors
/// A `for` line that makes no sense, or too many ways.
pub fn variants(text: &str) -> Result<Vec<Variant>, String> {
    let mut all = vec![Variant { told: String::new(), text: String::new() }];
    let mut names: Vec<(&str, Vec<String>)> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = bare(line).split_whitespace().collect();
        let kept = if let ["for", name, rest @ ..] = words.as_slice() {
            names.push((name, meanings(rest).map_err(|why| format!("{line}: {why}"))?));
            ""
        } else {
            line
        };
        all[0].text.push_str(kept);
        all[0].text.push('\n');
    }
    for (name, meanings) in names {
        all = all.iter().flat_map(|one| meanings.iter().map(|word| one.with(name, word))).collect();
        if all.len() > VARIANTS_MAX {
            return Err(format!("more than {VARIANTS_MAX} ways to tell it"));
        }
    }
    Ok(all)
}

/// A line without its comment.
fn bare(line: &str) -> &str {
    if line.starts_with('#') { "" } else { line.split("  ").next().unwrap_or_default() }
}

fn meanings(words: &[&str]) -> Result<Vec<String>, String> {
    let ms = |word: &str| word.parse::<u32>().map_err(|_| format!("{word} is no number"));
    match words {
        ["in", rest @ ..] if !rest.is_empty() => {
            Ok(rest.split(|word| *word == "|").map(|words| words.join(" ")).collect())
        }
        ["from", from, "to", to, "every", step, "ms"] => {
            let step = usize::try_from(ms(step)?).map_err(|_| "too long")?.max(1);
            let seconds = |at: u32| format!("{}.{:03}", at / 1000, at % 1000);
            Ok((ms(from)?..=ms(to)?).step_by(step).map(seconds).collect())
        }
        _ => Err("expected for NAME in A | B, or for NAME from MS to MS every MS ms".into()),
    }
}

impl Variant {
    fn with(&self, name: &str, word: &str) -> Self {
        let told = if self.told.is_empty() { String::new() } else { format!("{}, ", self.told) };
        let told = format!("{told}{name} = {word}");
        let line = |line: &str| -> String {
            let comment = line.find("  ").unwrap_or(line.len());
            let words = line[..comment].split(' ').map(|each| if each == name { word } else { each });
            words.collect::<Vec<_>>().join(" ")
        };
        let text: String = self.text.lines().map(|each| format!("{}\n", line(each))).collect();
        Self { told, text }
    }
}
