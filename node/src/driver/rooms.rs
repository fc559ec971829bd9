//! Where effects go. Each call hands its effect to a room and returns at once; a room that is full loses it in the
//! way that the core expects of that effect, and never silently where it matters.

use crate::config::Config;
use crate::event::{self, Told, Words};
use crate::events::Events;
use crate::fencer::Fencer;
use crate::heartbeat;
use crate::peer::Peers;
use crate::reset::Resetter;
use crate::volume::Order;
use crate::witness_client::Link;
use picket_core::ids::{NodeId, VolumeId};
use picket_core::message::{Beat, PeerMessage, ToWitness};
use picket_core::node::{CommandId, CommandOutcome, Event, Input, ResetReason, VolumeAction};
use picket_core::topology::DeviceOrder;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

use super::Wake;

/// All rooms.
#[derive(Debug)]
pub struct Rooms {
    /// For names.
    pub config: Arc<Config>,
    /// Heartbeats out.
    pub heartbeats: heartbeat::Sender,
    /// The witness.
    pub witness: Link,
    /// The peers.
    pub peers: Peers,
    /// The volumes' drivers.
    pub volumes: BTreeMap<VolumeId, mpsc::Sender<Order>>,
    /// The fence devices.
    pub fencer: Fencer,
    /// Log, alerts and history.
    pub events: Events,
    /// The end of the machine.
    pub resetter: Resetter,
    /// The loop's own queue, for what a room could not take.
    pub back: mpsc::WeakSender<Wake>,
}

impl Rooms {
    pub(super) fn beat(&self, to: NodeId, beat: &Beat) {
        self.heartbeats.send(to, beat);
    }

    /// A connection that takes no more has lost a request; it is given up as a whole.
    pub(super) fn witness(&self, message: ToWitness) {
        self.witness.send(message);
    }

    pub(super) fn close_witness(&self) {
        self.witness.close();
    }

    pub(super) fn peer(&self, to: NodeId, message: PeerMessage) {
        self.peers.send(to, message);
    }

    pub(super) fn volume(&self, volume: VolumeId, command: CommandId, action: VolumeAction) {
        let taken = self.volumes.get(&volume).map(|orders| orders.try_send(Order { command, action }));
        if taken.is_none_or(|taken| taken.is_err()) {
            let outcome = CommandOutcome::Failed("the driver takes no orders".to_owned());
            self.give_back(Input::VolumeDone { volume, command, outcome });
        }
    }

    /// The loop's queue may be full, and the loop is who empties it: the core's own deadline then tells the same.
    fn give_back(&self, input: Input) {
        if let Some(back) = self.back.upgrade() {
            let _ = back.try_send(input.into());
        }
    }

    pub(super) fn device(&self, order: DeviceOrder) {
        self.fencer.start(order);
    }

    pub(super) fn event(&self, event: &Event) {
        let told = Words::new(&self.config).tell(event);
        self.fencer.note(event, &told.at);
        self.events.tell(told);
    }

    pub(super) fn reset(&self, power_off: bool, reason: &ResetReason) {
        let told = Words::new(&self.config).tell(&Event::Resetting(reason.clone()));
        self.resetter.now(power_off, &told.text);
    }

    /// Tells an event of the daemon's own.
    pub fn tell(&self, told: Told) {
        self.events.tell(told);
    }

    /// Tells that something is not as good as it could be.
    pub fn degraded(&self, text: impl Into<String>) {
        self.events.tell(Told::new(event::DEGRADED, text));
    }
}
