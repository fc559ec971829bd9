//! A running lab cluster.

use super::addresses::Net;
use super::config::{Writer, control_socket, ledger_node};
use super::error::LabError;
use super::files::{Files, WITNESS_NAME};
use super::observe::{CONNECT_MAX, Observer};
use super::spec::ClusterSpec;
use super::view::View;
use super::writers::Writers;
use super::{PICKETD, WITNESS, WITNESSD, ledger_program, node_name};
use crate::client::Daemon;
use crate::demo::links::Links;
use crate::demo::machine::{Launcher, Machine, MachineSpec, ProgramSpec, WatchdogSpec};
use crate::exit::Fault;
use crate::multicall::Program;
use core::time::Duration;
use picket_host::cert::Identity;
use picket_host::config::HostPort;
use picket_host::tls::{Credentials, Expect, channel};
use picket_ledger::checker::{self, Report};
use picket_ledger::client::Ack;
use picket_proto::MESSAGE_BYTES_MAX;
use picket_proto::v1::witness_client::WitnessClient;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;
use tonic::transport::Channel;

/// A running lab cluster. Dropping it kills its machines, and removes its directory if that is a temporary one.
pub struct Cluster {
    spec: ClusterSpec,
    // The order of the fields is that of the end: who looks, then who runs, then the cables, then the files.
    observer: Observer,
    operator: Arc<Credentials>,
    machines: BTreeMap<String, Machine>,
    links: Links,
    net: Net,
    files: Files,
}

/// What is left of a cluster that was ended: nothing runs, the files are there.
pub struct Ended {
    spec: ClusterSpec,
    files: Files,
}

impl Cluster {
    /// Makes the directory, the certificates, the configurations and the cables, and starts all machines. Returns
    /// when their programs are started, not when they serve: wait for that.
    ///
    /// # Errors
    /// The spec is wrong, or something cannot be made or started; then nothing is left.
    pub async fn start(spec: ClusterSpec) -> Result<Self, LabError> {
        spec.check()?;
        let files = Files::make(&spec)?;
        let net = Net::of(&spec.places)?;
        let links = Links::new(spec.seed);
        let operator = Arc::new(files.make_secrets(&spec)?);
        let mut cluster = Self {
            observer: Observer::new(spec.node_names()),
            operator: Arc::clone(&operator),
            machines: BTreeMap::new(),
            links,
            net,
            files,
            spec,
        };
        cluster.start_witness().await?;
        cluster.observer.watch_witness(cluster.net.witness(), Identity::witness(WITNESS_NAME)?, operator);
        // All files before any machine: a peer that is not there yet would only be retried.
        let mut specs = Vec::new();
        for number in 1..=cluster.spec.nodes {
            specs.push(cluster.machine_spec(number).await?);
        }
        for spec in specs {
            cluster.observer.watch_node(spec.name.clone(), control_socket(&spec));
            cluster.power(spec).await?;
        }
        Ok(cluster)
    }

    async fn power(&mut self, spec: MachineSpec) -> Result<(), LabError> {
        let name = spec.name.clone();
        let mut argv: Vec<OsString> =
            self.spec.places.get(&name).into_iter().flat_map(|place| &place.enter).map(Into::into).collect();
        argv.push(self.files.program(Program::LabMachine).into());
        argv.extend(self.words(Program::LabMachine).into_iter().map(OsString::from));
        let launcher = Launcher { program: argv.remove(0).into(), args: argv, env: Vec::new() };
        self.machines.insert(name, Machine::start(&launcher, spec).await?);
        Ok(())
    }

    /// What follows the program's path. A test program does not look at its name, so the words say it.
    fn words(&self, program: Program) -> Vec<String> {
        if self.spec.words.is_empty() {
            return Vec::new();
        }
        let words = self.spec.words.iter().map(String::as_str);
        words.chain([crate::multicall::RUN_AS, program.name()]).map(str::to_owned).collect()
    }

    fn program(&self, name: &str, program: Program, config: &Path) -> ProgramSpec {
        let mut argv = vec![self.files.program(program).display().to_string()];
        argv.extend(self.words(program));
        argv.extend(["--config".to_owned(), config.display().to_string()]);
        let spec = ProgramSpec::new(name, argv);
        self.spec.restart_after_ms.map_or(spec.clone(), |ms| spec.restarted_after_ms(ms))
    }

