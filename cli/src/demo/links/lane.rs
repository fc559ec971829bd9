//! One direction of a link: whether it is cut, how noisy it is, and what waits on it.

use super::seed::Chance;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;

/// What a line does to what it carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noise {
    /// Lost packets per million; UDP only.
    pub loss_ppm: u32,
    /// Added to everything.
    pub delay: Duration,
    /// Up to so much more, drawn for each packet or piece. Packets may overtake each other, the
    /// bytes of a stream never do.
    pub jitter: Duration,
}

/// What has become of packets (UDP only) so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Went on, at once or later.
    pub carried: u64,
    /// Lost by noise.
    pub lost: u64,
    /// Dropped because the lane was cut.
    pub cut: u64,
}

#[derive(Debug, Default)]
struct Counters {
    carried: AtomicU64,
    lost: AtomicU64,
    cut: AtomicU64,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Lost,
    Now,
    At(Instant),
}

#[derive(Clone, Copy, Debug, Default)]
struct Condition {
    cut: bool,
    resets: u64,
    noise: Noise,
}

/// The end where conditions are set.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) cut_by_name: bool,
    pub(super) noise: Noise,
    seed: u64,
    condition: watch::Sender<Condition>,
    counters: Arc<Counters>,
}

impl Lane {
    pub(super) fn new(seed: u64, noise: Noise) -> Self {
        let condition = watch::Sender::new(Condition { noise, ..Condition::default() });
        Self { cut_by_name: false, noise, seed, condition, counters: Arc::default() }
    }

    /// Lets what is set take effect.
    pub(super) fn publish(&mut self, cut_by_standing: bool) {
        let (cut, noise) = (self.cut_by_name || cut_by_standing, self.noise);
        self.condition.send_if_modified(|condition| {
            let changed = condition.cut != cut || condition.noise != noise;
            condition.cut = cut;
            condition.noise = noise;
            changed
        });
    }

    pub(super) fn reset(&self) {
        self.condition.send_modify(|condition| condition.resets += 1);
    }

    pub(super) fn view(&self) -> LaneView {
        let condition = self.condition.subscribe();
        let resets = condition.borrow().resets;
        LaneView { chance: Chance::new(self.seed), condition, resets, counters: Arc::clone(&self.counters) }
    }

    pub(super) fn tally(&self) -> Tally {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { carried, lost, cut } = &*self.counters;
        Tally { carried: read(carried), lost: read(lost), cut: read(cut) }
    }
}

/// The end where they are obeyed.
#[derive(Clone, Debug)]
pub(super) struct LaneView {
    condition: watch::Receiver<Condition>,
    chance: Chance,
    /// Resets that were there before this view.
    resets: u64,
    counters: Arc<Counters>,
}

impl LaneView {
    pub(super) fn is_cut(&self) -> bool {
        self.condition.borrow().cut
    }

    /// For a new connection: earlier resets are not meant for it.
    pub(super) fn fresh(&self) -> Self {
        let mut view = self.clone();
        view.resets = view.condition.borrow().resets;
        view
    }

    /// Gives one connection, of many, chances of its own.
    pub(super) const fn split(&mut self) {
        self.chance = Chance::new(self.chance.next());
    }

    /// What becomes of the next packet; counts it.
    pub(super) fn fate(&mut self) -> Fate {
        // Chance is drawn for cut lanes too: a cut does not shift the fate of later packets.
        let (lost, arrival) = (self.loses(), self.arrival());
        let (counter, fate) = match (self.is_cut(), lost, arrival) {
            (true, _, _) => (&self.counters.cut, Fate::Lost),
            (false, true, _) => (&self.counters.lost, Fate::Lost),
            (false, false, None) => (&self.counters.carried, Fate::Now),
            (false, false, Some(at)) => (&self.counters.carried, Fate::At(at)),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        fate
    }

    /// Whether the next packet is lost.
    fn loses(&mut self) -> bool {
        let loss_ppm = self.condition.borrow().noise.loss_ppm;
        loss_ppm > 0 && self.chance.below(1_000_000) < u64::from(loss_ppm)
    }

    /// When what is sent now arrives; `None` without delay.
    pub(super) fn arrival(&mut self) -> Option<Instant> {
        let noise = self.condition.borrow().noise;
        let jitter_us = u64::try_from(noise.jitter.as_micros()).unwrap_or(u64::MAX);
        let delay = noise.delay + Duration::from_micros(self.chance.below(jitter_us));
        (!delay.is_zero()).then(|| Instant::now() + delay)
    }

    /// Waits until the lane is whole. Waits for ever once the lab is gone.
    pub(super) async fn whole(&mut self) {
        if self.condition.wait_for(|condition| !condition.cut).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for a reset, or for the end of the lab.
    pub(super) async fn broken(&mut self) {
        let seen = self.resets;
        // The end of the lab also ends its connections.
        let _ = self.condition.wait_for(|condition| condition.resets != seen).await;
    }
}
