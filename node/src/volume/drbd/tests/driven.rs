//! A driver between a core (the test) and a kernel that the test plays: programs that note what they are asked, and a
//! stream that says what the test writes into it. The real kernel is in the VM lane.

use crate::config::DrbdConfig;
use crate::driver::Wake;
use crate::testing::until;
use crate::volume::drbd::Drbd;
use crate::volume::drbd::conf;
use crate::volume::drbd::handler::{Call, Question};
use crate::volume::{About, Gaps, Order, Teller, VolumeDriver};
use core::time::Duration;
use picket_core::ids::{NodeId, NodeSet, VolumeId};
use picket_core::node::{CommandId, CommandOutcome, Input, Recorded, Role, VolumeAction, VolumeReport};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

pub(super) const N2: NodeId = NodeId(2);

pub(super) const UUIDS: &str =
    "F2D2F1A0C6DC7F31:0000000000000000:7C1C2B6E1A2C6A52:0000000000000000:1:1:1:1:0:0:0";

/// The kernel's full state: a Primary whose peer is there.
pub(super) const PRIMARY: &str = "\
exists resource name:r0 role:Primary suspended:no
exists connection name:r0 peer-node-id:2 conn-name:n2 connection:Connected role:Secondary
exists device name:r0 volume:0 minor:0 disk:UpToDate
exists peer-device name:r0 peer-node-id:2 conn-name:n2 volume:0 replication:Established peer-disk:UpToDate
exists -
";

pub(super) const LOST: &str = "\
change resource name:r0 suspended:fencing
change connection name:r0 peer-node-id:2 conn-name:n2 connection:Unconnected role:Unknown
change peer-device name:r0 peer-node-id:2 conn-name:n2 volume:0 replication:Off peer-disk:DUnknown
";

pub(super) const BACK: &str = "\
change connection name:r0 peer-node-id:2 conn-name:n2 connection:Connected role:Secondary
change peer-device name:r0 peer-node-id:2 conn-name:n2 volume:0 replication:Established peer-disk:UpToDate
change resource name:r0 suspended:no
";

pub(super) struct Driven {
    pub dir: tempfile::TempDir,
    orders: mpsc::Sender<Order>,
    told: mpsc::Receiver<Wake>,
    pub record: watch::Sender<Recorded>,
    pub fence: watch::Sender<NodeSet>,
    pub gaps: Gaps,
    pub newest: Option<VolumeReport>,
    pub outcomes: BTreeMap<CommandId, CommandOutcome>,
    commands: u64,
}

impl Driven {
    /// A Primary with its peer, whose first state was told.
    pub(super) async fn primary() -> Self {
        let mut driven = Self::new(PRIMARY);
        driven.sees("the first state", |report| report.role == Role::Primary).await;
        driven
    }

    /// A driver that finds this state.
    pub(super) fn new(state: &str) -> Self {
        Self::with(state, |dump| dump)
    }

