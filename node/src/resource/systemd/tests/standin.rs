//! A stand-in for systemd's manager on a bus of its own: a real `dbus-daemon`, and on it the part of
//! `org.freedesktop.systemd1` that is asked for, over units that exist only here. It behaves as it is told to, badly
//! too; what of that the real manager does is known from its documentation, not from here.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use zbus::object_server::SignalEmitter;
use zbus::{Connection, OwnedObjectPath, interface};

/// What a job does to its unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Job {
    /// What is asked, at once.
    #[default]
    Done,
    /// It is over, and the unit on its way, until [`StandIn::becomes`] says more.
    Underway,
    /// Nothing more is heard of it.
    Hangs,
    /// The unit fails.
    Fails,
}

#[derive(Clone, Debug)]
struct About {
    load: String,
    active: String,
    start: Job,
    stop: Job,
    processes: Vec<u32>,
    kill_mode: String,
    enabled: bool,
}

type Units = Arc<Mutex<BTreeMap<String, About>>>;

/// The bus and the manager on it. Both end with it.
pub(crate) struct StandIn {
    bus: Child,
    pub(crate) address: String,
    units: Units,
    connection: Option<Connection>,
    done: Arc<Mutex<Vec<String>>>,
    /// Held for the bus's socket.
    _dir: tempfile::TempDir,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.end_bus();
    }
}

/// A bus of one user that starts nobody by itself.
const CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:dir=DIR</listen>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>"#;

const MANAGER_PATH: &str = "/org/freedesktop/systemd1";

fn path_of(name: &str) -> OwnedObjectPath {
    let escaped =
        |c: char| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("_{:02x}", u32::from(c)) };
    let name: String = name.chars().map(escaped).collect();
    OwnedObjectPath::try_from(format!("{MANAGER_PATH}/unit/{name}")).unwrap()
}

impl StandIn {
    /// A bus with a manager that knows these units; all are out of service.
    pub(crate) async fn start(names: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("bus.conf");
        std::fs::write(&config, CONFIG.replace("DIR", &dir.path().display().to_string())).unwrap();
        let mut bus = Command::new("dbus-daemon")
            .args(["--nofork", "--nopidfile", "--print-address", "--config-file"])
            .arg(config)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon, of Debian's package dbus");
        let mut address = String::new();
        BufReader::new(bus.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        let about = || About {
            load: "loaded".to_owned(),
            active: "inactive".to_owned(),
            start: Job::Done,
            stop: Job::Done,
            processes: Vec::new(),
            kill_mode: "control-group".to_owned(),
            enabled: false,
        };
        let units = names.iter().map(|name| ((*name).to_owned(), about())).collect();
        let mut standin = Self {
            bus,
            address,
            units: Arc::new(Mutex::new(units)),
            connection: None,
            done: Arc::default(),
            _dir: dir,
        };
        standin.start_manager().await;
        standin
    }

    /// The manager comes onto the bus.
    pub(crate) async fn start_manager(&mut self) {
        let manager = Manager { units: self.units.clone(), done: self.done.clone(), jobs: Mutex::new(0) };
        let mut builder = zbus::connection::Builder::address(self.address.as_str())
            .serve_at(MANAGER_PATH, manager)
            .name("org.freedesktop.systemd1");
        let names: Vec<String> = self.units.lock().unwrap().keys().cloned().collect();
        for name in names {
            let unit = || (self.units.clone(), name.clone());
            builder =
                builder.serve_at(path_of(&name), Unit(unit())).serve_at(path_of(&name), Service(unit()));
        }
        self.connection = Some(builder.build().await.unwrap());
    }

    /// The manager leaves the bus.
    pub(crate) async fn end_manager(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close().await.unwrap();
        }
    }

    /// The bus ends, whoever is on it.
    pub(crate) fn end_bus(&mut self) {
        // It may have ended by itself.
        let _ = self.bus.kill();
        let _ = self.bus.wait();
    }

    /// What jobs on a unit do.
    pub(crate) fn jobs(&self, name: &str, start: Job, stop: Job) {
        self.change(name, |unit| (unit.start, unit.stop) = (start, stop));
    }

    pub(crate) fn load(&self, name: &str, load: &str) {
        self.change(name, |unit| load.clone_into(&mut unit.load));
    }

    pub(crate) fn processes(&self, name: &str, processes: &[u32]) {
        self.change(name, |unit| unit.processes = processes.to_vec());
    }

    pub(crate) fn unwise(&self, name: &str) {
        self.change(name, |unit| {
            unit.enabled = true;
            "process".clone_into(&mut unit.kill_mode);
        });
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut About)) {
        change(self.units.lock().unwrap().get_mut(name).expect("a unit"));
    }

    /// The unit becomes something by itself, and whoever listens is told.
    pub(crate) async fn becomes(&self, name: &str, active: &str) {
        let connection = self.connection.as_ref().expect("a manager");
        becomes(connection, &self.units, name, active).await;
    }

    /// The same, and forgets it.
    pub(crate) fn take_done(&self) -> Vec<String> {
        core::mem::take(&mut self.done.lock().unwrap())
    }

    /// What was asked for, in order.
    pub(crate) fn done(&self) -> Vec<String> {
        self.done.lock().unwrap().clone()
    }
}

