//! The cluster's timings: those of its profile, with what `[cluster.timing]` changes. The keys are those of the
//! witness's file.

use core::time::Duration;
use picket_core::params::{Params, Profile, Watchdog};
use picket_host::config::{Reader, Table, boolean, duration_within, integer};

/// The longest time that anything configured may last: an hour is far beyond every sensible timing.
pub(super) const LENGTH_MAX: Duration = Duration::from_secs(3600);

pub(super) fn length() -> Reader<Duration> {
    duration_within(Duration::from_nanos(1)..=LENGTH_MAX)
}

/// A length that may be zero.
pub(super) fn length_or_none() -> Reader<Duration> {
    duration_within(Duration::ZERO..=LENGTH_MAX)
}

/// The timings, if they keep every inequality; a broken one is told at the key that most likely is to be changed.
pub(super) fn read(cluster: &Table<'_, '_>, profile: Profile) -> Option<Params> {
    let mut params = profile.params();
    let table = cluster.table("timing");
    if let Some(table) = &table {
        change(table, &mut params);
    }
    match params.validate() {
        Ok(()) => Some(params),
        Err(broken) => {
            for broken in broken {
                let (what, expected) = (broken.to_string(), broken.inequality);
                match &table {
                    Some(table) => table.wrong(key_of(table, broken.inequality), what, expected),
                    None => cluster.wrong("profile", what, expected),
                }
            }
            None
        }
    }
}

/// The first key of an inequality that the file really gives; the operator changed that one.
fn key_of(table: &Table<'_, '_>, inequality: &str) -> &'static str {
    let keys: &[&'static str] = match inequality {
        "h ≥ 5 ms" => &["heartbeat"],
        "2 ≤ m ≤ 100" => &["misses"],
        "G ≥ 2ρL/(1−ρ) + lateness" => &["guard", "lease", "lateness"],
        "F > W + 2p + freeze time" => &["freeze_before", "freeze_time", "watchdog", "pet"],
        "F > freeze time" => &["freeze_before", "freeze_time"],
        "L ≥ 2W(1+ρ) + 2p + 2h" => &["lease", "watchdog", "pet", "heartbeat"],
        "0 < 4p ≤ W" => &["pet", "watchdog"],
        "L − F > (m+1)·h" => &["lease", "freeze_before", "misses", "heartbeat"],
        "0 < start_within ≤ L" => &["start_within", "lease"],
        _ => &["lease"],
    };
    let given = keys.iter().find(|key| table.has(key));
    given.or(keys.first()).copied().unwrap_or("lease")
}

fn change(table: &Table<'_, '_>, params: &mut Params) {
    params.heartbeat = table.or("heartbeat", length(), params.heartbeat);
    params.misses = table.or("misses", integer(2..=100_u32), params.misses);
    params.lease = table.or("lease", length(), params.lease);
    params.freeze_before = table.or("freeze_before", length(), params.freeze_before);
    params.guard = table.or("guard", length(), params.guard);
    params.lateness = table.or("lateness", length(), params.lateness);
    params.freeze_time = table.or("freeze_time", length(), params.freeze_time);
    params.start_within = table.or("start_within", length(), params.start_within);
    params.watchdog = watchdog(table, params.watchdog);
}

/// `watchdog` is W and `pet` is p; `no_watchdog = true`: lease expiry is never a proof.
fn watchdog(table: &Table<'_, '_>, profile: Option<Watchdog>) -> Option<Watchdog> {
    let effective = table.optional("watchdog", length()).or(profile.map(|w| w.effective));
    let pet = table.optional("pet", length()).or(profile.map(|w| w.pet));
    if table.or("no_watchdog", boolean(), false) {
        if table.has("watchdog") || table.has("pet") {
            table.wrong("no_watchdog", "there is a watchdog too", "one or the other");
        }
        return None;
    }
    if effective.is_some() != pet.is_some() {
        table.wrong_table("one of watchdog and pet is given", "both or none");
    }
    effective.zip(pet).map(|(effective, pet)| Watchdog { effective, pet })
}
