//! One direction of a link: whether it is cut, how noisy it is, and what waits on it.

use super::seed::Chance;
use core::time::Duration;
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
}

impl Lane {
    pub(super) fn new(seed: u64, noise: Noise) -> Self {
        let condition = watch::Sender::new(Condition { noise, ..Condition::default() });
        Self { cut_by_name: false, noise, seed, condition }
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
        LaneView { chance: Chance::new(self.seed), condition, resets }
    }
}

/// The end where they are obeyed.
#[derive(Clone, Debug)]
pub(super) struct LaneView {
    condition: watch::Receiver<Condition>,
    chance: Chance,
    /// Resets that were there before this view.
    resets: u64,
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

    /// Whether the next packet is lost.
    pub(super) fn loses(&mut self) -> bool {
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
