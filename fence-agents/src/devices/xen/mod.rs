//! `xen`: a domain of a Xen host, by `xl` on its Dom0, here or through `ssh`.
//!
//! ```text
//!   off:  xl list on every Dom0 ─▶ xl destroy where the domain is ─▶ xl list again
//! ```
//! A domain that is gone is only visible by its absence, so absence must be beyond doubt. It is
//! `Off` only if *every* configured Dom0 gave a whole, well-formed list with its own Domain-0 in it,
//! none of them has the domain (nor one that is being migrated under a changed name, nor one without
//! a name), and the domain is known: its configuration file names it on one of them, or this very run
//! saw it running before. A list that fails, is empty or makes no sense, a Dom0 that does not answer,
//! and a name that nobody knows, are unknown. No ping takes part.
//!
//! No two Dom0s are looked at in the same instant, so a round in which each is asked once misses a
//! domain that goes from one not yet looked at to one already looked at. With several Dom0s all of them
//! must therefore be without it in two rounds, of which the second begins when the first has ended.
//! Not every migration is excluded by that. A domain that migrates is on its target, as `--incoming`,
//! before xl gives it up at its source; so a round misses it only if a whole migration begins and ends
//! within that round, and two rounds only if two do, one in each, each to a Dom0 that was just looked
//! at. That is accepted: a round is as short as we can make it (the Dom0s are asked side by side; it
//! takes as long as the slowest answer), a migration connects by ssh and copies the whole memory, and
//! no number of rounds would come to more than "one in each". One Dom0 gives one list, and nothing can
//! move to where nobody looks: one round is enough.

mod dom0;
pub mod domains;

use crate::device::{Device, DeviceError, Limits, Outlet, Power, State};
use crate::input::{InputError, Options};
use crate::options::OptionSpec;
use crate::reach::{IDENTITY_FILE, Reach, SSH_OPTIONS, SSH_PATH, SSH_PORT, Target};
use crate::registry::DeviceKind;
use dom0::Dom0;
use domains::{Domains, Presence};
use std::collections::{BTreeMap, BTreeSet};
use std::thread;

#[cfg(test)]
mod tests;

/// The `xen` device.
pub const KIND: DeviceKind = DeviceKind {
    name: "xen",
    shortdesc: "Fence agent for Xen domains",
    longdesc: "Destroys and starts a Xen domain with xl on its Dom0: on this machine, or by ssh with a key on \
those named in ip. Off means that every Dom0 of ip lists its domains and has none of that name, and that the \
domain is known by its configuration file or was seen running before.\n\n\
Name in ip every Dom0 that the domain may migrate to. The key in identity_file must let username run xl and cat \
there without a password; the host's key must be known already.",
    options: &[
        OptionSpec::text("ip", "Dom0s, separated by commas; without it this machine is the Dom0")
            .short('a')
            .old("ipaddr"),
        SSH_PORT,
        OptionSpec::text("username", "Login at the Dom0s").short('l').old("login").default("root"),
        IDENTITY_FILE,
        SSH_OPTIONS,
        OptionSpec::text("hostlist", "Domains that may be fenced, each as name or name:/its/configuration"),
        OptionSpec::text("config_dir", "Directory of the domains' configurations, NAME.cfg")
            .default("/etc/xen"),
        OptionSpec::text("xl_path", "The xl program at the Dom0s").default("xl"),
        SSH_PATH,
    ],
    external_names: &["xen0", "xen0-ha"],
    external_options: &[("dom0", "ip")],
    open,
    ..DeviceKind::BASE
};

/// Dom0s that a domain may be on: more hosts than a pool has, few enough to be asked side by side.
const DOM0S_MAX: usize = 16;

/// The longest name of a domain.
const NAME_BYTES_MAX: usize = 128;

