//! The petting thread.
//!
//! ```text
//!        ┌───────────── wait p, or an order ◄────────────┐
//!        ▼                                               │
//!   before both bounds? ──yes──► pet ──► clock and lease bound again ──in time──┤
//!        │ no                                 └── late ──► bite                 │
//!        └── neglected ─────────────────────────────────────────────────────────┘
//! ```

use super::{Bounds, Watchdog};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use picket_core::params::Watchdog as Timing;
use picket_host::clock::boottime;
use picket_host::sys::{Permitted, realtime_priority};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Above the loop (20): a loop that spins must not keep the petting thread from looking at its bounds.
const PRIORITY: u8 = 30;

/// Orders that wait for the thread; there is one at most.
const ORDERS_MAX: usize = 4;

/// What is told when petting fails or comes late.
pub type Tell = Box<dyn Fn(Trouble) + Send>;

/// What the petting thread has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A pet failed.
    NotPetted(String),
    /// Petting works again.
    PettedAgain,
    /// A pet came late; the machine is being reset.
    Late {
        /// By how much.
        by: Duration,
    },
    /// The thread has no realtime priority.
    NoPriority(String),
}

#[derive(Debug)]
enum Order {
    Close(SyncSender<io::Result<()>>),
    Bite,
}

/// The running thread. Dropped without [`Petting::close`], the watchdog stays armed and bites.
#[derive(Debug)]
pub struct Petting {
    orders: SyncSender<Order>,
    thread: JoinHandle<()>,
    petted: Arc<AtomicBool>,
    pets: Arc<AtomicU64>,
}

/// Starts to pet each period of `timing` while the bounds allow it.
///
/// # Errors
/// No thread can be made.
pub fn start(
    watchdog: Box<dyn Watchdog>,
    timing: Timing,
    bounds: Arc<Bounds>,
    tell: Tell,
) -> io::Result<Petting> {
    let (orders, queue) = sync_channel(ORDERS_MAX);
    let (petted, pets) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut petter = Petter {
        watchdog,
        timing,
        bounds,
        tell,
        petted: petted.clone(),
        pets: pets.clone(),
        unanswered: false,
        told: false,
        bitten: false,
    };
    let thread = Builder::new().name("picket-watchdog".to_owned()).spawn(move || {
        if let Permitted::No { reason } = realtime_priority(PRIORITY) {
            (petter.tell)(Trouble::NoPriority(reason));
        }
        loop {
            petter.turn();
            match queue.recv_timeout(timing.pet) {
                Ok(Order::Close(answer)) => {
                    let _ = answer.send(petter.watchdog.disarm());
                    return;
                }
                Ok(Order::Bite) => petter.bite(),
                Err(RecvTimeoutError::Timeout) => {}
                // The daemon's other half is gone: nobody vouches for anything any more.
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    })?;
    Ok(Petting { orders, thread, petted, pets })
}

/// Has the watchdog bite now, without waiting for the petting thread's next turn.
#[derive(Clone, Debug)]
pub struct Bite(SyncSender<Order>);

impl Bite {
    /// Now.
    pub fn now(&self) {
        // A full queue holds such orders already.
        let _ = self.0.try_send(Order::Bite);
    }
}

struct Petter {
    watchdog: Box<dyn Watchdog>,
    timing: Timing,
    bounds: Arc<Bounds>,
    tell: Tell,
    petted: Arc<AtomicBool>,
    pets: Arc<AtomicU64>,
    /// A pet is on its way whose arrival nobody has seen.
    unanswered: bool,
    /// That a pet failed was told, and none has arrived since.
    told: bool,
    bitten: bool,
}

impl Petter {
    fn turn(&mut self) {
        if self.bounds.is_resetting() {
            self.bite();
            return;
        }
        let now = boottime();
        if now > self.bounds.lease() || now > self.bounds.progress() {
            self.petted.store(false, Ordering::Relaxed);
            if self.unanswered {
                self.check_late();
            }
            self.watchdog.neglected(now);
            return;
        }
        let petted = self.watchdog.pet();
        self.unanswered = petted.is_err();
        self.check_late();
        let was = self.petted.swap(petted.is_ok(), Ordering::Relaxed);
        match petted {
            Ok(()) => {
                let before = self.pets.fetch_add(1, Ordering::Relaxed);
                if !was && (before > 0 || self.told) {
                    (self.tell)(Trouble::PettedAgain);
                }
                self.told = false;
            }
            Err(error) if !self.told => {
                (self.tell)(Trouble::NotPetted(error.to_string()));
                self.told = true;
            }
            Err(_) => {}
        }
    }

    /// The bound leaves the watchdog's time for the stall between the check and the pet. A pet that comes later than
    /// that shows a watchdog slower than it was measured, or none.
    fn check_late(&mut self) {
        let limit = self.bounds.lease().saturating_add(self.timing.effective);
        let now = boottime();
        if now > limit {
            (self.tell)(Trouble::Late { by: now.saturating_sub(limit) });
            self.bite();
        }
    }

    fn bite(&mut self) {
        self.petted.store(false, Ordering::Relaxed);
        let told = self.watchdog.bite();
        if !self.bitten
            && let Err(error) = told
        {
            (self.tell)(Trouble::NotPetted(format!("the watchdog cannot be told to bite: {error}")));
        }
        self.bitten = true;
    }
}

impl Petting {
    /// Whether the newest pet was seen to arrive.
    #[must_use]
    pub fn is_petted(&self) -> bool {
        self.petted.load(Ordering::Relaxed)
    }

    /// How many pets were seen to arrive.
    #[must_use]
    pub fn pets(&self) -> u64 {
        self.pets.load(Ordering::Relaxed)
    }

    /// What [`Self::is_petted`] reads, for a status that outlives this handle.
    #[must_use]
    pub fn petted_flag(&self) -> Arc<AtomicBool> {
        self.petted.clone()
    }

    /// A handle that has the watchdog bite.
    #[must_use]
    pub fn bite(&self) -> Bite {
        Bite(self.orders.clone())
    }

    /// Closes the watchdog in order and ends the thread.
    ///
    /// # Errors
    /// The watchdog stays armed.
    pub fn close(self) -> io::Result<()> {
        let (answer, answered) = sync_channel(1);
        let gone = |_| io::Error::other("the petting thread is gone");
        self.orders.send(Order::Close(answer)).map_err(|_| gone(()))?;
        let closed = answered.recv().map_err(|_| gone(()))?;
        let _ = self.thread.join();
        closed
    }
}
