//! What the observer sees: the last status of everybody, and every event so far.

use core::fmt;
use picket_proto::v1::{Status, StatusEvent, StatusVolume, WitnessStatus};
use std::collections::BTreeMap;

/// The last status of each node and of the witness; nothing of those that do not answer now.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub(super) nodes: BTreeMap<String, Option<Status>>,
    pub(super) witness: Option<WitnessStatus>,
    pub(super) events: Vec<Occurred>,
    /// The time of the newest event that made room for others; 0 if none did.
    pub(super) forgotten_ms: u64,
}

/// An event that a daemon told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Occurred {
    /// By the wall clock, in milliseconds since 1970.
    pub at_ms: u64,
    /// Whose event it is: a node, or [`WITNESS`](super::WITNESS).
    pub by: String,
    /// Its stable number.
    pub number: u32,
    /// Its stable name.
    pub name: String,
    /// INFO, NOTIFY, WARN, ERROR or CRIT.
    pub level: String,
    /// In words.
    pub text: String,
}

impl Occurred {
    pub(super) fn new(by: &str, event: &StatusEvent) -> Option<Self> {
        Some(Self {
            at_ms: wall_ms(&event.at)?,
            by: by.to_owned(),
            number: event.number,
            name: event.name.clone(),
            level: event.level.clone(),
            text: event.text.clone(),
        })
    }
}

impl View {
    /// The node's status, if it answers now.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Status> {
        self.nodes.get(name)?.as_ref()
    }

    /// The witness's status, if it answers now.
    #[must_use]
    pub const fn witness(&self) -> Option<&WitnessStatus> {
        self.witness.as_ref()
    }

    /// The nodes that answer now, with their status.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &Status)> {
        self.nodes.iter().filter_map(|(name, status)| Some((name.as_str(), status.as_ref()?)))
    }

    /// What a node says of a volume.
    #[must_use]
    pub fn volume(&self, node: &str, tag: &str) -> Option<&StatusVolume> {
        self.node(node)?.volumes.iter().find(|volume| volume.tag == tag)
    }

    /// The nodes that say that the volume is in service on them: active and not frozen. A word may be older than
    /// another's, so that several say nothing yet: that is for the checker.
    pub fn active(&self, tag: &str) -> impl Iterator<Item = &str> {
        let is_active = move |status: &Status| {
            status.volumes.iter().any(|volume| {
                volume.tag == tag && volume.state == "ISP" && volume.primary == status.node && !volume.frozen
            })
        };
        self.nodes().filter(move |(_, status)| is_active(status)).map(|(name, _)| name)
    }

    /// The node that says that the volume is in service on it. Of several, none.
    #[must_use]
    pub fn in_service(&self, tag: &str) -> Option<String> {
        let mut active = self.active(tag);
        match (active.next(), active.next()) {
            (Some(name), None) => Some(name.to_owned()),
            (Some(_) | None, _) => None,
        }
    }

    /// Whether nobody says that the volume is in service on it. That is more than that no single node does.
    #[must_use]
    pub fn is_nowhere(&self, tag: &str) -> bool {
        self.active(tag).next().is_none()
    }

    /// Whether the volume is in service somewhere with all of these replicas in sync, complete and connected.
    #[must_use]
    pub fn all_in_sync(&self, tag: &str, replicas: usize) -> bool {
        let Some(holder) = self.in_service(tag) else { return false };
        let Some(volume) = self.volume(&holder, tag) else { return false };
        let all_complete = self
            .nodes()
            .filter_map(|(name, _)| self.volume(name, tag))
            .filter(|volume| volume.complete)
            .count();
        volume.isr.len() == replicas && volume.connected.len() + 1 >= replicas && all_complete == replicas
    }

    /// Whether every node is registered with the witness and hears every other one.
    #[must_use]
    pub fn all_connected(&self) -> bool {
        self.nodes.values().all(|status| {
            status.as_ref().is_some_and(|status| {
                let registered = status.witness.as_ref().is_some_and(|witness| witness.registered);
                registered && status.members.iter().all(|member| member.local || member.state == "ALIVE")
            })
        })
    }

    /// Every event so far, in the order of their times; after very many of them, the newest: see
    /// [`View::remembers`].
    #[must_use]
    pub fn events(&self) -> &[Occurred] {
        &self.events
    }

    /// Whether every event since this instant of the wall clock is still there.
    #[must_use]
    pub const fn remembers(&self, from_ms: u64) -> bool {
        from_ms > self.forgotten_ms
    }

    /// The first event of this name by this machine at or after an instant of the wall clock.
    #[must_use]
    pub fn first(&self, by: &str, name: &str, from_ms: u64) -> Option<&Occurred> {
        self.events.iter().find(|event| event.by == by && event.name == name && event.at_ms >= from_ms)
    }
}

/// The state in a few lines, for whoever waited in vain.
impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, status) in &self.nodes {
            let Some(status) = status else {
                writeln!(f, "  {name}: does not answer")?;
                continue;
            };
            let witness = status.witness.as_ref().is_some_and(|witness| witness.registered);
            let heard: Vec<String> =
                status.members.iter().map(|member| format!("{} {}", member.node, member.state)).collect();
            writeln!(f, "  {name}: witness {}, {}", if witness { "yes" } else { "NO" }, heard.join(", "))?;
            for volume in &status.volumes {
                writeln!(
                    f,
                    "    {}: {} {} {} epoch {} holder {:?} in sync {:?} v{} connected {:?}{}{}{} {}",
                    volume.tag,
                    volume.state,
                    volume.role,
                    volume.phase,
                    volume.epoch,
                    volume.holder,
                    volume.isr,
                    volume.isr_version,
                    volume.connected,
                    if volume.solo { " solo" } else { "" },
                    if volume.frozen { " FROZEN" } else { "" },
                    if volume.complete { "" } else { " incomplete" },
                    volume.why
                )?;
            }
        }
        let last = self.events.iter().rev().take(EVENTS_SHOWN).rev();
        last.into_iter()
            .try_for_each(|event| writeln!(f, "  {} {} {} {}", event.at_ms, event.by, event.name, event.text))
    }
}

/// As many as fit on a screen below the rest.
const EVENTS_SHOWN: usize = 30;

/// `2026-01-31T12:34:56.789Z` as milliseconds since 1970; `None` for anything else.
#[must_use]
pub fn wall_ms(rfc3339: &str) -> Option<u64> {
    let (date, time) = rfc3339.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(str::parse::<u64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let (clock, ms) = time.split_once('.')?;
    let mut clock = clock.splitn(3, ':').map(str::parse::<u64>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    let ms: u64 = ms.parse().ok().filter(|ms| *ms < 1000)?;
    let days = days_from_civil(year, month, day)?;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms)
}

/// Days since 1970-01-01 in the Gregorian calendar, as Hinnant's `days_from_civil`.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let march_month = (month + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}
