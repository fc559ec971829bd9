//! What PostgreSQL answers where its text is read: a holder's account of itself, histories, the barrier, the places in
//! its rows.

use crate::must;
use crate::target::{Answer, Broken, Target};
use picket_core::ids::{NodeId, NodeSet};
use picket_node::config::Rejoin;
use picket_node::volume::postgresql::follow::{Source, Verdict};
use picket_node::volume::postgresql::names::{NOBODY, Names};
use picket_node::volume::postgresql::timeline::{self, Place};
use std::collections::BTreeMap;

/// The target. An input is one byte for what it is (a holder's answer, a history, a barrier, the places in a
/// row), then the text.
pub const TARGET: Target = Target {
    name: "postgresql",
    about: "PostgreSQL's answers: half of one is none, a place only as it stands, a barrier only if it is ours",
    seeds,
    words: &[
        "|",
        "/",
        "\n",
        "\t",
        "0/3000148",
        "1/4000000",
        "00000003",
        "0000000100000002",
        "16777216",
        "FIRST ",
        "ANY ",
        " (",
        ")",
        ", ",
        "\"n2\"",
        "\"n3\"",
        "\"picket_nobody\"",
        "*",
        "+",
        "-",
        "#",
        "310930",
    ],
    check,
};

const HISTORY: &str = "1\t0/3000148\tno recovery target specified\n\n2\t1/4000000\tx y\n";

/// The size of a piece of the log, as servers have it unless they were told else.
const SEGMENT_BYTES: u64 = 16 << 20;

fn seeds() -> Vec<Vec<u8>> {
    let history: String = HISTORY.bytes().map(|byte| format!("{byte:02x}")).collect();
    let names = members();
    let required: NodeSet = [NodeId(2), NodeId(3)].into_iter().collect();
    let first = Names::after(None, &BTreeMap::new(), required, false);
    let next = Names::after(Some(first), &BTreeMap::new(), NodeSet::only(NodeId(2)), true);
    let texts = [
        format!("\u{0}77|1/5000000|00000003|3|0000000100000002|{SEGMENT_BYTES}|{history}\n"),
        format!("\u{0}77|0/5000000|00000001|1|0000000000000002|{SEGMENT_BYTES}|\n"),
        format!("\u{1}{HISTORY}"),
        format!("\u{2}{}", first.text(&names)),
        format!("\u{2}{}", next.text(&names)),
        format!("\u{2}{}", Names::BLOCKED.text(&names)),
        "\u{2}".to_owned(),
        "\u{3}000000030000000100000002|1/5000000".to_owned(),
        "\u{3}|0/3000148".to_owned(),
        "\u{3}|".to_owned(),
    ];
    texts.into_iter().map(String::into_bytes).collect()
}

fn members() -> BTreeMap<NodeId, String> {
    (1..=3).map(|id| (NodeId(id), format!("n{id}"))).collect()
}

fn check(input: &[u8]) -> Result<Answer, Broken> {
    let Some((kind, rest)) = input.split_first() else { return Ok(Answer::new("empty")) };
    let text = String::from_utf8_lossy(rest);
    match kind % 4 {
        0 => source(&text),
        1 => history(&text),
        2 => barrier(&text),
        _ => row(&text),
    }
}

/// What a holder says of itself: each number stands in the line, a line that is cut off says nothing, and told again it
/// is the same. A verdict that has data discarded needs a place that parted.
fn source(text: &str) -> Result<Answer, Broken> {
    let Some(source) = Source::parse(text) else { return Ok(Answer::new("no account of itself")) };
    must!(text.ends_with('\n'), "half of {text:?} was taken");
    let fields: Vec<&str> = text.trim_end_matches('\n').split('|').collect();
    let [system, end, timeline, control, ..] = fields.as_slice() else {
        return Err(Broken(format!("{} fields were taken", fields.len())));
    };
    must!(fields.len() == 7, "{} fields were taken", fields.len());
    must!(is_number(system, source.system), "{} was read from {text:?}", source.system);
    must!(is_lsn(end, source.end.lsn), "{:X} was read from {text:?}", source.end.lsn);
    let expected = format!("{:08X}", source.end.timeline);
    must!(timeline.eq_ignore_ascii_case(&expected), "timeline {expected} was read from {text:?}");
    must!(
        is_number(control, u64::from(source.control_timeline)),
        "timeline {} of {text:?}",
        source.control_timeline
    );
    in_order(&source.history)?;
    let again = Source::parse(&written(&source));
    must!(again.as_ref() == Some(&source), "written again it is {again:?}, not {source:?}");
    let ours = Place { timeline: source.end.timeline, lsn: source.end.lsn };
    let verdict = source.judge(NodeId(2), source.system, ours, Rejoin::Clone);
    must!(
        !matches!(verdict, Verdict::Rebuild { rewind: true, .. }),
        "who has what the holder has is rewound"
    );
    let other = source.judge(NodeId(2), !source.system, ours, Rejoin::Clone);
    must!(matches!(other, Verdict::Stuck(_)), "another system's data is {other:?}");
    Ok(Answer::new(format!(
        "{}, history {}",
        if verdict == Verdict::Follows { "follows" } else { "is too old" },
        !source.history.is_empty()
    )))
}

