//! One run: a witness, its clients, what is done to it, and the verdicts.

use crate::back::{changes, undone};
use crate::check::{Verdict, check};
use crate::client::{Client, Memory};
use crate::history::{History, Operation};
use crate::process::{Disk, Program, Running};
use crate::reader::{Look, Reader};
use crate::register::Register;
use crate::rng::Rng;
use crate::site::{Failed, NODES, Site, VOLUMES, copy};
use core::ops::RangeInclusive;
use core::time::Duration;
use picket_core::ids::VolumeId;
use picket_core::params::EPOCH_JUMP;
use std::fs;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Nothing that is waited for takes this long on a machine that works at all.
const HANG: Duration = Duration::from_secs(60);

/// Looks for a change, at most: some minutes on the slowest machine.
const LOOKS_MAX: usize = 10_000;

/// Operators who look on and on.
const READERS: usize = 2;

/// What kind of run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The program is killed, stopped and slowed down. Every history must be linearizable.
    Faults,
    /// An older copy of the store takes its place, and the clients remember: RECOVERY, and nothing before it ends.
    RolledBack,
    /// The same, and the clients claim to have seen nothing: every register that had changed must be found broken.
    RolledBackUnseen,
}

/// One register of a run.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Which.
    pub volume: VolumeId,
    /// Where it stood at first.
    pub first: Register,
    /// What was done.
    pub history: Vec<Operation>,
    /// Whether that can be.
    pub verdict: Verdict,
    /// Whether it should be.
    pub expected: bool,
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Its registers.
    pub checked: Vec<Checked>,
    /// Everything else that should not be.
    pub wrong: Vec<String>,
    /// Kills.
    pub kills: u64,
    /// Stops.
    pub stops: u64,
    /// Failed syncs that ended the witness.
    pub failed_syncs: u64,
    /// It ran with slow syncs.
    pub slow: bool,
    /// Older than what the clients were told: the witness had to notice.
    pub older: bool,
    /// It noticed.
    pub recovered: bool,
    /// A recovery that a person would have to end.
    pub unresolved: bool,
}

/// A site with a witness that runs and clients that ask.
struct Scene {
    site: Site,
    program: Program,
    history: Arc<History>,
    witness: Option<Running>,
    reader: Reader,
    recovering: Vec<watch::Receiver<Option<bool>>>,
    stop: watch::Sender<bool>,
    quiet: watch::Sender<bool>,
    tasks: JoinSet<()>,
    rng: Rng,
    /// A slow disk stays slow; one that failed was replaced.
    restarted_on: Disk,
    report: Report,
}

/// Does one run in `directory`.
///
/// # Errors
/// The machine failed, or something was waited for in vain.
pub async fn run(
    program: &Program,
    directory: &std::path::Path,
    kind: Kind,
    seed: u64,
) -> Result<Report, Failed> {
    let memory = if kind == Kind::RolledBackUnseen { Memory::None } else { Memory::Kept };
    let mut scene = Scene::new(program.clone(), Site::new(directory)?, memory, Rng::new(seed))?;
    let first = scene.begin(kind).await?;
    match kind {
        Kind::Faults => scene.faults(&first).await?,
        Kind::RolledBack => scene.rolled_back(&first).await?,
        Kind::RolledBackUnseen => scene.rolled_back_unseen(&first).await?,
    }
    scene.tasks.shutdown().await;
    Ok(scene.report)
}

impl Scene {
    fn new(program: Program, site: Site, memory: Memory, mut rng: Rng) -> Result<Self, Failed> {
        let history = Arc::new(History::default());
        let (stop, quiet) = (watch::Sender::new(false), watch::Sender::new(true));
        let (mut tasks, mut recovering) = (JoinSet::new(), Vec::new());
        for node in NODES {
            let (client, keeper, watched) = Client::new(&site, node, memory, rng.split(), history.clone())?;
            tasks.spawn(keeper.run());
            tasks.spawn(client.run(stop.subscribe(), quiet.subscribe()));
            recovering.push(watched);
        }
        let reader = Reader::new(&site, history.clone())?;
        let report = Report::default();
        Ok(Self {
            site,
            program,
            history,
            witness: None,
            reader,
            recovering,
            stop,
            quiet,
            tasks,
            rng,
            restarted_on: Disk::Plain,
            report,
        })
    }

    fn start(&mut self, disk: Disk) -> Result<(), Failed> {
        self.history.begin_life();
        self.witness = Some(self.program.start(&self.site, disk)?);
        Ok(())
    }

