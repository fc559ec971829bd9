//! Units of systemd, as they are, over D-Bus.
//!
//! ```text
//!   act ──StartUnit, StopUnit──► service manager ──JobRemoved──► what does it say now?
//!   watch ◄──────PropertiesChanged────┘                          active ▸ runs   inactive, no process ▸ does not run
//! ```
//! Contract:
//! - a start or a stop is over when its job is; what the unit is then, is asked. `activating` and `deactivating` are no
//!   answers: the next change is waited for, until the deadline;
//! - a unit is out of service when the manager says so *and* knows of no process of it;
//! - nobody who cannot ask knows anything: without a bus, or a manager on it, a look is [`Outcome::Unknown`], a start
//!   and a stop have failed at their deadline. Until then the bus is waited for.

use super::tree::{Outcome, Verb};
use crate::backoff::Backoff;
use bus::{Seen, Trouble, Unit as OnBus};
use core::time::Duration;
use picket_host::clock::Alarm;

mod bus;
pub mod inspect;
#[cfg(test)]
pub(crate) mod tests;
mod watch;

pub(super) use watch::watch;

/// Where the service manager is asked, unless the file says else.
pub const BUS: &str = "unix:path=/run/dbus/system_bus_socket";

/// A resource that is a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The address of the bus.
    pub bus: String,
    /// The unit's name, with its kind: `postgresql.service`.
    pub name: String,
}

/// What an action had come to when it was broken off.
#[derive(Debug, Default)]
struct Come {
    /// What the unit was last.
    state: Option<String>,
    /// Why nobody answers, if nobody does.
    lost: Option<String>,
}

impl Unit {
    /// How it is written in a configuration.
    #[must_use]
    pub fn title(&self) -> String {
        format!("systemd:{}", self.name)
    }

    /// Does one action within its deadline, or until it is given up.
    pub(super) async fn run(
        &self,
        verb: Verb,
        deadline: Duration,
        given_up: impl Future<Output = ()>,
    ) -> Outcome {
        let mut alarm = match Alarm::new() {
            Ok(alarm) => alarm,
            Err(error) => return Outcome::Failed(format!("no timer: {error}")),
        };
        if let Err(error) = alarm.set(deadline) {
            return Outcome::Failed(format!("no timer: {error}"));
        }
        let mut come = Come::default();
        let ended = {
            let work = self.work(verb, &mut come);
            tokio::select! {
                biased;
                outcome = work => Ok(outcome),
                () = given_up => Err("was given up"),
                _ = alarm.fired() => Err("was not over in time"),
            }
        };
        ended.unwrap_or_else(|how| broken_off(verb, how, &come))
    }

    /// Tries until somebody answers: the one who runs it knows when to give up.
    async fn work(&self, verb: Verb, come: &mut Come) -> Outcome {
        let mut backoff = Backoff::default();
        loop {
            match self.attempt(verb, come).await {
                Ok(outcome) => return outcome,
                Err(Trouble::Refused { text, name }) => {
                    let told = format!("{}: {text}", word(verb));
                    let unfit = name.ends_with(".NoSuchUnit") || name.ends_with(".UnitMasked");
                    return if unfit { Outcome::Unfit(told) } else { Outcome::Failed(told) };
                }
                Err(Trouble::Lost(text)) => {
                    *come = Come { state: None, lost: Some(text) };
                    // Nobody tells when there is a bus again.
                    tokio::time::sleep(backoff.wait()).await;
                }
            }
        }
    }

    async fn attempt(&self, verb: Verb, come: &mut Come) -> Result<Outcome, Trouble> {
        let mut unit = OnBus::open(&self.bus, &self.name).await?;
        *come = Come::default();
        match verb {
            Verb::Monitor => {
                let seen = settled(&mut unit, come).await?;
                judge(&unit, &seen).await
            }
            Verb::Start => start(&mut unit, come).await,
            Verb::Stop => stop(&mut unit, come).await,
        }
    }
}