    fn writer(&self) -> Writer<'_> {
        Writer { spec: &self.spec, files: &self.files, net: &self.net, links: &self.links }
    }

    async fn start_witness(&mut self) -> Result<(), LabError> {
        let config = self.writer().witness()?;
        let program = self.program(WITNESSD, Program::Witness, &config);
        self.power(MachineSpec::new(WITNESS, self.files.machine(WITNESS)).with_program(program)).await
    }

    async fn machine_spec(&self, number: usize) -> Result<MachineSpec, LabError> {
        let name = node_name(number);
        let mut machine = MachineSpec::new(&name, self.files.machine(&name));
        machine.watchdog = WatchdogSpec { after_bite: self.spec.after_bite, ..WatchdogSpec::default() };
        let ledgers = |(_, tag): &(usize, &String)| !self.spec.drivers.contains_key(*tag);
        for (volume, tag) in self.spec.volumes.iter().enumerate().filter(ledgers) {
            let config = self.writer().ledger(number, volume).await?;
            machine = machine.with_program(self.program(&ledger_program(tag), Program::Ledger, &config));
        }
        let config = self.writer().node(number).await?;
        Ok(machine.with_program(self.program(PICKETD, Program::Node, &config)))
    }

    /// What it was made from.
    #[must_use]
    pub const fn spec(&self) -> &ClusterSpec {
        &self.spec
    }

    /// Where its files are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.files.root()
    }

    /// The cables between the machines, which are named as the machines.
    #[must_use]
    pub const fn links(&self) -> &Links {
        &self.links
    }

    /// A machine: a node, or [`WITNESS`].
    ///
    /// # Errors
    /// There is none of that name.
    pub fn machine(&self, name: &str) -> Result<&Machine, LabError> {
        self.machines.get(name).ok_or_else(|| LabError::Nothing(format!("machine {name}")))
    }

    /// The node's daemon, as an operator at that machine reaches it.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn daemon(&self, node: &str) -> Result<Daemon, Fault> {
        Daemon::connect(&self.control_socket(node)).await
    }

    /// The witness, as an operator's program reaches it; connects with the first call.
    ///
    /// # Errors
    /// The operator's certificate is of no use.
    pub fn witness(&self) -> Result<WitnessClient<Channel>, LabError> {
        let address = self.net.witness();
        let address = HostPort { host: address.ip().to_string(), port: address.port() };
        let expect = Expect::Identity(Identity::witness(WITNESS_NAME)?);
        let channel = channel(&self.operator, &address, expect, CONNECT_MAX)?;
        Ok(WitnessClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// The socket of the node's daemon.
    #[must_use]
    pub fn control_socket(&self, node: &str) -> PathBuf {
        control_socket(&MachineSpec::new(node, self.files.machine(node)))
    }

    /// What the observer sees, and its changes.
    #[must_use]
    pub fn view(&self) -> watch::Receiver<View> {
        self.observer.view()
    }

    /// Waits until what the observer sees is as wanted.
    ///
    /// # Errors
    /// It was not within `limit`; says what was seen instead.
    pub async fn wait_for(
        &self,
        what: impl Into<String>,
        limit: Duration,
        wanted: impl FnMut(&View) -> bool,
    ) -> Result<View, LabError> {
        let mut view = self.view();
        match tokio::time::timeout(limit, view.wait_for(wanted)).await {
            Ok(Ok(seen)) => Ok(seen.clone()),
            // The observer lives as long as we do, so only the time can run out.
            Ok(Err(_)) | Err(_) => {
                Err(LabError::NotSeen { what: what.into(), limit, seen: self.view().borrow().to_string() })
            }
        }
    }

    /// Waits until a volume is in service somewhere, and says where.
    ///
    /// # Errors
    /// It was not within `limit`.
    pub async fn wait_in_service(&self, tag: &str, limit: Duration) -> Result<String, LabError> {
        let what = format!("{tag} in service");
        let view = self.wait_for(what, limit, |view| view.in_service(tag).is_some()).await?;
        view.in_service(tag).ok_or_else(|| LabError::Nothing(format!("holder of {tag}")))
    }

    /// Waits until all is well: everybody is there, every volume is in service, every replica in sync.
    ///
    /// # Errors
    /// It was not within `limit`.
    pub async fn wait_healthy(&self, limit: Duration) -> Result<View, LabError> {
        let (tags, nodes) = (self.spec.volumes.clone(), self.spec.nodes);
        self.wait_for("all is well again", limit, |view| {
            view.all_connected() && tags.iter().all(|tag| view.all_in_sync(tag, nodes))
        })
        .await
    }

    /// Where clients of a volume may come, in the order of the nodes.
    ///
    /// # Errors
    /// There is no such volume.
    pub fn servers(&self, tag: &str) -> Result<Vec<SocketAddr>, LabError> {
        let volume = volume_number(&self.spec, tag)?;
        Ok((1..=self.spec.nodes).map(|number| self.net.clients(number, volume)).collect())
    }

    /// Clients that append to a volume without pause, one write at a time each.
    ///
    /// # Errors
    /// There is no such volume, or a journal cannot be written.
    pub fn writers(&self, tag: &str) -> Result<Writers, LabError> {
        let started = Writers::start(&self.servers(tag)?, &self.files.journal(tag), self.spec.client_pace);
        started.map_err(LabError::Client)
    }

    /// Judges a volume now: what was acknowledged must be on `primary`, and no two nodes were active at once. What
    /// is being written meanwhile may be seen by one side only: stop the writers first.
    ///
    /// # Errors
    /// There is no such node or volume, or a file cannot be read.
    pub fn check(&self, tag: &str, primary: &str, acks: &[Ack]) -> Result<Report, LabError> {
        check(&self.spec, &self.files, tag, primary, acks)
    }

    /// Keeps the directory also when it is a temporary one.
    pub fn keep_files(&mut self) {
        self.files.keep();
    }

    /// Powers everything off and waits until every process is gone. The files stay until the result is dropped.
    ///
    /// # Errors
    /// A supervisor's end cannot be waited for; the others are ended all the same.
    pub async fn end(self) -> Result<Ended, LabError> {
        let Self { spec, observer, operator: _, machines, links, net: _, files } = self;
        drop(observer);
        let mut first_error = None;
        for machine in machines.into_values() {
            if let Err(error) = machine.end().await {
                first_error.get_or_insert(error);
            }
        }
        drop(links);
        match first_error {
            None => Ok(Ended { spec, files }),
            Some(error) => Err(error.into()),
        }
    }
}

impl Ended {
    /// Where the files are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.files.root()
    }

    /// As [`Cluster::check`], when nothing runs any more.
    ///
    /// # Errors
    /// There is no such node or volume, or a file cannot be read.
    pub fn check(&self, tag: &str, primary: &str, acks: &[Ack]) -> Result<Report, LabError> {
        check(&self.spec, &self.files, tag, primary, acks)
    }

    /// Removes a temporary directory, and says if that did not work.
    ///
    /// # Errors
    /// Something in it cannot be removed.
    pub fn remove(self) -> Result<(), LabError> {
        self.files.remove()
    }
}

fn volume_number(spec: &ClusterSpec, tag: &str) -> Result<usize, LabError> {
    let number = spec.volumes.iter().position(|volume| volume == tag);
    number.ok_or_else(|| LabError::Nothing(format!("volume {tag}")))
}

fn check(
    spec: &ClusterSpec,
    files: &Files,
    tag: &str,
    primary: &str,
    acks: &[Ack],
) -> Result<Report, LabError> {
    volume_number(spec, tag)?;
    let number = spec.node_names().position(|name| name == primary);
    let number = number.ok_or_else(|| LabError::Nothing(format!("node {primary}")))? + 1;
    let dirs: Vec<PathBuf> = spec
        .node_names()
        .map(|name| MachineSpec::new(&name, files.machine(&name)).state_dir().join(tag))
        .collect();
    Ok(checker::check(&dirs, ledger_node(number), acks)?)
}
