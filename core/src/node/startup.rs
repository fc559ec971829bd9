//! What a restart finds.
//!
//! A start of the daemon reads what the disk and `/run` hold, waits out every promise that an earlier boot may
//! have made before it asks for anything (the quarantine, L+G), and adopts a volume that still runs only with the
//! grant that `/run` shows for this very boot.

use super::failsafe::LEASE_MAX;
use super::state::{Counters, Held, Known, Link, Node, Out, Peer, Phase, Stopping, Volume};
use super::{Config, Disk, Event, Role, Run, RunHeld, SCHEMA, VolumeAction};
use crate::detector::PeerWatch;
use crate::error::Refusal;
use crate::ids::{BootId, Epoch, Nonce, VolumeId};
use crate::mutant::{self, Mutant};
use crate::time::{Duration, Instant};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;
use core::fmt;

/// No lease is longer than one that is asked for now; only what was activated without a witness, and is not known to
/// be recorded, lasts as long as a person said. The two records are written one after the other: a daemon that died
/// between them left the longer time behind.
fn bound_leases(run: &mut Run, disk: &Disk, bound: Instant) {
    if mutant::on(Mutant::M63) {
        return;
    }
    for (_, held) in run.held.iter_mut().filter(|(id, _)| !disk.is_by_hand(**id)) {
        held.lease_until = held.lease_until.min(bound);
    }
}

/// A volume that this boot holds, and that a daemon with this configuration would not look after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The volume.
    pub volume: VolumeId,
    /// The epoch that it is held with.
    pub epoch: Epoch,
    /// It is configured, but what is driven there is something else.
    pub configured: bool,
}

impl fmt::Display for Orphan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { volume, epoch, configured } = self;
        let why = if *configured { "drives something else for it" } else { "does not have it" };
        write!(f, "this boot holds volume {volume} with epoch {epoch}, and the configuration {why}")
    }
}

impl Orphan {
    /// What this boot holds by the record, and would be left to itself: nobody would stop it at the end of its lease,
    /// which others take for a proof that it is inactive.
    #[must_use]
    pub fn find(config: &Config, run: &Run, boot: BootId) -> Vec<Self> {
        let orphan = |(id, held): (&VolumeId, &RunHeld)| {
            let configured = config.volumes.get(id);
            let same = configured.is_some_and(|now| held.driver.is_none_or(|driver| driver == now.driver));
            let orphan = Self { volume: *id, epoch: held.epoch, configured: configured.is_some() };
            (!same && !mutant::on(Mutant::M90)).then_some(orphan)
        };
        let held = run.held.iter().filter(|_| run.boot == boot);
        held.filter_map(orphan).collect()
    }
}

impl Node {
    /// The machine at the start of the daemon.
    ///
    /// `disk` and `run` are what the stores hold, `run_id` is drawn at random for each start. A `run` of another
    /// boot is not used.
    ///
    /// # Errors
    /// What this boot holds and the configuration does not look after. The daemon must not start then, and must leave
    /// the watchdog as it found it: one that the former daemon armed ends the machine.
    pub fn new(
        config: Config,
        disk: Option<Disk>,
        run: Option<Run>,
        boot: BootId,
        run_id: Nonce,
        now: Instant,
    ) -> Result<Self, Vec<Orphan>> {
        let empty = Run { schema: SCHEMA, boot, ..Run::default() };
        let mut run = run.filter(|run| run.boot == boot).unwrap_or(empty);
        let orphans = Orphan::find(&config, &run, boot);
        if !orphans.is_empty() {
            return Err(orphans);
        }
        // A record that did not say what was driven says it from now on.
        for (id, held) in &mut run.held {
            held.driver = held.driver.or_else(|| config.volumes.get(id).map(|volume| volume.driver));
        }
        let kept = core::mem::take(&mut run.keeps_running);
        let mut disk = disk.unwrap_or_default();
        let promised_before = disk.longest_promise.min(config.params.promise(LEASE_MAX));
        disk.schema = SCHEMA;
        bound_leases(&mut run, &disk, now + config.params.lease);
        let volumes: BTreeMap<_, _> = config.volumes.keys().map(|id| (*id, Volume::new())).collect();
        for id in volumes.keys() {
            disk.volumes.entry(*id).or_default();
        }
        let peers = config.members.without(config.me).iter().map(|peer| {
            let paths = config.paths.get(&peer).copied().unwrap_or(0);
            let watch = PeerWatch::new(paths);
            (peer, Peer { watch, beat_seq: 0, ever_heard: false, asked_at: None, verdict: None })
        });
        Ok(Self {
            peers: peers.collect(),
            boot: if mutant::on(Mutant::M15) { BootId(run_id.0) } else { boot },
            run_id,
            started: now,
            stepped_at: now,
            disk,
            run,
            link: Link::default(),
            volumes,
            fences: BTreeMap::new(),
            view: Known::default(),
            counters: Counters { attempt: Self::first_attempt(run_id), ..Counters::default() },
            beat_at: now,
            stop: None,
            operators: BTreeMap::new(),
            remote_vote: None,
            resetting: false,
            kept,
            promised_before,
            seen_owed: false,
            config,
        })
    }

