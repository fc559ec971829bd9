//! What a fence agent is given: `key=value` lines from a cluster manager, flags from a person.

use crate::must;
use crate::target::{Answer, Broken, Target};
use picket_fence::action::Action;
use picket_fence::input::{InputError, Options, SECONDS_MAX};
use picket_fence::options::Kind;
use picket_fence::registry::{DEVICES, DeviceKind};
use std::collections::BTreeSet;

/// The target. An input is one byte (which agent; last bit: lines or flags), then the text; flags are one a line.
pub const TARGET: Target = Target {
    name: "agent-input",
    about: "an agent's options: the last value wins, values never leak into warnings or errors that are no values",
    seeds,
    words: &[
        "action=",
        "action=off\n",
        "port=",
        "plug=",
        "nodename=",
        "\n",
        "=",
        "#",
        "\"",
        "power_timeout=",
        "power-timeout",
        "login_timeout=nan",
        "inf",
        "-1",
        "1e300",
        "0x1",
        "1s",
        "method=",
        "cycle",
        "onoff",
        "--",
        "-o",
        "--action",
        "--ac",
        "-n",
        "--plug=",
        "plug_separator=",
        "quiet=",
        "yes",
        "disable_timeout=",
        "socket_path=",
        "spool_dir=",
        "\r\n",
        "\u{0}",
        "\u{fc}",
    ],
    check,
};

/// A value that is like nothing else, to be looked for where it must not be.
const SECRET: &str = "Zq7-s3cret";

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (number, kind) in DEVICES.iter().enumerate() {
        let number = u8::try_from(number).unwrap_or(0) << 1;
        let lines: String = kind
            .all_options()
            .map(|spec| format!("{}={}\n", spec.name, spec.default.unwrap_or("n1")))
            .collect();
        seeds.push([&[number], lines.as_bytes()].concat());
        seeds.push(
            [&[number][..], b"# from the manager\naction=off\nnodename=n2\nport=n2\nunknown=1\n"].concat(),
        );
        seeds.push([&[number | 1][..], b"-o\noff\n-n\nn2\n--power-timeout=5\n-v"].concat());
        seeds.push([&[number | 1][..], b"--action=status\n--plug\nn2,n3\n--quiet"].concat());
    }
    seeds
}

fn check(input: &[u8]) -> Result<Answer, Broken> {
    let Some((which, rest)) = input.split_first() else { return Ok(Answer::new("empty")) };
    let Some(kind) = DEVICES.get(usize::from(which >> 1) % DEVICES.len()) else {
        return Ok(Answer::new("none"));
    };
    let text = String::from_utf8_lossy(rest);
    let options = if which & 1 == 0 {
        no_leak(kind, &text)?;
        Options::from_lines(kind, &text)
    } else {
        let words: Vec<String> = text.lines().map(str::to_owned).collect();
        match Options::from_flags(kind, &words) {
            Ok(options) => options,
            Err(error) => return Ok(Answer::new(shape(&error))),
        }
    };
    same_again(kind, &options)?;
    let mut words: BTreeSet<String> = options.check(true).iter().map(shape).collect();
    if let Ok(seconds) = options.seconds("power_timeout") {
        must!(seconds.as_secs_f64() <= SECONDS_MAX, "{seconds:?} is longer than a week");
    }
    if let Ok(plugs) = options.plugs() {
        must!(!plugs.is_empty() && plugs.iter().all(|plug| !plug.is_empty()), "{plugs:?}");
    }
    if let Some(action) = options.get("action").and_then(Action::parse) {
        words.insert(format!("{action:?}"));
    }
    Ok(Answer::all(&words))
}

/// An error's kind and option, without the value.
fn shape(error: &InputError) -> String {
    match error {
        InputError::BadValue { option, wanted, .. } => format!("{option} is not {wanted}"),
        InputError::UnknownFlag(_) => "unknown".to_owned(),
        InputError::Ambiguous { .. } => "ambiguous".to_owned(),
        other => other.to_string(),
    }
}

/// Written as lines, the options are read as the same options.
fn same_again(kind: &DeviceKind, options: &Options) -> Result<(), Broken> {
    let mut lines = String::new();
    for spec in kind.all_options() {
        let Some(value) = options.get(spec.name) else { continue };
        // What lines cannot say: values with line ends, or with spaces or quotes around them.
        if value.contains(['\n', '\r', '"']) || value.trim() != value {
            return Ok(());
        }
        lines.push_str(&format!("{}={value}\n", spec.long()));
    }
    let again = Options::from_lines(kind, &lines);
    for spec in kind.all_options() {
        let (was, is) = (options.get(spec.name), again.get(spec.name));
        must!(was == is, "{} was {was:?}, and {is:?} when it was written again", spec.name);
        must!(
            spec.kind != Kind::Seconds || options.seconds(spec.name) == again.seconds(spec.name),
            "{}",
            spec.name
        );
    }
    must!(again.ignored.is_empty(), "its own names are unknown: {:?}", again.ignored);
    Ok(())
}

/// A value never stands among the warnings, whatever stands around it: with a text that has a secret after each
/// equals sign, no warning and no debug form shows it.
fn no_leak(kind: &DeviceKind, text: &str) -> Result<(), Broken> {
    let text: String =
        text.lines().map(|line| format!("{}={SECRET}\n", line.split('=').next().unwrap_or(""))).collect();
    let options = Options::from_lines(kind, &text);
    let shown = format!("{options:?} {:?}", options.ignored);
    must!(!shown.contains(SECRET), "a value is shown: {shown}");
    Ok(())
}