    /// A new store is in RECOVERY until all have reported; then nobody has asked for anything yet.
    async fn begin(&mut self, kind: Kind) -> Result<Look, Failed> {
        let disk = match self.rng.below(100) {
            _ if kind != Kind::Faults || self.program.strace.is_none() => Disk::Plain,
            0..35 => Disk::Slow { micros: 1000 + self.rng.below(20_000) },
            35..50 => Disk::Failing { from: 8 + self.rng.below(40) },
            _ => Disk::Plain,
        };
        self.report.slow = matches!(disk, Disk::Slow { .. });
        self.restarted_on = if self.report.slow { disk } else { Disk::Plain };
        self.start(disk)?;
        self.in_service().await?;
        let first = self.look().await?;
        for _ in 0..READERS {
            let (reader, rng) = (Reader::new(&self.site, self.history.clone())?, self.rng.split());
            self.tasks.spawn(reader.run(rng, self.stop.subscribe()));
        }
        Ok(first)
    }

    /// Waits until every client was told that the witness is in service.
    async fn in_service(&mut self) -> Result<(), Failed> {
        for watched in &mut self.recovering {
            let told = tokio::time::timeout(HANG, watched.wait_for(|told| *told == Some(false))).await;
            told.map_err(|_| Failed(format!("the witness is not in service after {HANG:?}")))??;
        }
        Ok(())
    }

