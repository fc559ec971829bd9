//! Calls a device on a thread of its own, so that a hung one cannot hang us.
//!
//! A call that has not ended shortly after its deadline is abandoned with its thread, which ends
//! with the process. The next call gets a fresh device. What an abandoned call did is not known,
//! and so it reads: [`DeviceError::NoAnswer`] or [`State::Unknown`].

use crate::deadline::Deadline;
use crate::device::{Device, DeviceError, Outlet, Power, State};
use crate::input::{InputError, Options};
use crate::parting::Partings;
use crate::registry::DeviceKind;
use crate::timing::Timing;
use core::time::Duration;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;

/// How much longer than its deadline a call may take before it is abandoned: enough for a device
/// that keeps its deadline to say itself, and better, what went wrong.
const ABANDON_AFTER: Duration = Duration::from_millis(200);

/// How long tidying up may take: it changes no outcome any more.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// One call at a time is under way, so one place is enough.
const JOBS_MAX: usize = 1;

type Job = Box<dyn FnOnce(&mut dyn Device) + Send>;

/// A device behind a thread.
#[derive(Debug)]
pub struct Runner {
    kind: &'static DeviceKind,
    options: Arc<Options>,
    timing: Timing,
    jobs: Option<SyncSender<Job>>,
    partings: Partings,
    /// What the device had to say about its options.
    pub warnings: Vec<String>,
}

impl Runner {
    /// Prepares a device of this kind.
    ///
    /// # Errors
    /// The options do not suffice for the device.
    pub fn new(kind: &'static DeviceKind, options: Arc<Options>, timing: Timing) -> Result<Self, InputError> {
        let device = (kind.open)(&options)?;
        let (partings, mut warnings) = (Partings::default(), device.warnings());
        if let Some(farewell) = device.farewell()
            && let Err(error) = partings.add(farewell)
        {
            warnings.push(format!("a signal will leave a session behind at the device: {error}"));
        }
        Ok(Self { kind, options, timing, jobs: Some(start(device)), partings, warnings })
    }

    /// Asks for a power state.
    ///
    /// # Errors
    /// As the device says, or no answer in time.
    pub fn set(&mut self, plug: &str, wanted: Power) -> Result<(), DeviceError> {
        let (plug, limits) = (plug.to_owned(), self.timing.call());
        self.call(limits.call, move |device| device.set(&plug, wanted, limits))?
    }

    /// Reads a power state.
    pub fn state(&mut self, plug: &str) -> State {
        let (plug, limits) = (plug.to_owned(), self.timing.call());
        self.call(limits.call, move |device| device.state(&plug, limits))
            .unwrap_or_else(|error| State::Unknown(error.to_string()))
    }

    /// Lists the machines that the device knows.
    ///
    /// # Errors
    /// As the device says, or no answer in time.
    pub fn list(&mut self) -> Result<Vec<Outlet>, DeviceError> {
        let limits = self.timing.call();
        self.call(limits.call, move |device| device.list(limits))?
    }

    /// Sends a diagnostic interrupt.
    ///
    /// # Errors
    /// As the device says, or no answer in time.
    pub fn diagnose(&mut self, plug: &str) -> Result<(), DeviceError> {
        let (plug, limits) = (plug.to_owned(), self.timing.call());
        self.call(limits.call, move |device| device.diagnose(&plug, limits))?
    }

    /// Tests the device.
    ///
    /// # Errors
    /// As the device says, or no answer in time.
    pub fn monitor(&mut self) -> Result<(), DeviceError> {
        let limits = self.timing.call();
        self.call(limits.call, move |device| device.monitor(limits))?
    }

    /// Waits between two looks.
    ///
    /// # Errors
    /// It became certain that the wanted state will not be reached.
    pub fn wait(&mut self, pause: Duration, until: Deadline) -> Result<(), DeviceError> {
        self.call(until, move |device| device.wait(pause, until))?
    }

    /// Lets the device tidy up.
    pub fn close(&mut self) {
        // A device that does not even tidy up in time is left alone: the outcome stands.
        let _ = self.call(Deadline::after(CLOSE_WITHIN), |device| device.close());
        self.jobs = None;
        // What devices left behind that were given up on the way.
        self.partings.say();
    }

    /// A fresh device in the place of one that was given up.
    fn another(&self) -> Result<SyncSender<Job>, DeviceError> {
        let device =
            (self.kind.open)(&self.options).map_err(|error| DeviceError::Refused(error.to_string()))?;
        if let Some(farewell) = device.farewell() {
            // Said at startup if signals cannot be watched.
            let _ = self.partings.add(farewell);
        }
        Ok(start(device))
    }

    fn call<T: Send + 'static>(
        &mut self,
        deadline: Deadline,
        work: impl FnOnce(&mut dyn Device) -> T + Send + 'static,
    ) -> Result<T, DeviceError> {
        let jobs = match self.jobs.take() {
            Some(jobs) => jobs,
            None => self.another()?,
        };
        let (answer, answered) = sync_channel(1);
        let job: Job = Box::new(move |device| {
            // Nobody listens any more if the call was abandoned.
            let _ = answer.send(work(device));
        });
        let ended = || DeviceError::NoAnswer("the device's thread has ended".to_owned());
        jobs.send(job).map_err(|_| ended())?;
        let result = match deadline.remaining() {
            None => answered.recv().map_err(|_| ended())?,
            Some(left) => match answered.recv_timeout(left.saturating_add(ABANDON_AFTER)) {
                Ok(result) => result,
                Err(RecvTimeoutError::Disconnected) => return Err(ended()),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(DeviceError::NoAnswer(
                        "the device did not return within its timeouts".to_owned(),
                    ));
                }
            },
        };
        self.jobs = Some(jobs);
        Ok(result)
    }
}

fn start(mut device: Box<dyn Device>) -> SyncSender<Job> {
    let (jobs, queue) = sync_channel::<Job>(JOBS_MAX);
    thread::spawn(move || {
        for job in queue {
            job(device.as_mut());
        }
    });
    jobs
}