fn open(options: &Options) -> Result<Box<dyn Device>, InputError> {
    let mut configs = BTreeMap::new();
    let list = options.get("hostlist").unwrap_or_default();
    for entry in list.split([',', ' ', '\t', ';']).filter(|entry| !entry.is_empty()) {
        let (name, path) = entry.split_once(':').unwrap_or((entry, ""));
        check_name(name)?;
        configs.insert(name.to_owned(), Some(path).filter(|path| path.starts_with('/')).map(str::to_owned));
    }
    for plug in options.plugs().unwrap_or_default() {
        check_name(&plug)?;
        if !configs.is_empty() && !configs.contains_key(&plug) {
            return Err(InputError::Unusable(format!("{plug} is not in hostlist")));
        }
    }
    let hosts: Vec<&str> = options.get("ip").unwrap_or_default().split(',').map(str::trim).collect();
    let hosts: Vec<&str> = hosts.into_iter().filter(|host| !host.is_empty()).collect();
    if hosts.len() > DOM0S_MAX {
        return Err(InputError::Unusable(format!("{} Dom0s in ip; at most {DOM0S_MAX}", hosts.len())));
    }
    let reach = |host: Option<&str>| Reach::read(options, host, Target::default());
    let dom0s = if hosts.is_empty() {
        vec![Dom0::new(options, reach(None)?)?]
    } else {
        let made = hosts.into_iter().map(|host| Dom0::new(options, reach(Some(host))?));
        made.collect::<Result<Vec<_>, InputError>>()?
    };
    let config_dir = options.need("config_dir")?.trim_end_matches('/').to_owned();
    Ok(Box::new(Xen { dom0s, configs, config_dir, seen: BTreeSet::new() }))
}

/// A domain's name, as it may stand in a command that a remote shell reads.
fn check_name(name: &str) -> Result<(), InputError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if begins && name.len() <= NAME_BYTES_MAX && name.bytes().all(allowed) && name != domains::DOM0_NAME {
        return Ok(());
    }
    Err(InputError::Unusable(format!(
        "{name:?} cannot be fenced: a domain's name is letters, digits, '.', '_', '+' and '-', at most \
{NAME_BYTES_MAX}, and not Domain-0"
    )))
}

struct Xen {
    dom0s: Vec<Dom0>,
    /// By name, from `hostlist`; a name without its own file has it in `config_dir`.
    configs: BTreeMap<String, Option<String>>,
    config_dir: String,
    /// Domains that this run has seen running: their names are no mistake.
    seen: BTreeSet<String>,
}

impl Xen {
    fn config_path(&self, name: &str) -> String {
        let own = self.configs.get(name).cloned().flatten();
        own.unwrap_or_else(|| format!("{}/{name}.cfg", self.config_dir))
    }

    /// One round: the lists of all Dom0s, asked side by side, or the first one that is missing.
    fn lists(&self, limits: Limits) -> Result<Vec<Domains>, String> {
        let read = |dom0: &Dom0| dom0.list(limits).map_err(|why| format!("{}: {why}", dom0.name()));
        if let [only] = self.dom0s.as_slice() {
            return Ok(vec![read(only)?]);
        }
        thread::scope(|scope| {
            let asked: Vec<_> = self.dom0s.iter().map(|dom0| scope.spawn(move || read(dom0))).collect();
            let ended = |_| Err("the question's thread has ended".to_owned());
            asked.into_iter().map(|asked| asked.join().unwrap_or_else(ended)).collect()
        })
    }

    /// The first Dom0 that has the domain's configuration.
    fn configured_at(&self, name: &str, limits: Limits) -> Option<&Dom0> {
        let path = self.config_path(name);
        self.dom0s.iter().find(|dom0| dom0.config_names(&path, name, limits))
    }

    /// What the lists of one round say together: there if one has it, in doubt if one may have it.
    fn presence(&self, name: &str, lists: &[Domains]) -> Presence {
        let mut all = Presence::Absent;
        for (dom0, domains) in self.dom0s.iter().zip(lists) {
            match domains.presence(name) {
                Presence::Running => return Presence::Running,
                Presence::Doubtful(why) => all = Presence::Doubtful(format!("{}: {why}", dom0.name())),
                Presence::Absent => {}
            }
        }
        all
    }

