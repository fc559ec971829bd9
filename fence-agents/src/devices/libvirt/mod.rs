//! `libvirt`: a domain of one or several hypervisors, by their libvirt daemons or by `virsh`.
//!
//! ```text
//!   off:  find the domain on every hypervisor ─▶ destroy it where it is ─▶ find it again, everywhere
//! ```
//! Only `shut off` is off, and only if every hypervisor of `uri` answered (see [`domain::verdict`]). With
//! several, off must be seen twice in a row: a domain that migrates while we look from one to the next
//! would be missed by a single round, but not by the one after it.

use self::domain::{Activity, Domain, Plug, Seen, ambiguous, nowhere, verdict};
use crate::deadline::Deadline;
use crate::device::{Device, DeviceError, Limits, Outlet, Power, State};
use crate::uuid::Uuid;
use core::time::Duration;
use std::collections::BTreeMap;
use std::thread;

pub mod daemon;
pub mod domain;
mod open;
pub mod rpc;
pub mod shell;
pub mod uri;
pub mod xdr;

pub use open::KIND;

/// How long goodbye may take.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);

/// A hypervisor, however it is reached.
pub trait Hypervisor: Send {
    /// For people.
    fn name(&self) -> &str;

    /// The domain asked for; `None` if the hypervisor has none, which it said in so many words.
    ///
    /// # Errors
    /// No answer that can be relied upon.
    fn find(&mut self, plug: &Plug, limits: Limits) -> Seen;

    /// All domains.
    ///
    /// # Errors
    /// No whole list.
    fn all(&mut self, limits: Limits) -> Result<Vec<Domain>, DeviceError>;

    /// Asks to end it at once. Whether it ended is read back.
    ///
    /// # Errors
    /// Refused, or no answer: then the effect is unknown.
    fn destroy(&mut self, domain: &Domain, limits: Limits) -> Result<(), DeviceError>;

    /// Asks to start it.
    ///
    /// # Errors
    /// Refused, or no answer: then the effect is unknown.
    fn start(&mut self, domain: &Domain, limits: Limits) -> Result<(), DeviceError>;

    /// Ends the connection.
    fn close(&mut self, deadline: Deadline);
}

/// All hypervisors that may have the domains.
pub(crate) struct Libvirt {
    hosts: Vec<Box<dyn Hypervisor>>,
    /// The machines that the options are about, for `monitor`.
    plugs: Vec<String>,
}

impl Libvirt {
    /// Asks all of them side by side, so that a silent one uses up nobody else's time.
    fn each<T: Send>(
        &mut self,
        ask: impl Fn(&mut dyn Hypervisor) -> Result<T, DeviceError> + Sync,
    ) -> Vec<(String, Result<T, DeviceError>)> {
        if let [only] = self.hosts.as_mut_slice() {
            return vec![(only.name().to_owned(), ask(only.as_mut()))];
        }
        let ask = &ask;
        thread::scope(|scope| {
            let asked: Vec<_> = self
                .hosts
                .iter_mut()
                .map(|host| (host.name().to_owned(), scope.spawn(move || ask(host.as_mut()))))
                .collect();
            let ended = |_| Err(DeviceError::NoAnswer("the question's thread has ended".to_owned()));
            asked.into_iter().map(|(name, asked)| (name, asked.join().unwrap_or_else(ended))).collect()
        })
    }

    fn seen(&mut self, plug: &Plug, limits: Limits) -> Vec<(String, Seen)> {
        self.each(|host| host.find(plug, limits))
    }

    fn look(&mut self, plug: &Plug, limits: Limits) -> State {
        let state = verdict(plug, &self.seen(plug, limits));
        if state == State::Off && self.hosts.len() > 1 {
            verdict(plug, &self.seen(plug, limits))
        } else {
            state
        }
    }

