//! A resource's own configuration: the lines that it needs, and what in it would undo the guarantee.
//!
//! Checked is what `drbdadm dump` prints, which is the configuration with all inheritance resolved. Sections nest, and
//! statements end with `;`:
//!
//! ```text
//! resource r0 {
//!     net { protocol C; }
//!     handlers { fence-peer "/usr/sbin/picket-drbd-fence-peer"; }
//! }
//! ```

use core::fmt::Write as _;
use std::path::Path;

/// Which DRBD the lines are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 8.4: fencing is an option of the disk.
    Eight,
    /// 9: fencing is an option of the connection, and a device that is opened could promote by itself.
    Nine,
}

/// Where the handlers are installed.
const PROGRAMS: &str = "/usr/sbin";

/// The run-time directory that a handler uses by itself.
const RUN_DIR: &str = "/run/picket";

/// Sections that nest deeper than this are no resource.
const DEPTH_MAX: usize = 8;

/// The lines that a resource needs; hosts, disks and addresses are the user's own.
#[must_use]
pub fn lines(resource: &str, run_dir: &Path, version: Version) -> String {
    let elsewhere = run_dir != Path::new(RUN_DIR);
    let run = if elsewhere { format!(" --run-dir {}", run_dir.display()) } else { String::new() };
    let fencing = "    fencing resource-and-stonith;\n";
    let (of_net, of_disk) = match version {
        Version::Eight => ("", fencing),
        Version::Nine => (fencing, ""),
    };
    let mut text = format!("resource {resource} {{\n  net {{\n    protocol C;\n{of_net}");
    for option in ["after-sb-0pri", "after-sb-1pri", "after-sb-2pri"] {
        // A String takes every write.
        let _ = writeln!(text, "    {option} disconnect;");
    }
    let _ =
        write!(text, "  }}\n  disk {{\n{of_disk}    on-io-error call-local-io-error;\n  }}\n  handlers {{\n");
    let _ = writeln!(text, "    fence-peer \"{PROGRAMS}/picket-drbd-fence-peer{run}\";");
    for question in ["before-resync-target", "after-resync-target"] {
        let _ = writeln!(text, "    {question} \"{PROGRAMS}/picket-drbd-unfence {question}{run}\";");
    }
    if version == Version::Nine {
        let _ = writeln!(text, "    unfence-peer \"{PROGRAMS}/picket-drbd-unfence unfence-peer{run}\";");
    }
    text.push_str(
        "    local-io-error \"echo 1 > /proc/sys/kernel/sysrq; echo b > /proc/sysrq-trigger\";\n  }\n",
    );
    if version == Version::Nine {
        text.push_str("  options {\n    auto-promote no;\n  }\n");
    }
    text.push_str("}\n");
    text
}

/// What in a dumped resource would undo the guarantee, a line each with what is expected. `members` are the names of
/// the volume's members.
///
/// # Errors
/// The text is no dump of the resource.
pub fn problems(dump: &str, resource: &str, members: &[&str], run_dir: &Path) -> Result<Vec<String>, String> {
    let found = read(dump)?;
    let prefix = format!("resource {resource}/");
    let of_it = found.iter().filter_map(|(path, value)| Some((path.strip_prefix(&prefix)?, value.as_str())));
    let options = Options(of_it.collect());
    if options.0.is_empty() {
        return Err(format!("drbdadm dump shows no resource {resource:?}"));
    }
    let mut wrong = Vec::new();
    barrier(&options, &mut wrong);
    handlers(&options, run_dir, &mut wrong);
    nothing_by_itself(&options, &mut wrong);
    shape(&options, members, &mut wrong);
    Ok(wrong)
}

/// A resource's statements with the paths of their sections, in the order in which they stand.
struct Options<'d>(Vec<(&'d str, &'d str)>);

impl<'d> Options<'d> {
    fn get(&self, path: &str) -> Option<&'d str> {
        self.0.iter().rfind(|(found, _)| *found == path).map(|(_, value)| *value)
    }

    /// What is said by this name anywhere: what a connection or a volume says counts more than what is said for all.
    fn named(&self, name: &str) -> impl Iterator<Item = (&'d str, &'d str)> {
        self.0.iter().copied().filter(move |(path, _)| path.rsplit('/').next() == Some(name))
    }

    fn paths(&self) -> impl Iterator<Item = &'d str> {
        self.0.iter().map(|(path, _)| *path)
    }
}

/// The option has this value, there and wherever else it is said.
fn must(
    wrong: &mut Vec<String>,
    options: &Options<'_>,
    option: &str,
    expected: &str,
    default: &str,
    why: &str,
) {
    let silent = options.get(option).is_none().then_some((option, default));
    let name = option.rsplit('/').next().unwrap_or(option);
    for (path, found) in silent.into_iter().chain(options.named(name)) {
        if found != expected {
            let shown = path.replace('/', ".");
            wrong.push(format!("{shown} is {found:?}, must be {expected:?}: {why}"));
        }
    }
}

/// A write is acknowledged only when every required replica has it.
fn barrier(options: &Options<'_>, wrong: &mut Vec<String>) {
    let why = "otherwise a write is acknowledged before the peer has it";
    must(wrong, options, "net/protocol", "C", "C", why);
    let fencing = if options.get("net/fencing").is_some() { "net/fencing" } else { "disk/fencing" };
    let why = "otherwise a Primary that loses its peer goes on at once";
    must(wrong, options, fencing, "resource-and-stonith", "dont-care", why);
    let why = "a disk that is detached after an error leaves a replica that looks complete at its next start";
    must(wrong, options, "disk/on-io-error", "call-local-io-error", "detach", why);
}