    /// Attempts of different runs must differ: the run's random number gives the upper 44 bits.
    fn first_attempt(run_id: Nonce) -> u64 {
        #[expect(clippy::cast_possible_truncation, reason = "the lower half of a random number is as random")]
        let low = run_id.0 as u64;
        low << 20
    }

    /// When the start quarantine is over: a promise of an earlier run cannot last longer.
    #[must_use]
    pub fn quarantine_until(&self) -> Instant {
        if mutant::on(Mutant::M8) {
            self.started
        } else {
            let before = if mutant::on(Mutant::M66) { Duration::ZERO } else { self.promised_before };
            self.started + self.config.params.lease_and_guard().max(before)
        }
    }

    /// The next boot waits for this promise too, whatever its timings are.
    pub(super) fn note_promise(&mut self, lasts: Duration, out: &mut Out) {
        if lasts > self.disk.longest_promise {
            self.disk.longest_promise = lasts;
            out.disk = true;
        }
    }

    /// When no promise is open, the next boot need not wait longer than its own lease. It is noted before anybody asks
    /// for a promise, so that the answer to a holder in need does not wait for a disk.
    pub(super) fn settle_promises(&mut self, now: Instant, out: &mut Out) {
        let usual = self.config.params.lease_and_guard();
        let open = now < self.quarantine_until() || self.run.promises.iter().any(|p| now < p.until);
        if !open && self.disk.longest_promise != usual {
            self.disk.longest_promise = usual;
            out.disk = true;
        }
    }

    /// What the driver's first report means.
    pub(super) fn first_report(&mut self, now: Instant, id: VolumeId, out: &mut Out) {
        let kept = self.kept;
        let lease = self.config.params.lease;
        let held = self.run.held.get(&id).copied();
        let refused = held.is_some_and(|held| held.refused);
        let (Some(volume), Some(config)) = (self.volumes.get_mut(&id), self.config.volumes.get(&id)) else {
            return;
        };
        let Some(report) = volume.report.as_ref() else { return };
        match (report.role, held) {
            (Role::Secondary, Some(held)) => {
                // The former daemon may have ordered the promotion and died: the order is still good while the
                // lease lasts. Until then nobody can say that the volume stays inactive, so it is not released.
                if !mutant::on(Mutant::M70) {
                    volume.former_orders_until = held.lease_until.min(now + lease);
                }
                let held = Some(Held { epoch: held.epoch, lease_until: held.lease_until });
                let deadline = now + config.demote_timeout;
                volume.phase = Phase::Stopping(Stopping { held, successor: None, deadline });
            }
            (Role::Secondary, None) => volume.phase = Phase::Secondary,
            (Role::Primary, Some(held)) => {
                // Under a maintenance the lease ran out on purpose: nobody could take over meanwhile.
                let lease_until = if kept { now + lease } else { held.lease_until };
                let held = Held { epoch: held.epoch, lease_until };
                let frozen = report.frozen;
                volume.phase = if frozen { Phase::Frozen(held) } else { Phase::Active(held) };
                // The former daemon heard that the authority is gone; who refused, and why, is asked anew.
                volume.refused = refused.then_some(Refusal::NotHolder { holder: None });
                volume.promoted_at = now;
                // That it was left running counts once: a crash from now on finds the record without it, and with
                // the lease that began here.
                if let Some(kept) = self.run.held.get_mut(&id).filter(|_| kept && !mutant::on(Mutant::M46)) {
                    kept.lease_until = if mutant::on(Mutant::M72) { kept.lease_until } else { lease_until };
                    out.run = true;
                }
            }
            (Role::Primary, None) => {
                out.event(Event::Alarm(format!(
                    "volume {id} was found active without a grant; it is stopped"
                )));
                self.stop_unheld(now, id, out);
            }
            (Role::Unknown, _) => {}
        }
    }

    fn stop_unheld(&mut self, now: Instant, id: VolumeId, out: &mut Out) {
        let Some(config) = self.config.volumes.get(&id) else { return };
        let deadline = now + config.demote_timeout;
        if let Some(volume) = self.volumes.get_mut(&id) {
            volume.phase = Phase::Stopping(Stopping { held: None, successor: None, deadline });
        }
        self.command(now, id, VolumeAction::Demote { deadline }, out);
    }
}
