//! What the kernel says about processes: one's state and parent, and the groups of one that asks.

use crate::must;
use crate::target::{Answer, Broken, Target};
use picket_node::control::door::is_in_group;
use picket_node::volume::postgresql::processes::Stat;

/// The target. An input is one byte (`stat` or `status`), then the file's bytes.
pub const TARGET: Target = Target {
    name: "processes",
    about: "the kernel's words about processes: half a line is none, a name says nothing, a group only as it stands",
    seeds,
    words: &[
        "(postgres)",
        "42 (",
        ") ",
        " S ",
        " T ",
        " Z ",
        "X",
        " 7 ",
        "+7",
        "-7",
        "\n",
        "\n\n",
        "Groups:\t",
        "Groups:",
        "\t",
        "1000",
        "+",
        "0",
        "100",
        "4 ",
        "\u{a0}",
        ")",
        "(",
    ],
    check,
};

/// The process that is asked about.
const PID: i32 = 42;

/// The group that is asked for.
const GROUP: u32 = 1000;

fn seeds() -> Vec<Vec<u8>> {
    let stats = ["S 7", "T 7", "t 1", "Z 7", "R 0"]
        .map(|fields| format!("\u{0}{PID} (postgres) {fields} 42 42 0 -1 4194304 0\n"));
    let names = ["a) T 1 (b", "a\n42 (postgres"].map(|name| format!("\u{0}{PID} ({name}) S 7 42\n"));
    let status = |groups: &str| format!("\u{1}Name:\tpicket\nUid:\t5\t5\t5\t5\n{groups}NStgid:\t42\n");
    let statuses = ["Groups:\t4 27 1000 \n", "Groups:\t \n", "Groups:\t10000 100\n", ""].map(status);
    let short = ["\u{1}Groups:\t1000\n".to_owned()];
    stats.into_iter().chain(names).chain(statuses).chain(short).map(String::into_bytes).collect()
}

fn check(input: &[u8]) -> Result<Answer, Broken> {
    let Some((kind, rest)) = input.split_first() else { return Ok(Answer::new("empty")) };
    if kind & 1 == 0 { stat(rest) } else { groups(&String::from_utf8_lossy(rest)) }
}

/// Read is only a whole line about this very process, and what follows its name: nothing in the name counts.
fn stat(line: &[u8]) -> Result<Answer, Broken> {
    let Some(read) = Stat::parse(PID, line) else { return Ok(Answer::new("no process")) };
    must!(line.ends_with(b"\n"), "half of {line:?} was taken");
    must!(line.starts_with(format!("{PID} (").as_bytes()), "{line:?} is about another process");
    let name_ends = line.iter().rposition(|byte| *byte == b')').unwrap_or(0);
    let after = String::from_utf8_lossy(line.get(name_ends..).unwrap_or_default());
    let expected = format!(") {} ", char::from(read.state));
    must!(after.starts_with(&expected), "state {expected:?} was read from {after:?}");
    let parent: String =
        after.chars().skip(expected.len()).take_while(|c| !matches!(c, ' ' | '\n')).collect();
    let digits = !parent.is_empty() && parent.bytes().all(|digit| digit.is_ascii_digit());
    must!(digits && parent.parse() == Ok(read.parent), "parent {} was read from {after:?}", read.parent);
    let again = format!("{PID} (some) name) {} {} 42\n", char::from(read.state), read.parent);
    must!(Stat::parse(PID, again.as_bytes()) == Some(read), "{again:?} is read as something else");
    let cut = line.get(..line.len() - 1).unwrap_or_default();
    must!(Stat::parse(PID, cut).is_none() || cut.ends_with(b"\n"), "half of {cut:?} was taken");
    let state = match read.state {
        b'Z' | b'X' => "ended",
        b'T' | b't' => "stopped",
        _ => "other",
    };
    Ok(Answer::new(format!("state {state}, parent {}", read.parent > 0)))
}

/// Only the number itself in the first whole line of groups makes a member.
fn groups(status: &str) -> Result<Answer, Broken> {
    let is_member = is_in_group(status, GROUP);
    let end = status.rfind('\n').map_or(0, |end| end + 1);
    let whole = status.get(..end).unwrap_or_default();
    let line = whole.split('\n').find(|line| line.starts_with("Groups:"));
    let number = GROUP.to_string();
    let stands = |line: &str| {
        let words = line.strip_prefix("Groups:").unwrap_or_default();
        words.split(char::is_whitespace).any(|word| word == number)
    };
    must!(is_member == line.is_some_and(stands), "member {is_member}, by {status:?}");
    for sign in ["+", "0"] {
        let other = status.replace(&number, &format!("{sign}{number}"));
        must!(!is_in_group(&other, GROUP), "a member by {sign:?} before the number, in {other:?}");
    }
    Ok(Answer::new(format!("a line {}, member {is_member}", line.is_some())))
}
