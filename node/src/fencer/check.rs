//! Testing one device without harm: can it be used, does it read the power state, is it the right machine?
//!
//! ```text
//!   monitor ─0─► status ─0─► ON ────────────────────────────────────────────► passed
//!      │           │   └─2─► OFF ─ the machine is heard, and a while later
//!      │           │               again, and still OFF ────────────────────► failed: another machine's plug
//!      │           │           └ else ──────────────────────────────────────► passed
//!      └ else      └ else ──────────────────────────────────────────────────► failed
//! ```
//! Contract: the agent is asked `monitor` and `status` only, never for a change. What it says decides about alarms
//! and about nothing else: a test that passed proves nothing about a machine.

use super::{run_agent, shorten};
use crate::config::{FenceDevice, TestDepth};
use core::time::Duration;
use picket_core::topology::DeviceKind;
use picket_host::process::{Finished, Outcome};

/// What a test found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The device could be used now, as far as that can be seen without harm.
    pub passed: bool,
    /// What it read: `ON`, `OFF`, or nothing.
    pub state: &'static str,
    /// In words.
    pub text: String,
}

impl Found {
    fn failed(text: impl Into<String>) -> Self {
        Self { passed: false, state: "", text: text.into() }
    }
}

/// Whether there is anything to test.
#[must_use]
pub fn can_be_tested(device: &FenceDevice) -> bool {
    device.kind != DeviceKind::Meatware && device.test != TestDepth::None
}

/// Tests `device`, which is to fence `node`. `hears` says whether that machine is heard now; within `settles` it
/// is no more heard once it is gone.
pub async fn check(device: &FenceDevice, node: &str, hears: impl Fn() -> bool, settles: Duration) -> Found {
    let monitor = match ask(device, node, "monitor").await {
        Ok(finished) => finished,
        Err(text) => return Found::failed(text),
    };
    if monitor.outcome != (Outcome::Exited { code: 0 }) {
        return Found::failed(format!("monitor {}", said(&monitor)));
    }
    if device.kind == DeviceKind::Gate || device.test == TestDepth::Monitor || !device.reads_state() {
        return Found { passed: true, state: "", text: "it can be used".to_owned() };
    }
    let heard_before = hears();
    match state(device, node).await {
        Ok("OFF") if heard_before && hears() => {
            // It may have gone off this very moment: silence shows after a while.
            tokio::time::sleep(settles).await;
            match state(device, node).await {
                Ok("OFF") if hears() => Found::failed(format!(
                    "it says OFF while {node} is heard: is it the plug of another machine?"
                )),
                Ok(state) => passed(state),
                Err(text) => Found::failed(text),
            }
        }
        Ok(state) => passed(state),
        Err(text) => Found::failed(text),
    }
}

fn passed(state: &'static str) -> Found {
    Found { passed: true, state, text: format!("it can be used and reads {state}") }
}

async fn state(device: &FenceDevice, node: &str) -> Result<&'static str, String> {
    let status = ask(device, node, "status").await?;
    match status.outcome {
        Outcome::Exited { code: 0 } => Ok("ON"),
        Outcome::Exited { code: 2 } => Ok("OFF"),
        _ => Err(format!("the power state cannot be read: status {}", said(&status))),
    }
}

async fn ask(device: &FenceDevice, node: &str, word: &str) -> Result<Finished, String> {
    run_agent(device, node, word, device.timeout).await
}

fn said(finished: &Finished) -> String {
    let words = [finished.stderr.text(), finished.stdout.text()].concat();
    format!("{}{}", finished.outcome, shorten(&words))
}
