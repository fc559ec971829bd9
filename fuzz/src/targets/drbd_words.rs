//! What DRBD's programs print when they are asked: the data's generation, how far a resync is, the configuration.

use crate::must;
use crate::target::{Answer, Broken, Target};
use picket_core::evidence::Generation;
use picket_core::ids::GenerationId;
use picket_node::volume::drbd::conf::{self, Version};
use picket_node::volume::drbd::{generation, view};
use std::path::Path;

/// The target. An input is one byte (`get-gi`; last bit: `status`), then the output.
pub const GENERATION: Target = Target {
    name: "drbd-generation",
    about: "DRBD's generations: whole UUIDs only, none that does not stand there, and the same when written again",
    seeds: generation_seeds,
    words: &[
        "0000000000000000",
        "0000000000000004",
        "0000000000000005",
        "F2D2F1A0C6DC7F31",
        ":",
        "\n",
        "+",
        "-",
        " ",
        "done:",
        "99.97",
        "100",
        "1:1:0:1:0:0:0",
    ],
    check: generation_check,
};

/// The target. An input is what `drbdadm dump` prints.
pub const DUMP: Target = Target {
    name: "drbd-dump",
    about: "DRBD's configuration: sound only if it is whole and no statement of the resource, wherever, undoes the guarantee",
    seeds: dump_seeds,
    words: &[
        "resource r0 {",
        "resource r1 {",
        "net {",
        "disk {",
        "handlers {",
        "options {",
        "connection {",
        "volume 0 {",
        "on n1 {",
        "}",
        ";",
        "protocol C;",
        "protocol A;",
        "fencing dont-care;",
        "fencing resource-and-stonith;",
        "on-io-error detach;",
        "allow-two-primaries;",
        "auto-promote yes;",
        "after-sb-0pri discard-zero-changes;",
        "become-primary-on both;",
        "\"",
        "\\",
        "#",
        "\n",
    ],
    check: dump_check,
};

fn generation_seeds() -> Vec<Vec<u8>> {
    let gi = [
        "F2D2F1A0C6DC7F30:0000000000000000:7C1C2B6E1A2C6A52:0000000000000004:1:1:0:1:0:0:0\n",
        "1111111111111111:F2D2F1A0C6DC7F31:7C1C2B6E1A2C6A52:0000000000000000:1:1:1:0:0:1:0\n\
         1111111111111110:0000000000000000:7C1C2B6E1A2C6A52:0000000000000000:1:1:1:0:0:1:0\n",
        "0000000000000004:0000000000000000:0000000000000000:0000000000000000:0:0:0:0:0:0:0\n",
    ];
    let status = "r0 role:Primary\n  disk:UpToDate\n  peer role:Secondary\n    replication:SyncSource peer-disk:Inconsistent done:99.97\n";
    let gi = gi.into_iter().map(|text| format!("\u{0}{text}"));
    gi.chain([format!("\u{1}{status}")]).map(String::into_bytes).collect()
}

fn generation_check(input: &[u8]) -> Result<Answer, Broken> {
    let Some((kind, rest)) = input.split_first() else { return Ok(Answer::new("empty")) };
    let text = String::from_utf8_lossy(rest);
    if kind & 1 == 1 {
        let done = view::done(&text);
        let told = text.split_ascii_whitespace().filter_map(|word| word.strip_prefix("done:"));
        let whole = |word: &str| word.split('.').next().map(|whole| whole.trim_start_matches('0').to_owned());
        let mut told = told.filter_map(whole);
        let is =
            |done: u32| told.any(|whole| whole == if done == 0 { String::new() } else { done.to_string() });
        let stands = done.is_none_or(|done| done <= 100) && done.is_none_or(is);
        must!(stands, "{done:?} per cent were read from {text:?}");
        return Ok(Answer::new(if done.is_some() { "a resync" } else { "no resync" }));
    }
    let read = match generation::parse(&text) {
        Ok(read) => read,
        Err(error) => {
            must!(!error.contains(char::is_control), "an error that drives a terminal: {error:?}");
            return Ok(Answer::new(error));
        }
    };
    let firsts = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let firsts: Vec<_> = firsts.map(|line| line.split(':').next().and_then(whole)).collect();
    let is_current = firsts.iter().all(|first| *first == Some(read.current));
    must!(is_current && !firsts.is_empty(), "{} was read from {text:?}", read.current);
    let stand: Vec<_> = text.split([':', '\n', '\r']).map(str::trim).filter_map(whole).collect();
    for former in &read.history {
        must!(stand.contains(former), "{former} was never there: {text:?}");
        must!(!matches!(former.0, 0 | 4) && *former != read.current, "{former} is no ancestor");
    }
    must!(!matches!(read.current.0, 0 | 4), "data that never was");
    must!(read.history.len() <= Generation::HISTORY_MAX, "a history without end");
    let former: String = read.history.iter().map(|id| format!(":{:016X}", id.0)).collect();
    let again = generation::parse(&format!("{:016X}{former}:1:1:0:1:0:0:0\n", read.current.0));
    must!(again.as_ref() == Ok(&read), "written again it is {again:?}, not {read:?}");
    Ok(Answer::new(if read.history.is_empty() { "new data" } else { "data with a past" }))
}