    /// Looks until there is an answer.
    async fn look(&mut self) -> Result<Look, Failed> {
        let looks = async {
            loop {
                if let Some(look) = self.reader.look().await {
                    return look;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let look = tokio::time::timeout(HANG, looks).await;
        look.map_err(|_| Failed(format!("no look at the witness within {HANG:?}")))
    }

    /// The clients ask for some time.
    async fn work(&mut self, least_ms: u64, most_ms: u64) {
        self.quiet.send_replace(false);
        tokio::time::sleep(Duration::from_millis(least_ms + self.rng.below(most_ms - least_ms))).await;
    }

    async fn kill(&mut self) -> Result<(), Failed> {
        let Some(witness) = self.witness.take() else { return Ok(()) };
        let ended = witness.kill().await?;
        self.history.end_life();
        self.report.kills += 1;
        match ended {
            // Its disk failed since it was last looked at.
            Some(_) if self.disk_failed() => self.note_failed_sync()?,
            Some(status) => self.report.wrong.push(format!("the witness ended by itself: {status}")),
            None => {}
        }
        Ok(())
    }

    /// Whether the running witness was told by its disk that a write or a sync failed.
    fn disk_failed(&self) -> bool {
        let log = fs::read_to_string(self.site.file("witness.log")).unwrap_or_default();
        log.contains("Input/output error")
    }

    /// Counts it, and puts the log away, so that it says nothing of the next run.
    fn note_failed_sync(&mut self) -> Result<(), Failed> {
        self.report.failed_syncs += 1;
        Ok(fs::rename(self.site.file("witness.log"), self.site.file("witness.log.failed"))?)
    }

    /// A witness whose disk fails ends by itself. Anything else that ends it is wrong, which `kill` tells.
    async fn restart_after_failed_sync(&mut self) -> Result<(), Failed> {
        let ended = match &mut self.witness {
            Some(witness) => witness.ended()?,
            None => None,
        };
        if ended.is_some() && self.disk_failed() {
            self.witness = None;
            self.history.end_life();
            self.note_failed_sync()?;
            self.start(Disk::Plain)?;
        }
        Ok(())
    }

    async fn faults(&mut self, first: &Look) -> Result<(), Failed> {
        let recoveries = self.history.recoveries();
        for _ in 0..3 {
            self.work(100, 450).await;
            self.restart_after_failed_sync().await?;
            let stops = self.rng.percent(50);
            if stops && let Some(witness) = &self.witness {
                witness.stop()?;
                self.report.stops += 1;
                let long = Duration::from_millis(20 + self.rng.below(300));
                tokio::time::sleep(long).await;
            }
            // Killed where it stopped, or let go on.
            if !stops || self.rng.percent(40) {
                self.kill().await?;
                self.start(self.restarted_on)?;
            } else if let Some(witness) = &self.witness {
                witness.go_on()?;
            }
        }
        self.work(100, 450).await;
        self.restart_after_failed_sync().await?;
        self.end().await?;
        if self.history.recoveries() != recoveries {
            self.report.wrong.push("the witness found that its store lacks history".to_owned());
        }
        self.check(first, 0..=u64::MAX, 0, &VOLUMES, true);
        self.look_for_changes();
        Ok(())
    }

    /// A history of which everything was refused can always be explained.
    fn look_for_changes(&mut self) {
        if self.report.checked.iter().all(|checked| changes(&checked.history) == 0) {
            self.report.wrong.push("nothing was changed: the run shows nothing".to_owned());
        }
    }

    /// Nothing new is asked; a last look, and everything ends.
    async fn end(&mut self) -> Result<Look, Failed> {
        self.quiet.send_replace(true);
        let look = self.look().await?;
        self.stop.send_replace(true);
        self.kill().await?;
        self.report.kills -= 1;
        Ok(look)
    }

    /// Works, copies the store, works on, and puts the copy in the store's place. Gives what was seen before the
    /// copy was taken, and before it came back.
    async fn roll_back(&mut self) -> Result<(Look, Look), Failed> {
        let (state, older) = (self.site.state(), self.site.file("older"));
        self.work(200, 500).await;
        self.quiet.send_replace(true);
        self.kill().await?;
        copy(&state, &older)?;
        self.start(Disk::Plain)?;
        let then = self.look().await?;
        self.work(300, 700).await;
        // On a slow machine nothing may have been done yet; then the run would show nothing.
        for _ in 0..LOOKS_MAX {
            if self.look().await?.views != then.views {
                break;
            }
        }
        self.quiet.send_replace(true);
        let last = self.look().await?;
        self.kill().await?;
        fs::remove_dir_all(&state)?;
        copy(&older, &state)?;
        self.start(Disk::Plain)?;
        Ok((then, last))
    }

    async fn rolled_back_unseen(&mut self, first: &Look) -> Result<(), Failed> {
        let (then, last) = self.roll_back().await?;
        self.look().await?;
        self.work(200, 400).await;
        self.end().await?;
        // Of the others nobody knows whether something was done between the last look and the kill.
        let changed: Vec<VolumeId> =
            VOLUMES.into_iter().filter(|volume| then.views.get(volume) != last.views.get(volume)).collect();
        if changed.is_empty() {
            self.report
                .wrong
                .push("nothing changed after the copy was taken: the run shows nothing".to_owned());
        }
        self.check(first, 0..=u64::MAX, 0, &changed, false);
        Ok(())
    }

    async fn rolled_back(&mut self, first: &Look) -> Result<(), Failed> {
        let recoveries = self.history.recoveries();
        let (then, last) = self.roll_back().await?;
        let before = self.history.life() - 1;
        let is_older = then.views != last.views;
        let is_resolved = self.in_service_or_person(recoveries, is_older).await?;
        let recovered = self.history.recoveries() != recoveries;
        (self.report.older, self.report.recovered) = (is_older, recovered);
        if is_older && !recovered {
            self.report.wrong.push("an older copy of the store was not noticed".to_owned());
        }
        self.check(first, 0..=before, 0, &VOLUMES, true);
        self.look_for_changes();
        if !is_resolved {
            self.report.unresolved = true;
            self.end().await?;
            return Ok(());
        }
        let after = self.look().await?;
        let life = self.history.life();
        self.look_back(before, &after, if recovered { EPOCH_JUMP } else { 0 });
        self.work(200, 400).await;
        self.end().await?;
        if recovered {
            self.check(&after, life..=u64::MAX, EPOCH_JUMP, &VOLUMES, true);
        }
        Ok(())
    }

    /// Waits until the recovery has begun, if it must, and is over; false: it waits for a person.
    async fn in_service_or_person(&mut self, recoveries: u64, must: bool) -> Result<bool, Failed> {
        let over = async {
            loop {
                let told: Vec<Option<bool>> = self.recovering.iter().map(|told| *told.borrow()).collect();
                // A client that has not noticed the kill yet still says what it was told before.
                let has_begun = self.history.recoveries() != recoveries || !must;
                if has_begun && told.iter().all(|told| *told == Some(false)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(HANG / 2, over).await.is_ok() {
            return Ok(true);
        }
        let look = self.look().await?;
        if self.history.recoveries() == recoveries {
            return Ok(true);
        }
        if look.recovering {
            return Ok(false);
        }
        Err(Failed("the witness is neither in service nor in RECOVERY".to_owned()))
    }

    /// What was acknowledged before stands: epochs, versions and sets are not used again.
    fn look_back(&mut self, before: u64, after: &Look, jump: u64) {
        for volume in VOLUMES {
            let now = after.views.get(&volume).copied().unwrap_or_default();
            let wrong = undone(&self.history.of(volume, 0..=before), &now, jump);
            self.report.wrong.extend(wrong.into_iter().map(|what| format!("v{volume}: {what}")));
        }
    }

    /// Checks these registers from a look on, at which nobody asked for anything, in these runs of the witness.
    fn check(
        &mut self,
        from: &Look,
        lives: RangeInclusive<u64>,
        jump: u64,
        volumes: &[VolumeId],
        expected: bool,
    ) {
        for volume in volumes.iter().copied() {
            let view = from.views.get(&volume).copied().unwrap_or_default();
            // A recovery without a holder uses up an epoch: with the newest grant's it would read like a release.
            let newest = view.epoch.saturating_sub(u64::from(view.holder.is_none()));
            let floor = if jump > 0 { newest + jump } else { 0 };
            let first = Register { view, attempt: None, floor };
            let mut history = self.history.of(volume, lives.clone());
            history.retain(|operation| operation.invoked > from.at);
            let verdict = check(first, &history);
            self.report.checked.push(Checked { volume, first, history, verdict, expected });
        }
    }
}