    /// And this configuration.
    pub(super) fn with(state: &str, change: impl Fn(String) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("state")).unwrap();
        let at = dir.path().display();
        program(
            &dir,
            "drbdadm",
            &format!(
                "echo \"$*\" >>{at}/asked\ncase $1 in get-gi) cat {at}/uuids ;; dump) cat {at}/dump ;; \
                 status) cat {at}/status ;; up) ! [ -e {at}/half ] ;; \
                 connect) while [ -e {at}/slow ]; do sleep 0.05; done; echo started >>{at}/asked ;; \
                 secondary) if said=$(cat {at}/refused 2>/dev/null); then echo \"$said\" >&2; exit 11; fi ;; esac\n"
            ),
        );
        program(&dir, "drbdsetup", &format!("exec tail -n +1 -F {at}/events\n"));
        fs::write(dir.path().join("uuids"), UUIDS).unwrap();
        fs::write(dir.path().join("dump"), change(dump(&dir))).unwrap();
        fs::write(dir.path().join("events"), state).unwrap();
        Self::start(dir)
    }

    /// The daemon's next start, on what this one leaves.
    pub(super) fn restarted(self) -> Self {
        let Self { dir, orders, .. } = self;
        drop(orders);
        Self::start(dir)
    }

    fn start(dir: tempfile::TempDir) -> Self {
        let config = DrbdConfig {
            resource: "r0".to_owned(),
            run_dir: dir.path().to_owned(),
            drbdadm: dir.path().join("drbdadm"),
            drbdsetup: dir.path().join("drbdsetup"),
        };
        let gaps = Gaps::default();
        let (_, heard) = watch::channel(NodeSet::EMPTY);
        let (record, recorded) = watch::channel(Recorded::default());
        let (fence, fenced) = watch::channel(NodeSet::EMPTY);
        let about = About {
            id: VolumeId(1),
            name: "data".to_owned(),
            me: NodeId(1),
            members: NodeSet::only(NodeId(1)).with(N2),
            names: [(NodeId(1), "n1".to_owned()), (N2, "n2".to_owned())].into(),
            state_dir: dir.path().join("state"),
            heard,
            fenced,
            recorded,
            gaps: gaps.clone(),
            has_barrier: true,
        };
        let (orders, queue) = mpsc::channel(8);
        let (into, told) = mpsc::channel(64);
        tokio::spawn(Box::new(Drbd::new(config, about)).live(queue, Teller::new(VolumeId(1), into)));
        Self { dir, orders, told, record, fence, gaps, newest: None, outcomes: BTreeMap::new(), commands: 0 }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The kernel tells.
    pub(super) fn kernel(&self, lines: &str) {
        let mut file = fs::OpenOptions::new().append(true).open(self.file("events")).unwrap();
        file.write_all(lines.as_bytes()).unwrap();
    }

    /// What `drbdadm` was asked.
    pub(super) fn all_asked(&self) -> Vec<String> {
        let text = fs::read_to_string(self.file("asked")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What it was asked to change. Where no module is loaded, as on this machine perhaps, the resource is brought up.
    pub(super) fn asked(&self) -> Vec<String> {
        let asks = |line: &String| ["get-gi", "dump", "up"].iter().any(|verb| line.starts_with(verb));
        self.all_asked().into_iter().filter(|line| !asks(line)).collect()
    }

    pub(super) fn has_asked(&self, what: &str) -> bool {
        self.all_asked().iter().any(|line| line == what)
    }

    pub(super) async fn order(&mut self, action: VolumeAction) -> CommandId {
        self.commands += 1;
        let command = CommandId(self.commands);
        self.orders.send(Order { command, action }).await.unwrap();
        command
    }

    fn take(&mut self, wake: Wake) {
        let Wake::Input(input) = wake else { return };
        match *input {
            Input::Volume { report, .. } => self.newest = Some(report),
            Input::VolumeDone { command, outcome, .. } => {
                self.outcomes.insert(command, outcome);
            }
            _ => {}
        }
    }

    pub(super) async fn sees(&mut self, what: &str, holds: impl Fn(&VolumeReport) -> bool) -> VolumeReport {
        let seen = async {
            loop {
                if let Some(report) = self.newest.as_ref().filter(|report| holds(report)) {
                    return report.clone();
                }
                let wake = self.told.recv().await.unwrap();
                self.take(wake);
            }
        };
        tokio::time::timeout(Duration::from_secs(60), seen)
            .await
            .unwrap_or_else(|_| panic!("{what}: not reported"))
    }

    pub(super) async fn outcome(&mut self, command: CommandId) -> CommandOutcome {
        // Ends: each order has an outcome.
        loop {
            if let Some(outcome) = self.outcomes.remove(&command) {
                return outcome;
            }
            let wake =
                tokio::time::timeout(Duration::from_secs(60), self.told.recv()).await.unwrap().unwrap();
            self.take(wake);
        }
    }

    /// The kernel runs the handler.
    pub(super) fn handler(&self) -> JoinHandle<u8> {
        let call = Call {
            question: Question::FencePeer,
            resource: "r0".to_owned(),
            peer: Some("n2".to_owned()),
            run_dir: self.dir.path().to_owned(),
            wait: Duration::from_secs(60),
        };
        tokio::task::spawn_blocking(move || call.fence_peer())
    }

    pub(super) async fn until_asked(&self, what: &str) {
        until(what, async || self.has_asked(what).then_some(())).await;
    }
}

pub(super) fn program(dir: &tempfile::TempDir, name: &str, script: &str) {
    let path = dir.path().join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The resource's configuration, as it must be.
fn dump(dir: &tempfile::TempDir) -> String {
    let text = conf::lines("r0", dir.path(), conf::Version::Nine);
    text.replacen("{\n", "{ on n1 { node-id 1; } on n2 { node-id 2; }\n", 1)
}

impl Driven {
    /// A freeze, and how it ended.
    pub(super) async fn frozen(&mut self) -> CommandOutcome {
        let freeze = self.order(VolumeAction::Freeze).await;
        self.outcome(freeze).await
    }

    /// How often the replication was cut.
    pub(super) fn cuts(&self) -> usize {
        self.all_asked().iter().filter(|line| *line == "disconnect --force r0").count()
    }

    /// The outcome of an order, if it has come by now.
    pub(super) fn told_of(&self, command: CommandId) -> Option<&CommandOutcome> {
        self.outcomes.get(&command)
    }
}