/// A field of 16 digits, without the bit that is the role's.
fn whole(field: &str) -> Option<GenerationId> {
    let digits = field.len() == 16 && field.bytes().all(|digit| digit.is_ascii_hexdigit());
    let uuid = u64::from_str_radix(field, 16).ok().filter(|_| digits)?;
    Some(GenerationId(u128::from(uuid & !1)))
}

const RUN_DIR: &str = "/run/picket";

const RESOURCE: &str = "r0";

fn dump_seeds() -> Vec<Vec<u8>> {
    let recorded = [
        include_str!("../../../node/src/volume/drbd/tests/dump-8.4.txt"),
        include_str!("../../../node/src/volume/drbd/tests/dump-9.txt"),
    ];
    let hosts = "{\n  on n1 { node-id 1; volume 0 { disk /dev/vdb; } }\n  on n2 { node-id 2; volume 0 { disk /dev/vdb; } }\n\
                 connection { host n1 port 7789; host n2; net { ping-timeout 5; } }\n";
    let made = conf::lines(RESOURCE, Path::new(RUN_DIR), Version::Nine).replacen("{\n", hosts, 1);
    recorded.map(str::to_owned).into_iter().chain([made]).map(String::into_bytes).collect()
}

fn dump_check(input: &[u8]) -> Result<Answer, Broken> {
    let text = String::from_utf8_lossy(input);
    let found = match conf::problems(&text, RESOURCE, &["n1", "n2"], Path::new(RUN_DIR)) {
        Ok(found) => found,
        Err(error) => {
            must!(!error.contains(char::is_control), "an error that drives a terminal: {error:?}");
            return Ok(Answer::new(error));
        }
    };
    for problem in &found {
        must!(!problem.contains(char::is_control), "a problem that drives a terminal: {problem:?}");
    }
    if !found.is_empty() {
        // The options, not the sections: those have any name.
        let option = |problem: &String| Some(problem.split(" is ").next()?.rsplit('.').next()?.to_owned());
        return Ok(Answer::all(&found.iter().filter_map(option).collect()));
    }
    let statements = statements(&text);
    let of = |option: &'static str| {
        statements.iter().filter(move |statement| statement.first().is_some_and(|is| is == option))
    };
    for (option, good) in GUARANTEE {
        for statement in of(option) {
            let value = statement.get(1..).unwrap_or_default().join(" ");
            must!(value == good, "sound, where {option} is {value:?}");
        }
    }
    for option in ["fencing", "on-io-error", "fence-peer", "local-io-error"] {
        must!(of(option).next().is_some(), "sound, without {option}");
    }
    must!(of("become-primary-on").next().is_none(), "sound, and promoted at the start");
    let open = |brace: char| unquoted(&text).matches(brace).count();
    must!(open('{') == open('}'), "sound, and cut short");
    Ok(Answer::new(format!(
        "sound, {} sections",
        if of("node-id").next().is_some() { "of 9" } else { "of 8.4" }
    )))
}

/// What must hold wherever it stands in the resource.
const GUARANTEE: [(&str, &str); 8] = [
    ("protocol", "C"),
    ("fencing", "resource-and-stonith"),
    ("on-io-error", "call-local-io-error"),
    ("allow-two-primaries", "no"),
    ("after-sb-0pri", "disconnect"),
    ("after-sb-1pri", "disconnect"),
    ("after-sb-2pri", "disconnect"),
    ("auto-promote", "no"),
];

/// The text without comments and quotes; what could be read as something else in quotes is a letter `q`.
fn unquoted(text: &str) -> String {
    let (mut plain, mut letters) = (String::new(), text.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                let mut word = String::new();
                while let Some(inner) = letters.next().filter(|inner| *inner != '"') {
                    let inner = if inner == '\\' { letters.next().unwrap_or(inner) } else { inner };
                    word.push(if inner.is_ascii_alphanumeric() || inner == '-' { inner } else { 'q' });
                }
                plain.push_str(&format!(" {} ", if word.is_empty() { "q" } else { &word }));
            }
            '#' => {
                letters.by_ref().find(|letter| *letter == '\n');
                plain.push('\n');
            }
            other => plain.push(other),
        }
    }
    plain
}

/// The statements of the resource, each as its words, whatever section they stand in.
fn statements(text: &str) -> Vec<Vec<String>> {
    let plain = unquoted(text);
    let (mut statements, mut sections, mut words) = (Vec::new(), Vec::<String>::new(), Vec::<String>::new());
    let spaced = plain.replace('{', " { ").replace('}', " } ").replace(';', " ; ");
    for word in spaced.split_whitespace() {
        match word {
            "{" => sections.push(core::mem::take(&mut words).join(" ")),
            "}" => drop(sections.pop()),
            ";" => {
                let statement = core::mem::take(&mut words);
                if sections.first().is_some_and(|first| *first == format!("resource {RESOURCE}")) {
                    statements.push(statement);
                }
            }
            word => words.push(word.to_owned()),
        }
    }
    statements
}