    /// In how many rounds a domain must be missing to be nowhere; why is told at the top.
    fn rounds(&self) -> usize {
        if self.dom0s.len() > 1 { 2 } else { 1 }
    }

    fn look(&mut self, name: &str, limits: Limits) -> State {
        for _ in 0..self.rounds() {
            match self.lists(limits).map(|lists| self.presence(name, &lists)) {
                Ok(Presence::Absent) => {}
                Ok(Presence::Running) => {
                    self.seen.insert(name.to_owned());
                    return State::On;
                }
                Ok(Presence::Doubtful(why)) | Err(why) => return State::Unknown(why),
            }
        }
        if self.seen.contains(name) || self.configured_at(name, limits).is_some() {
            return State::Off;
        }
        State::Unknown(format!(
            "no Dom0 has a domain {name}, and none has {} with name = \"{name}\"",
            self.config_path(name)
        ))
    }

    /// Destroys it wherever these lists have it under its own name; whether one of them has.
    fn destroy_in(&mut self, name: &str, lists: &[Domains], limits: Limits) -> Result<bool, String> {
        let mut found = false;
        for (dom0, _) in self.dom0s.iter().zip(lists).filter(|(_, domains)| domains.has(name)) {
            found = true;
            self.seen.insert(name.to_owned());
            // What it says is not relied upon: the list is read again.
            dom0.destroy(name, limits)?;
        }
        Ok(found)
    }

    /// Destroys it wherever it is. One that is only on its way is no answer: it is to be asked for again.
    fn destroy(&mut self, name: &str, limits: Limits) -> Result<(), DeviceError> {
        for _ in 0..self.rounds() {
            let lists = self.lists(limits).map_err(DeviceError::NoAnswer)?;
            if self.destroy_in(name, &lists, limits).map_err(DeviceError::NoAnswer)? {
                return Ok(());
            }
            if let Presence::Doubtful(why) = self.presence(name, &lists) {
                return Err(DeviceError::NoAnswer(why));
            }
        }
        Ok(())
    }

    fn create(&mut self, name: &str, limits: Limits) -> Result<(), DeviceError> {
        // A domain that runs on one Dom0 must not be started on another one.
        match self.look(name, limits) {
            State::On => return Ok(()),
            State::Unknown(why) => return Err(DeviceError::NoAnswer(why)),
            State::Off => {}
        }
        let path = self.config_path(name);
        let Some(dom0) = self.configured_at(name, limits) else {
            return Err(DeviceError::Refused(format!("no Dom0 has {path} with name = \"{name}\"")));
        };
        dom0.create(&path, limits).map_err(DeviceError::NoAnswer)
    }
}

impl Device for Xen {
    fn set(&mut self, plug: &str, wanted: Power, limits: Limits) -> Result<(), DeviceError> {
        match wanted {
            Power::Off => self.destroy(plug, limits),
            Power::On => self.create(plug, limits),
        }
    }

    fn state(&mut self, plug: &str, limits: Limits) -> State {
        self.look(plug, limits)
    }

    fn list(&mut self, limits: Limits) -> Result<Vec<Outlet>, DeviceError> {
        let lists = self.lists(limits).map_err(DeviceError::NoAnswer)?;
        let mut outlets = BTreeMap::new();
        let names = lists.iter().flat_map(Domains::names).chain(self.configs.keys().cloned());
        for name in names.collect::<BTreeSet<_>>() {
            if check_name(&name).is_ok() && (self.configs.is_empty() || self.configs.contains_key(&name)) {
                let state = self.look(&name, limits);
                outlets.insert(name.clone(), Outlet { plug: name, alias: String::new(), state });
            }
        }
        Ok(outlets.into_values().collect())
    }

    fn monitor(&mut self, limits: Limits) -> Result<(), DeviceError> {
        self.lists(limits).map(drop).map_err(DeviceError::NoAnswer)
    }
}