async fn start(unit: &mut OnBus, come: &mut Come) -> Result<Outcome, Trouble> {
    let seen = unit.seen().await?;
    if seen.load != "loaded" {
        return Ok(Outcome::Unfit(format!("start: the unit is {}", seen.load)));
    }
    let over = unit.queue("StartUnit").await?.over().await?;
    let seen = settled(unit, come).await?;
    Ok(match judge(unit, &seen).await? {
        Outcome::Done if over == "done" => Outcome::Done,
        Outcome::Done => Outcome::Failed(format!("start: the job was {over}")),
        Outcome::Failed(text) => Outcome::Failed(format!("start: {text}; the job was {over}")),
        _ => Outcome::Failed(format!("start: it is {} afterwards; the job was {over}", seen.active)),
    })
}

async fn stop(unit: &mut OnBus, come: &mut Come) -> Result<Outcome, Trouble> {
    // A unit without a file cannot be stopped by name once it is gone, and need not be.
    let seen = unit.seen().await?;
    if seen.load == "loaded" || !matches!(seen.active.as_str(), "inactive" | "failed") {
        let over = unit.queue("StopUnit").await?.over().await?;
        if over != "done" {
            come.state = Some(format!("the job was {over}"));
        }
    }
    let seen = settled(unit, come).await?;
    if !matches!(seen.active.as_str(), "inactive" | "failed") {
        return Ok(Outcome::Failed(format!("stop: it is {} afterwards", seen.active)));
    }
    let left = unit.processes().await?;
    if !left.is_empty() {
        return Ok(Outcome::Failed(format!("stop: it is {}, and {}", seen.active, remain(&left))));
    }
    if seen.active == "failed" {
        // Only for the next look at it: it is out of service already.
        if let Err(trouble) = unit.reset_failed().await {
            tracing::debug!(why = trouble.text(), "a failed unit stays so");
        }
    }
    Ok(Outcome::Done)
}

/// Waits until the unit is something.
async fn settled(unit: &mut OnBus, come: &mut Come) -> Result<Seen, Trouble> {
    loop {
        let seen = unit.seen().await?;
        if !matches!(seen.active.as_str(), "activating" | "deactivating") {
            return Ok(seen);
        }
        come.state = Some(seen.active);
        unit.changed().await?;
    }
}

/// What it means for the resource.
async fn judge(unit: &OnBus, seen: &Seen) -> Result<Outcome, Trouble> {
    Ok(match seen.active.as_str() {
        "active" | "reloading" | "refreshing" => Outcome::Done,
        "inactive" => match unit.processes().await? {
            left if left.is_empty() => Outcome::NotRunning,
            left => Outcome::Failed(format!("it is inactive, and {}", remain(&left))),
        },
        "failed" => {
            let result = unit.result().await.unwrap_or_else(|| "no reason is told".to_owned());
            Outcome::Failed(format!("it failed: {result}"))
        }
        other => Outcome::Failed(format!("it is {other}")),
    })
}

fn remain(left: &[u32]) -> String {
    const TOLD_MAX: usize = 8;
    let told: Vec<String> = left.iter().take(TOLD_MAX).map(u32::to_string).collect();
    let more = if left.len() > TOLD_MAX { " and others" } else { "" };
    format!("processes of it remain: {}{more}", told.join(", "))
}

fn broken_off(verb: Verb, how: &str, come: &Come) -> Outcome {
    let what = word(verb);
    let told = match (&come.lost, &come.state) {
        (Some(lost), _) => format!("{what} {how}: {lost}"),
        (None, Some(state)) => format!("{what} {how}: {state}"),
        (None, None) => format!("{what} {how}"),
    };
    match (verb, &come.state) {
        // That it neither runs nor does not is an answer too, after so long.
        (Verb::Monitor, Some(_)) | (Verb::Start | Verb::Stop, _) => Outcome::Failed(told),
        (Verb::Monitor, None) => Outcome::Unknown(told),
    }
}

const fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Monitor => "look",
        Verb::Start => "start",
        Verb::Stop => "stop",
    }
}