    /// What all of them say, if it is about one domain that is there.
    fn unmistakable(&mut self, plug: &Plug, limits: Limits) -> Result<Vec<(String, Seen)>, DeviceError> {
        let seen = self.seen(plug, limits);
        if let Some(why) = ambiguous(plug, &seen) {
            return Err(DeviceError::Refused(why));
        }
        if seen.iter().all(|(_, seen)| matches!(seen, Ok(None))) {
            return Err(DeviceError::Refused(nowhere(plug, &seen)));
        }
        Ok(seen)
    }

    /// Destroys it wherever it is not shut off, and says what stands in the way.
    fn destroy(&mut self, plug: &Plug, limits: Limits) -> Result<(), DeviceError> {
        let seen = self.unmistakable(plug, limits)?;
        let mut result = Ok(());
        for (host, (_, seen)) in self.hosts.iter_mut().zip(seen) {
            let done = match seen {
                Ok(Some(domain)) if domain.activity != Activity::ShutOff => host.destroy(&domain, limits),
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            // The others are still asked; the first trouble is told.
            result = result.and(done);
        }
        result
    }

    /// Starts it on the first hypervisor that has it defined, if it is seen to run nowhere.
    fn start(&mut self, plug: &Plug, limits: Limits) -> Result<(), DeviceError> {
        self.unmistakable(plug, limits)?;
        match self.look(plug, limits) {
            State::On => return Ok(()),
            State::Unknown(why) => {
                return Err(DeviceError::NoAnswer(format!("not started, since it may run: {why}")));
            }
            State::Off => {}
        }
        for host in &mut self.hosts {
            if let Some(domain) = host.find(plug, limits)? {
                return host.start(&domain, limits);
            }
        }
        Err(DeviceError::NoAnswer(format!("{plug} went while it was to be started")))
    }

    fn fit(&mut self, plug: &Plug, limits: Limits) -> Result<(), DeviceError> {
        let seen = self.seen(plug, limits);
        if let State::Unknown(why) = verdict(plug, &seen) {
            return Err(DeviceError::NoAnswer(why));
        }
        for (host, seen) in seen {
            if seen?.is_some_and(|domain| domain.persistent == Some(false)) {
                return Err(DeviceError::Refused(format!(
                    "{plug} is not defined at {host}, only created: once destroyed it cannot be seen off; define it \
                     (virsh define)"
                )));
            }
        }
        Ok(())
    }
}

impl Device for Libvirt {
    fn set(&mut self, plug: &str, wanted: Power, limits: Limits) -> Result<(), DeviceError> {
        let plug = Plug::new(plug);
        match wanted {
            Power::Off => self.destroy(&plug, limits),
            Power::On => self.start(&plug, limits),
        }
    }

    fn state(&mut self, plug: &str, limits: Limits) -> State {
        self.look(&Plug::new(plug), limits)
    }

    fn list(&mut self, limits: Limits) -> Result<Vec<Outlet>, DeviceError> {
        let lists = self.each(|host| host.all(limits));
        let mut found: BTreeMap<(String, Uuid), Vec<(String, Seen)>> = BTreeMap::new();
        for (host, list) in lists {
            for domain in list? {
                let key = (domain.name.clone(), domain.uuid);
                found.entry(key).or_default().push((host.clone(), Ok(Some(domain))));
            }
        }
        let outlet = |((plug, uuid), seen): ((String, Uuid), Vec<(String, Seen)>)| Outlet {
            state: verdict(&Plug::Uuid(uuid), &seen),
            plug,
            alias: uuid.to_string(),
        };
        Ok(found.into_iter().map(outlet).collect())
    }

    /// Every hypervisor answers, and each domain's state is known and could be seen off.
    fn monitor(&mut self, limits: Limits) -> Result<(), DeviceError> {
        if self.plugs.is_empty() {
            return self.list(limits).map(|_| ());
        }
        let plugs = self.plugs.clone();
        plugs.iter().try_for_each(|plug| self.fit(&Plug::new(plug), limits))
    }

    fn close(&mut self) {
        let deadline = Deadline::after(CLOSE_WITHIN);
        self.hosts.iter_mut().for_each(|host| host.close(deadline));
    }
}
