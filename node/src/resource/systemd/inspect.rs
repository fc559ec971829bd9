//! What a configuration that names a unit should know of it.

use super::Unit;
use super::bus::{Trouble, Unit as OnBus};
use core::time::Duration;
use zbus::OwnedVariant;

/// How long the manager may take to say all of it: it answers from memory.
const WITHIN: Duration = Duration::from_secs(5);

/// What the manager says of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// `loaded`, `not-found`, `masked`, `error`, `bad-setting`.
    pub load: String,
    /// `enabled`, `disabled`, `static` and others; empty: not told.
    pub file_state: String,
    /// How long the manager itself waits for a stop until it kills; absent: for ever, or not told.
    pub stop_timeout: Option<Duration>,
    /// What a stop kills: `control-group`, `mixed`, `process`, `none`; empty: not told.
    pub kill_mode: String,
}

/// Why there is nothing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// No bus, or no manager on it: it may come later.
    NoAnswer(String),
    /// The manager does not take the name.
    Refused(String),
}

/// Asks. Blocks until it is answered, for a few seconds at most.
///
/// # Errors
/// See [`Unseen`].
pub fn inspect(unit: &Unit) -> Result<About, Unseen> {
    let unit = unit.clone();
    // The configuration is read inside of runtimes and outside of them: it gets one of its own.
    let asked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Unseen::NoAnswer(error.to_string()))?;
        runtime.block_on(async {
            let late = |_| Unseen::NoAnswer(format!("no answer within {WITHIN:?}"));
            tokio::time::timeout(WITHIN, ask(&unit)).await.map_err(late)?
        })
    });
    asked.join().map_err(|_| Unseen::NoAnswer("it could not be asked".to_owned()))?
}

async fn ask(unit: &Unit) -> Result<About, Unseen> {
    let told = |trouble| match trouble {
        Trouble::Lost(text) => Unseen::NoAnswer(text),
        Trouble::Refused { text, .. } => Unseen::Refused(text),
    };
    let unit = OnBus::open(&unit.bus, &unit.name).await.map_err(told)?;
    let seen = unit.seen().await.map_err(told)?;
    let stop: Option<u64> =
        unit.own::<OwnedVariant>("TimeoutStopUSec").await.ok().and_then(|value| u64::try_from(value).ok());
    Ok(About {
        load: seen.load,
        file_state: unit.common("UnitFileState").await.unwrap_or_default(),
        stop_timeout: stop.filter(|usec| *usec != u64::MAX).map(Duration::from_micros),
        kill_mode: unit.own("KillMode").await.unwrap_or_default(),
    })
}
