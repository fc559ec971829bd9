//! What a fence agent leaves behind: the way it ended, and what it wrote.

use crate::must;
use crate::target::{Answer, Broken, Target};
use core::time::Duration;
use picket_core::topology::{DeviceKind, DeviceVerdict, PowerAction};
use picket_host::process::{Captured, Descendants, Finished, Outcome};
use picket_node::fencer::judge;

/// The target. An input is four bytes (device, action, way of ending, exit status), then the output; a zero byte
/// separates what went to the standard output from what went to the other.
pub const TARGET: Target = Target {
    name: "agent-output",
    about: "how an agent ended: nothing but exit 0 of a power device is off, and its words are one harmless line",
    seeds,
    words: &[
        "Success: Powered OFF",
        "Success: Already OFF",
        "Status: OFF",
        "\u{1b}[2J",
        "\r",
        "\n",
        "\u{9b}31m",
        "\u{0}",
    ],
    check,
};

/// What an agent wrote is shown with so many bytes, at most: 400 letters of four bytes, and how it ended.
const SHOWN_BYTES_MAX: usize = 2000;

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for device in 0..3 {
        for ending in 0..6 {
            for code in [0, 1, 2, 127] {
                seeds.push([&[device, 0, ending, code][..], b"Success: Powered OFF\n\0warning\n"].concat());
            }
        }
    }
    seeds.push([&[0, 1, 0, 0][..], b"Success: Powered ON"].concat());
    seeds
}

fn check(input: &[u8]) -> Result<Answer, Broken> {
    let Some((&[device, action, ending, code], said)) = input.split_first_chunk() else {
        return Ok(Answer::new("short"));
    };
    let kind = match device % 3 {
        0 => DeviceKind::Power,
        1 => DeviceKind::Gate,
        _ => DeviceKind::Meatware,
    };
    let action = if action & 1 == 0 { PowerAction::Off } else { PowerAction::On };
    let outcome = super::ended::outcome(ending, code);
    let (out, err) = said.iter().position(|byte| *byte == 0).map_or((said, &[][..]), |at| said.split_at(at));
    let captured = |bytes: &[u8]| Captured { bytes: bytes.to_vec(), dropped_bytes: u64::from(code) };
    let finished = Finished {
        outcome: outcome.clone(),
        descendants: Descendants::Gone,
        stdout: captured(out),
        stderr: captured(err),
        took: Duration::ZERO,
    };
    let ended = judge(kind, action, &finished);
    let succeeded = outcome == Outcome::Exited { code: 0 };
    let is_off = kind == DeviceKind::Power && action == PowerAction::Off && succeeded;
    must!(
        (ended.verdict == DeviceVerdict::ConfirmedOff) == is_off,
        "{kind:?}, {action:?}, {outcome}: {:?}",
        ended.verdict
    );
    must!(ended.verdict != DeviceVerdict::GatePassed || succeeded, "{outcome} passed a gate");
    // What may have acted without anybody seeing it has not simply failed.
    let is_seen = matches!(outcome, Outcome::Exited { .. } | Outcome::NotStarted { .. });
    let is_power_off = kind == DeviceKind::Power && action == PowerAction::Off;
    must!(
        is_seen || !is_power_off || ended.verdict == DeviceVerdict::Unknown,
        "{outcome}: {:?}",
        ended.verdict
    );
    must!(!ended.text.contains(|c: char| c.is_control()), "it would drive a terminal: {:?}", ended.text);
    must!(ended.text.len() <= SHOWN_BYTES_MAX, "{} bytes are shown", ended.text.len());
    Ok(Answer::new(format!("{kind:?} {action:?} {:?}", ended.verdict)))
}
