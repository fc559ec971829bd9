//! What `xl list` says, read strictly: a line that is not understood makes the whole list no answer.
//!
//! ```text
//! Name                                        ID   Mem VCPUs      State   Time(s)
//! Domain-0                                     0  4096     4     r-----    4221.3
//! db1                                          7  2048     2     -b----      33.0
//! ```
//! Domain-0 is in every whole list: without it the list is not the Dom0's own or was cut short.

/// The name of the Dom0 itself.
pub const DOM0_NAME: &str = "Domain-0";

/// The letters of the state column, each at its place or `-`.
const STATE_LETTERS: &str = "rbpscd";

/// A domain that is being moved here under this name.
const INCOMING: &str = "--incoming";

/// A domain that was moved away and is not yet gone.
const MIGRATED_AWAY: &str = "--migratedaway";

/// What xl writes for a domain whose name it does not know (yet).
const NAMELESS: &str = "(null)";

/// One whole list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domains(Vec<Domain>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Domain {
    name: String,
    state: String,
}

/// What a list says about one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is there, running, blocked or paused.
    Running,
    /// It, or something that may be it, is there in a state in between.
    Doubtful(String),
    /// Nothing in the list can be it.
    Absent,
}

impl Domains {
    /// Reads the output of `xl list`.
    ///
    /// # Errors
    /// It is not a whole list, and why.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
        if header != ["Name", "ID", "Mem", "VCPUs", "State", "Time(s)"] {
            return Err("xl list gave no list".to_owned());
        }
        if !text.ends_with('\n') {
            return Err("xl list was cut short".to_owned());
        }
        let mut domains = Vec::new();
        let mut has_dom0 = false;
        for line in lines {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let [name, id, memory, cpus, state, time] = columns.as_slice() else {
                return Err(format!("xl list has a line with {} columns", columns.len()));
            };
            let seconds = time.split('.').all(is_number) && time.parse::<f64>().is_ok();
            if ![id, memory, cpus].into_iter().all(|column| is_number(column)) || !is_state(state) || !seconds
            {
                return Err("xl list has a line that makes no sense".to_owned());
            }
            has_dom0 |= *id == "0" && *name == DOM0_NAME;
            domains.push(Domain { name: (*name).to_owned(), state: (*state).to_owned() });
        }
        if !has_dom0 {
            return Err(format!("xl list lacks {DOM0_NAME}: not the list of a Dom0"));
        }
        Ok(Self(domains))
    }

    /// Whether a domain of exactly this name is there, in whatever state.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|domain| domain.name == name)
    }

    /// What the list says about `name`.
    #[must_use]
    pub fn presence(&self, name: &str) -> Presence {
        if let Some(domain) = self.0.iter().find(|domain| domain.name == name) {
            // Shut down, crashed or dying: no longer running, but not gone.
            return if domain.state.contains(['s', 'c', 'd']) {
                Presence::Doubtful(format!("{name} is there in state {}", domain.state))
            } else {
                Presence::Running
            };
        }
        let maybe = self.0.iter().find(|domain| {
            let moved = domain.name.strip_prefix(name);
            moved.is_some_and(|rest| rest == INCOMING || rest == MIGRATED_AWAY) || domain.name == NAMELESS
        });
        maybe.map_or(Presence::Absent, |domain| {
            Presence::Doubtful(format!("{} is there, which may be {name}", domain.name))
        })
    }

    /// The names of all domains but the Dom0.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let others = self.0.iter().filter(|domain| domain.name != DOM0_NAME && domain.name != NAMELESS);
        others.map(|domain| domain.name.clone()).collect()
    }
}

/// Digits, and not more of them than a number has.
fn is_number(column: &str) -> bool {
    column.bytes().all(|digit| digit.is_ascii_digit()) && column.parse::<u64>().is_ok()
}

fn is_state(state: &str) -> bool {
    let fits = |(is, letter): (char, char)| is == '-' || is == letter;
    state.len() == STATE_LETTERS.len() && state.chars().zip(STATE_LETTERS.chars()).all(fits)
}

/// The value of the last `name = "…"` of a configuration.
#[must_use]
pub fn config_name(text: &str) -> Option<String> {
    let mut values = text.lines().filter_map(|line| {
        let value = line.trim().strip_prefix("name")?.trim_start().strip_prefix('=')?.trim();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        value.get(1..)?.split_once(quote).map(|(name, _)| name.to_owned())
    });
    values.next_back()
}