fn handlers(options: &Options<'_>, run_dir: &Path, wrong: &mut Vec<String>) {
    let fence = options.get("handlers/fence-peer").unwrap_or_default();
    let mut words = fence.split_ascii_whitespace();
    let program = words.next().and_then(|program| program.rsplit('/').next());
    if program != Some("picket-drbd-fence-peer") {
        let text =
            "must be picket-drbd-fence-peer: another answer lets the Primary go on with nothing recorded";
        wrong.push(format!("handlers.fence-peer is {fence:?}, {text}"));
    } else if named_after(fence, "--run-dir").unwrap_or(RUN_DIR) != run_dir.to_string_lossy() {
        let here = run_dir.display();
        wrong.push(format!(
            "handlers.fence-peer is {fence:?}, must have --run-dir {here}: it finds no daemon otherwise"
        ));
    }
    if options.get("handlers/local-io-error").is_none_or(|program| program.trim().is_empty()) {
        wrong.push(
            "handlers.local-io-error is missing, must end the machine: a replica with an I/O error does not go on".to_owned(),
        );
    }
}

fn named_after<'a>(command: &'a str, option: &str) -> Option<&'a str> {
    let mut words = command.split_ascii_whitespace();
    words.find(|word| *word == option)?;
    words.next()
}

/// Nothing is promoted or discarded but by the driver or a person.
fn nothing_by_itself(options: &Options<'_>, wrong: &mut Vec<String>) {
    let why = "two nodes could be Primary";
    must(wrong, options, "net/allow-two-primaries", "no", "no", why);
    for option in ["net/after-sb-0pri", "net/after-sb-1pri", "net/after-sb-2pri"] {
        must(
            wrong,
            options,
            option,
            "disconnect",
            "disconnect",
            "a split brain must not discard data by itself",
        );
    }
    if let Some((_, nodes)) = options.named("become-primary-on").next() {
        wrong.push(format!(
            "startup.become-primary-on is {nodes:?}, must not be there: it promotes without a grant"
        ));
    }
    let is_nine = options.paths().any(|option| option.starts_with("on ") && option.ends_with("/node-id"));
    if is_nine || options.named("auto-promote").next().is_some() {
        must(
            wrong,
            options,
            "options/auto-promote",
            "no",
            "yes",
            "opening the device would promote without a grant",
        );
    }
}

fn shape(options: &Options<'_>, members: &[&str], wrong: &mut Vec<String>) {
    for member in members {
        let section = format!("on {member}/");
        if !options.paths().any(|option| option.starts_with(&section)) {
            wrong.push(format!(
                "there is no section `on {member}`: hosts must have the names of the volume's members"
            ));
        }
        let volumes = options
            .paths()
            .filter_map(|option| option.strip_prefix(&section)?.strip_prefix("volume ")?.split('/').next());
        if volumes.collect::<std::collections::BTreeSet<_>>().len() > 1 {
            wrong.push(format!("on {member} there are several volumes: a resource must have one"));
        }
    }
}

/// Statements with the path of their sections, `resource r0/net/protocol`.
fn read(text: &str) -> Result<Vec<(String, String)>, String> {
    let (mut sections, mut words, mut found) = (Vec::<String>::new(), Vec::<String>::new(), Vec::new());
    for token in tokens(text)? {
        match token {
            Token::Word(word) => words.push(word),
            Token::Open => {
                if sections.len() == DEPTH_MAX {
                    return Err(format!("drbdadm dump: more than {DEPTH_MAX} sections deep"));
                }
                sections.push(name(core::mem::take(&mut words).join(" "))?);
            }
            Token::End => {
                if let Some((option, value)) = words.split_first() {
                    let mut path = sections.clone();
                    path.push(name(option.clone())?);
                    // A switch without a value is on.
                    let value = if value.is_empty() { "yes".to_owned() } else { value.join(" ") };
                    found.push((path.join("/"), value));
                }
                words.clear();
            }
            Token::Close => {
                if sections.pop().is_none() || !words.is_empty() {
                    return Err("drbdadm dump: a } too many, or a statement without its ;".to_owned());
                }
            }
        }
    }
    if sections.is_empty() && words.is_empty() {
        Ok(found)
    } else {
        Err("drbdadm dump: it ends early".to_owned())
    }
}

/// A section's or an option's name: with a slash it could pass for one in another section. Problems show it.
fn name(name: String) -> Result<String, String> {
    if name.contains(|letter: char| letter == '/' || letter.is_control()) {
        Err(format!("drbdadm dump: {name:?} is no name"))
    } else {
        Ok(name)
    }
}

enum Token {
    Word(String),
    Open,
    Close,
    End,
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(first) = rest.next() {
        match first {
            '#' => while rest.next_if(|char| *char != '\n').is_some() {},
            '{' => tokens.push(Token::Open),
            '}' => tokens.push(Token::Close),
            ';' => tokens.push(Token::End),
            '"' => {
                let mut word = String::new();
                loop {
                    match rest.next() {
                        Some('"') => break,
                        Some('\\') => word.extend(rest.next()),
                        Some(char) => word.push(char),
                        None => return Err("drbdadm dump: a \" has no end".to_owned()),
                    }
                }
                tokens.push(Token::Word(word));
            }
            space if space.is_whitespace() => {}
            char => {
                let mut word = String::from(char);
                while let Some(char) = rest.next_if(|char| !char.is_whitespace() && !"{};\"#".contains(*char))
                {
                    word.push(char);
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}