async fn becomes(connection: &Connection, units: &Units, name: &str, active: &str) {
    active.clone_into(&mut units.lock().unwrap().get_mut(name).unwrap().active);
    let unit = connection.object_server().interface::<_, Unit>(path_of(name)).await.unwrap();
    unit.get().await.active_state_changed(unit.signal_emitter()).await.unwrap();
}

#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.freedesktop.systemd1")]
enum Refusal {
    #[zbus(error)]
    ZBus(zbus::Error),
    NoSuchUnit(String),
}

struct Manager {
    units: Units,
    done: Arc<Mutex<Vec<String>>>,
    jobs: Mutex<u32>,
}

impl Manager {
    fn unit(&self, name: &str) -> Result<About, Refusal> {
        let unit = self.units.lock().unwrap().get(name).cloned();
        unit.ok_or_else(|| Refusal::NoSuchUnit(format!("Unit {name} not loaded.")))
    }

    async fn job(
        &self,
        name: &str,
        (job, by_way_of, to): (Job, &'static str, &'static str),
        emitter: SignalEmitter<'_>,
    ) -> OwnedObjectPath {
        let id = {
            let mut jobs = self.jobs.lock().unwrap();
            *jobs += 1;
            *jobs
        };
        let path = OwnedObjectPath::try_from(format!("{MANAGER_PATH}/job/{id}")).unwrap();
        let connection = emitter.connection().clone();
        becomes(&connection, &self.units, name, by_way_of).await;
        let result = match job {
            Job::Hangs => return path,
            Job::Underway => "done",
            Job::Done => {
                becomes(&connection, &self.units, name, to).await;
                "done"
            }
            Job::Fails => {
                becomes(&connection, &self.units, name, "failed").await;
                "failed"
            }
        };
        // Another's first: nobody may take it for his own.
        let other = OwnedObjectPath::try_from(format!("{MANAGER_PATH}/job/0")).unwrap();
        emitter.job_removed(0, other, name, "canceled").await.unwrap();
        emitter.job_removed(id, path.clone(), name, result).await.unwrap();
        path
    }
}

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    fn subscribe(&self) {}

    fn load_unit(&self, name: &str) -> Result<OwnedObjectPath, Refusal> {
        // The real one makes an object for whatever is asked, as it does here for a unit with load state "not-found".
        self.unit(name).map(|_| path_of(name))
    }

    async fn start_unit(
        &self,
        name: &str,
        mode: &str,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<OwnedObjectPath, Refusal> {
        self.done.lock().unwrap().push(format!("start {name} {mode}"));
        let job = self.unit(name)?.start;
        Ok(self.job(name, (job, "activating", "active"), emitter).await)
    }

    async fn stop_unit(
        &self,
        name: &str,
        mode: &str,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<OwnedObjectPath, Refusal> {
        self.done.lock().unwrap().push(format!("stop {name} {mode}"));
        let unit = self.unit(name)?;
        let resting = matches!(unit.active.as_str(), "inactive" | "failed") && unit.stop == Job::Done;
        let (way, to) = if !resting {
            ("deactivating", "inactive")
        } else if unit.active == "failed" {
            ("failed", "failed")
        } else {
            ("inactive", "inactive")
        };
        Ok(self.job(name, (unit.stop, way, to), emitter).await)
    }

    fn reset_failed_unit(&self, name: &str) -> Result<(), Refusal> {
        self.done.lock().unwrap().push(format!("reset {name}"));
        self.unit(name)?;
        "inactive".clone_into(&mut self.units.lock().unwrap().get_mut(name).unwrap().active);
        Ok(())
    }

    fn get_unit_processes(&self, name: &str) -> Result<Vec<(String, u32, String)>, Refusal> {
        let unit = self.unit(name)?;
        // The real one has forgotten such a unit.
        if unit.active == "inactive" && unit.processes.is_empty() {
            return Err(Refusal::NoSuchUnit(format!("Unit {name} not loaded.")));
        }
        Ok(unit.processes.iter().map(|pid| ("/".to_owned(), *pid, "sleep".to_owned())).collect())
    }

    #[zbus(signal)]
    async fn job_removed(
        emitter: &SignalEmitter<'_>,
        id: u32,
        job: OwnedObjectPath,
        unit: &str,
        result: &str,
    ) -> zbus::Result<()>;
}

struct Unit((Units, String));

impl Unit {
    fn about(&self) -> About {
        about(&self.0)
    }
}

fn about((units, name): &(Units, String)) -> About {
    units.lock().unwrap().get(name).cloned().expect("a unit")
}

#[interface(name = "org.freedesktop.systemd1.Unit")]
impl Unit {
    #[zbus(property)]
    fn id(&self) -> String {
        self.0.1.clone()
    }

    #[zbus(property)]
    fn load_state(&self) -> String {
        self.about().load
    }

    #[zbus(property)]
    fn active_state(&self) -> String {
        self.about().active
    }

    #[zbus(property)]
    fn unit_file_state(&self) -> String {
        if self.about().enabled { "enabled" } else { "disabled" }.to_owned()
    }
}

struct Service((Units, String));

#[interface(name = "org.freedesktop.systemd1.Service")]
impl Service {
    #[zbus(property)]
    fn result(&self) -> String {
        "exit-code".to_owned()
    }

    #[zbus(property)]
    fn kill_mode(&self) -> String {
        about(&self.0).kill_mode
    }

    #[zbus(property, name = "TimeoutStopUSec")]
    fn timeout_stop(&self) -> u64 {
        90_000_000
    }
}