fn written(source: &Source) -> String {
    let history: String = source.history.iter().map(line).collect();
    let hex: String = history.bytes().map(|byte| format!("{byte:02x}")).collect();
    let (high, low) = (source.oldest >> 32, source.oldest & 0xffff_ffff);
    // Its log's piece is told with a size of one byte, which every place is a multiple of.
    format!(
        "{}|{:X}/{:X}|{:08X}|{}|{high:08X}{low:08X}|1|{hex}\n",
        source.system,
        source.end.lsn >> 32,
        source.end.lsn & 0xffff_ffff,
        source.end.timeline,
        source.control_timeline,
    )
}

fn line(place: &Place) -> String {
    format!("{}\t{:X}/{:X}\tsome reason\n", place.timeline, place.lsn >> 32, place.lsn & 0xffff_ffff)
}

/// Whether the text is this number, of nothing but digits.
fn is_number(text: &str, number: u64) -> bool {
    let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    digits && text.parse() == Ok(number)
}

/// Whether the text is this position: two numbers of digits, with zeros in front or without.
fn is_lsn(text: &str, lsn: u64) -> bool {
    let digits = |part: &str| part.bytes().all(|digit| digit.is_ascii_hexdigit());
    let trimmed = |part: &str| part.trim_start_matches('0').to_ascii_uppercase();
    let hex = |number: u64| if number == 0 { String::new() } else { format!("{number:X}") };
    text.split_once('/').is_some_and(|(high, low)| {
        let is = (trimmed(high), trimmed(low)) == (hex(lsn >> 32), hex(lsn & 0xffff_ffff));
        is && digits(high) && digits(low) && !high.is_empty() && !low.is_empty()
    })
}

/// No timeline was left twice, nor after one that came later.
fn in_order(history: &[Place]) -> Result<(), Broken> {
    let rises = history.windows(2).all(|pair| pair[0].timeline < pair[1].timeline);
    must!(rises, "timelines in no order: {history:?}");
    Ok(())
}

fn history(text: &str) -> Result<Answer, Broken> {
    let Some(read) = timeline::history(text) else { return Ok(Answer::new("no history")) };
    must!(text.is_empty() || text.ends_with('\n'), "half of {text:?} was taken");
    in_order(&read)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<Vec<&str>> = lines.map(|line| line.split_whitespace().collect()).collect();
    must!(lines.len() == read.len(), "{} places in {} lines", read.len(), lines.len());
    for (place, words) in read.iter().zip(&lines) {
        let stands = matches!(words.as_slice(), [timeline, lsn, ..]
            if is_number(timeline, u64::from(place.timeline)) && is_lsn(lsn, place.lsn));
        must!(stands, "{place:?} was read from {words:?}");
    }
    let again = timeline::history(&read.iter().map(line).collect::<String>());
    must!(again.as_ref() == Some(&read), "written again it is {again:?}, not {read:?}");
    Ok(Answer::new(if read.is_empty() { "the first timeline" } else { "a history" }))
}

/// What is taken for our barrier waits for exactly those who are required, and nobody else is named in it.
fn barrier(text: &str) -> Result<Answer, Broken> {
    let names = members();
    let Some(read) = Names::parse(text, &names) else { return Ok(Answer::new("somebody else's")) };
    must!(read.text(&names) == text, "{text:?} was read as {:?}", read.text(&names));
    let quoted: Vec<&str> = text.split('"').skip(1).step_by(2).collect();
    let named: Vec<&str> = quoted.iter().copied().filter(|name| *name != NOBODY).collect();
    let required: Vec<&str> =
        read.required.iter().filter_map(|id| names.get(&id).map(String::as_str)).collect();
    must!(named == required, "{required:?} are required, {named:?} are named");
    let count = text.split(' ').nth(1).unwrap_or("0");
    let expected = required.len() + usize::from(read.blocked);
    must!(count == expected.to_string(), "{count} are waited for, not {expected}");
    must!(!read.blocked || quoted.last() == Some(&NOBODY), "it is blocked by nobody");
    Ok(Answer::new(format!("{} required, blocked {}", !required.is_empty(), read.blocked)))
}

/// The places of a row stand in it, and what is not understood is an error, never a replica or the beginning of a log.
fn row(text: &str) -> Result<Answer, Broken> {
    let (segment, end) = text.split_once('|').unwrap_or((text, ""));
    let [segment, end] = [segment, end].map(|column| (!column.is_empty()).then_some(column));
    let (timeline, lsn) = match timeline::written(segment, end) {
        Ok(read) => read,
        Err(error) => {
            must!(!error.contains(char::is_control), "an error that drives a terminal: {error:?}");
            return Ok(Answer::new(error));
        }
    };
    must!(timeline.is_some() == segment.is_some(), "{segment:?} was read as {timeline:?}");
    let stands = |timeline: u32| {
        let digits = segment.and_then(|segment| segment.get(..8)).unwrap_or_default();
        digits.eq_ignore_ascii_case(&format!("{timeline:08X}"))
    };
    must!(timeline.is_none_or(stands), "{timeline:?} was read from {segment:?}");
    must!(end.map_or(lsn == 0, |end| is_lsn(end, lsn)), "{lsn:X} was read from {end:?}");
    must!(timeline::reached(end) == Ok(lsn), "{end:?} is another place for a replica");
    Ok(Answer::new(format!("writes {}, has a log {}", timeline.is_some(), end.is_some())))
}
