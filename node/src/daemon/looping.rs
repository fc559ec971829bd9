//! The loop's own thread, and the heartbeats that come in on it.

use crate::driver::{Driver, Ended};
use crate::event::{self, Told};
use crate::events::Events;
use crate::heartbeat;
use picket_host::sys::{Permitted, realtime_priority};
use tokio::runtime::Builder;
use tokio::sync::mpsc;

/// Above everything but the petting thread.
const LOOP_PRIORITY: u8 = 20;

/// Heartbeats in; they are received on the loop's own thread.
pub(super) struct Beating {
    pub(super) receivers: Vec<heartbeat::Receiver>,
    pub(super) into: mpsc::Sender<(picket_core::ids::PathId, picket_core::message::Beat)>,
    pub(super) events: Events,
}

pub(super) fn run_loop(driver: Driver, beating: Beating) -> Ended {
    if let Permitted::No { reason } = realtime_priority(LOOP_PRIORITY) {
        driver.rooms.degraded(format!("the loop: {reason}; a busy machine may look dead to others"));
    }
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Ended::Timer(error),
    };
    runtime.block_on(async move {
        for receiver in beating.receivers {
            let (into, events) = (beating.into.clone(), beating.events.clone());
            tokio::spawn(async move {
                // A loop that is behind loses heartbeats as a network does.
                let deliver = |path, beat| drop(into.try_send((path, beat)));
                let refused = |reason: heartbeat::Refused, from, count| {
                    let text = format!("refused {count} datagrams that are no heartbeats of a peer ({reason}), the last from {from}");
                    events.tell(Told::new(event::DATAGRAM_REFUSED, text));
                };
                if let Err(error) = receiver.run(deliver, refused).await {
                    events.tell(Told::new(event::DEGRADED, format!("a heartbeat socket cannot be read: {error}")));
                }
            });
        }
        driver.run().await
    })
}
