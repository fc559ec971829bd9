//! A machine's watchdog and the thread that pets it.
//!
//! The device kills the machine W after the last pet. The thread wakes at each multiple of p; it pets only while
//! its clock is not past the published bound, and reads the clock again after the pet. Pets that change nothing
//! are not events here: what would have been petted by now is worked out when it matters.

use picket_core::params::Watchdog as Timing;
use picket_core::time::{Duration, Instant};

/// The device, and the petting thread of the daemon that has it open.
#[derive(Clone, Debug)]
pub struct Watchdog {
    timing: Timing,
    /// When the thread was started; it wakes at each multiple of p after it. None: nobody pets.
    thread: Option<Instant>,
    published: Instant,
    last_pet: Instant,
    /// What happened up to then is worked out.
    known_until: Instant,
    armed: bool,
    /// The thread's newest look at the clock, when it was stopped right after one, allowed the pet.
    looked: bool,
    /// It saw that it is late: it pets no more and ends the machine, as soon as it runs.
    late: bool,
    /// The daemon closed it and is about to end: it does not open it again.
    closed: bool,
}

impl Watchdog {
    /// A device that nobody has opened since the boot.
    #[must_use]
    pub const fn new(timing: Timing) -> Self {
        let boot = Instant::BOOT;
        Self {
            timing,
            thread: None,
            published: boot,
            last_pet: boot,
            known_until: boot,
            armed: false,
            looked: false,
            late: false,
            closed: false,
        }
    }

    /// Works out what the thread has petted until now.
    pub fn account(&mut self, now: Instant) {
        let since = self.known_until;
        self.known_until = now;
        let Some(start) = self.thread.filter(|_| !self.late) else { return };
        let end = now.min(self.published);
        let period = nanos(self.timing.pet).max(1);
        let turns = nanos(end.since(start)) / period;
        let newest = start + Duration::from_nanos(turns * period);
        if newest > since && newest <= end && newest > self.last_pet {
            self.last_pet = newest;
        }
    }

    /// The main loop publishes until when it may be petted. The first time that this is later than now, the daemon
    /// opens the device, which pets it, and starts the thread. Returns whether it does.
    pub fn publish(&mut self, now: Instant, until: Instant) -> bool {
        self.account(now);
        self.published = until;
        let opens = self.thread.is_none() && !self.closed && now <= until;
        if opens {
            self.armed = true;
            self.thread = Some(now);
            self.last_pet = now;
            self.late = false;
        }
        opens
    }

    /// The thread does not run any more: its process ended or is stalled.
    pub fn thread_stops(&mut self, now: Instant) {
        self.account(now);
        self.looked = self.thread.is_some() && now <= self.published;
        self.thread = None;
    }

    /// The thread runs again after a stall. With `torn` it had compared the clock before the stall and, if that
    /// allowed it, pets now. Returns whether it then sees that it is late, and resets the machine.
    pub fn thread_goes_on(&mut self, now: Instant, torn: bool) -> bool {
        self.known_until = now;
        if !self.armed {
            return false;
        }
        self.thread = Some(now);
        if self.late {
            return false;
        }
        if torn && self.looked {
            self.last_pet = now;
            self.late = now > self.published + self.timing.effective;
            return self.late;
        }
        if now <= self.published {
            self.last_pet = now;
        }
        false
    }

    /// The daemon closes it in order: it kills no more.
    pub fn close(&mut self) {
        self.armed = false;
        self.thread = None;
        self.closed = true;
    }

    /// A daemon starts, and may open it.
    pub const fn daemon_starts(&mut self) {
        self.closed = false;
    }

    /// When it kills, as far as is known now.
    #[must_use]
    pub fn kills_at(&self) -> Option<Instant> {
        self.armed.then(|| self.last_pet + self.timing.effective)
    }

    /// Whether the thread saw that it was late.
    #[must_use]
    pub const fn is_late(&self) -> bool {
        self.late
    }

    /// Whether the thread had stopped petting on purpose: the bound has passed.
    #[must_use]
    pub fn is_withheld(&self, now: Instant) -> bool {
        self.thread.is_some() && now > self.published
    }
}

fn nanos(length: Duration) -> u64 {
    super::clock::nanos(length)
}
