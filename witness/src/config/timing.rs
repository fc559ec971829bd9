//! A cluster's timings: those of its profile, with what `[cluster.timing]` changes.

use super::TIMING_MAX;
use core::time::Duration;
use picket_core::params::{Params, Profile, Watchdog};
use picket_host::config::{Reader, Table, boolean, duration_within, integer};

fn length() -> Reader<Duration> {
    duration_within(Duration::from_nanos(1)..=TIMING_MAX)
}

/// The timings, if they keep every inequality; each broken one is noted at `timing`.
pub(super) fn read(cluster: &Table<'_, '_>, profile: Profile) -> Option<Params> {
    let mut params = profile.params();
    if let Some(table) = cluster.table("timing") {
        change(&table, &mut params);
    }
    let key = if cluster.has("timing") { "timing" } else { "profile" };
    match params.validate() {
        Ok(()) => Some(params),
        Err(broken) => {
            for broken in broken {
                cluster.wrong(key, broken.to_string(), broken.inequality);
            }
            None
        }
    }
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
