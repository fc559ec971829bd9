//! The driver between a core (the test) and a kernel that the test plays: programs that note what they are asked, and a
//! stream that says what the test writes into it. The real kernel is in the VM lane.

use crate::config::DrbdConfig;
use crate::driver::Wake;
use crate::testing::until;
use crate::time::now;
use crate::volume::drbd::Drbd;
use crate::volume::drbd::conf;
use crate::volume::drbd::handler::{Call, FENCED, OUTDATED, Question, STAY, SUPERSEDED};
use crate::volume::{About, Gaps, Order, Teller, VolumeDriver};
use core::time::Duration;
use picket_core::ids::{Epoch, NodeId, NodeSet, VolumeId};
use picket_core::node::{CommandId, CommandOutcome, Input, Recorded, Role, VolumeAction, VolumeReport};
use picket_core::time::Instant;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

const N2: NodeId = NodeId(2);

const UUIDS: &str = "F2D2F1A0C6DC7F31:0000000000000000:7C1C2B6E1A2C6A52:0000000000000000:1:1:1:1:0:0:0";

/// The kernel's full state: a Primary whose peer is there.
const PRIMARY: &str = "\
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

const BACK: &str = "\
change connection name:r0 peer-node-id:2 conn-name:n2 connection:Connected role:Secondary
change peer-device name:r0 peer-node-id:2 conn-name:n2 volume:0 replication:Established peer-disk:UpToDate
change resource name:r0 suspended:no
";

pub(super) struct Driven {
    pub dir: tempfile::TempDir,
    orders: mpsc::Sender<Order>,
    told: mpsc::Receiver<Wake>,
    record: watch::Sender<Recorded>,
    fence: watch::Sender<NodeSet>,
    gaps: Gaps,
    newest: Option<VolumeReport>,
    outcomes: BTreeMap<CommandId, CommandOutcome>,
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
    fn new(state: &str) -> Self {
        Self::with(state, |dump| dump)
    }

    /// And this configuration.
    fn with(state: &str, change: impl Fn(String) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
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
    fn asked(&self) -> Vec<String> {
        let asks = |line: &String| ["get-gi", "dump", "up"].iter().any(|verb| line.starts_with(verb));
        self.all_asked().into_iter().filter(|line| !asks(line)).collect()
    }

    fn has_asked(&self, what: &str) -> bool {
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

    async fn sees(&mut self, what: &str, holds: impl Fn(&VolumeReport) -> bool) -> VolumeReport {
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
    fn handler(&self) -> JoinHandle<u8> {
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

fn both() -> NodeSet {
    NodeSet::only(N2)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_found_requires_everybody() {
    let mut driven = Driven::new(PRIMARY);
    let report = driven.sees("the first state", |report| report.role == Role::Primary).await;
    assert_eq!((report.required, report.connected, report.complete_peers), (both(), both(), both()));
    assert!(report.lost.is_empty() && report.complete && !report.frozen);
    assert_eq!(report.generation.current.0, 0xF2D2_F1A0_C6DC_7F30);
    let drop_peer = driven.order(VolumeAction::DropPeer { peer: N2 }).await;
    driven.until_asked("disconnect --force r0").await;
    driven.until_asked("resume-io r0").await;
    driven.kernel(LOST);
    driven.kernel("change resource name:r0 suspended:no\n");
    assert_eq!(driven.outcome(drop_peer).await, CommandOutcome::Done);
    assert_eq!(driven.handler().await.unwrap(), OUTDATED, "its removal is recorded");
    driven.until_asked("connect r0").await;
    assert!(driven.newest.unwrap().required.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_waits_for_the_removal_and_for_nothing_else() {
    let mut driven = Driven::primary().await;
    driven.kernel(LOST);
    let handler = driven.handler();
    let report = driven.sees("the loss", |report| report.lost == both()).await;
    assert_eq!((report.role, report.required), (Role::Primary, both()));
    let require = driven.order(VolumeAction::RequirePeer { peer: N2 }).await;
    assert!(matches!(driven.outcome(require).await, CommandOutcome::Failed(_)), "a lost peer");
    assert!(!handler.is_finished(), "nothing is recorded yet");
    assert!(!driven.has_asked("resume-io r0"), "nothing is recorded yet");
    let drop_peer = driven.order(VolumeAction::DropPeer { peer: N2 }).await;
    driven.until_asked("resume-io r0").await;
    driven.kernel("change resource name:r0 suspended:no\n");
    assert_eq!(driven.outcome(drop_peer).await, CommandOutcome::Done);
    assert_eq!(handler.await.unwrap(), OUTDATED);
    assert_eq!(driven.handler().await.unwrap(), OUTDATED, "asked again: recorded is recorded");
    // It comes back, is required again, and is waited for again.
    driven.kernel(BACK);
    driven.sees("the return", |report| report.complete_peers == both()).await;
    let require = driven.order(VolumeAction::RequirePeer { peer: N2 }).await;
    assert_eq!(driven.outcome(require).await, CommandOutcome::Done);
    driven.kernel(LOST);
    let handler = driven.handler();
    driven.sees("the second loss", |report| report.lost == both()).await;
    assert!(!handler.is_finished());
    driven.kernel(BACK);
    assert_eq!(handler.await.unwrap(), STAY, "the peer is back: the kernel goes on by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_handler_the_suspension_is_lifted_after_the_record() {
    let mut driven = Driven::primary().await;
    driven.kernel(LOST);
    driven.sees("the loss", |report| report.lost == both()).await;
    assert!(driven.asked().is_empty(), "{:?}", driven.asked());
    let drop_peer = driven.order(VolumeAction::DropPeer { peer: N2 }).await;
    driven.until_asked("resume-io r0").await;
    driven.kernel("change resource name:r0 suspended:no\n");
    assert_eq!(driven.outcome(drop_peer).await, CommandOutcome::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_with_a_peer_cuts_it_off_and_is_never_lifted_by_resume_io() {
    let mut driven = Driven::primary().await;
    let freeze = driven.order(VolumeAction::Freeze).await;
    driven.until_asked("disconnect --force r0").await;
    driven.kernel(LOST);
    driven.kernel("change connection name:r0 peer-node-id:2 conn-name:n2 connection:StandAlone\n");
    assert_eq!(driven.outcome(freeze).await, CommandOutcome::Done);
    let report = driven.sees("the freeze", |report| report.frozen).await;
    assert!(report.lost.is_empty(), "the peer is kept away, not lost");
    let handler = driven.handler();
    let late = driven.order(VolumeAction::Thaw { valid_until: now() }).await;
    assert!(matches!(driven.outcome(late).await, CommandOutcome::Failed(_)));
    assert!(!driven.has_asked("connect r0"));
    let thaw = driven.order(VolumeAction::Thaw { valid_until: Instant::NEVER }).await;
    driven.until_asked("connect r0").await;
    driven.kernel(BACK);
    assert_eq!(driven.outcome(thaw).await, CommandOutcome::Done);
    assert_eq!(handler.await.unwrap(), STAY);
    driven.sees("the thaw", |report| !report.frozen).await;
    assert!(!driven.has_asked("resume-io r0") && !driven.has_asked("suspend-io r0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_dropped_during_a_freeze_leaves_it_frozen() {
    let mut driven = Driven::primary().await;
    let freeze = driven.order(VolumeAction::Freeze).await;
    driven.until_asked("disconnect --force r0").await;
    driven.kernel(LOST);
    assert_eq!(driven.outcome(freeze).await, CommandOutcome::Done);
    let handler = driven.handler();
    let drop_peer = driven.order(VolumeAction::DropPeer { peer: N2 }).await;
    driven.until_asked("suspend-io r0").await;
    assert!(!handler.is_finished(), "its answer would lift the freeze");
    driven.kernel("change resource name:r0 suspended:user,fencing\n");
    assert_eq!(driven.outcome(drop_peer).await, CommandOutcome::Done);
    assert_eq!(handler.await.unwrap(), OUTDATED);
    driven.kernel("change resource name:r0 suspended:user\n");
    let report = driven.sees("alone and frozen", |report| report.required.is_empty()).await;
    assert!(report.frozen);
    let thaw = driven.order(VolumeAction::Thaw { valid_until: Instant::NEVER }).await;
    driven.until_asked("resume-io r0").await;
    driven.kernel("change resource name:r0 suspended:no\n");
    assert_eq!(driven.outcome(thaw).await, CommandOutcome::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demote_is_done_when_it_is_seen() {
    let mut driven = Driven::primary().await;
    let demote = driven.order(VolumeAction::Demote { deadline: now() + Duration::from_secs(30) }).await;
    driven.until_asked("secondary r0").await;
    assert!(driven.outcomes.is_empty());
    driven.kernel("change resource name:r0 role:Secondary\n");
    assert_eq!(driven.outcome(demote).await, CommandOutcome::Done);
    assert_eq!(driven.handler().await.unwrap(), STAY, "nobody promoted it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demote_that_is_refused_has_failed() {
    let mut driven = Driven::primary().await;
    fs::write(driven.file("refused"), "State change failed: (-2) Need access to UpToDate data\n").unwrap();
    let demote = driven.order(VolumeAction::Demote { deadline: now() + Duration::from_secs(60) }).await;
    let outcome = driven.outcome(demote).await;
    assert!(matches!(&outcome, CommandOutcome::Failed(text) if text.contains("(-2)")), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demote_waits_for_whoever_has_the_device_open() {
    let mut driven = Driven::primary().await;
    fs::write(driven.file("refused"), "State change failed: (-12) Device is held open by someone\n").unwrap();
    let demote = driven.order(VolumeAction::Demote { deadline: now() + Duration::from_secs(60) }).await;
    let tries =
        async || (driven.asked().iter().filter(|line| *line == "secondary r0").count() > 1).then_some(());
    until("a second try", tries).await;
    assert!(driven.outcomes.is_empty());
    fs::remove_file(driven.file("refused")).unwrap();
    driven.kernel("change resource name:r0 role:Secondary\n");
    assert_eq!(driven.outcome(demote).await, CommandOutcome::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn how_far_a_resync_is_stands_in_the_status() {
    let driven = Driven::primary().await;
    let done = async |percent| {
        let seen = async || (driven.gaps.resync(VolumeId(1)) == percent).then_some(());
        until("how far the resync is", seen).await;
    };
    fs::write(driven.file("status"), "r0 role:Primary\n  peer role:Secondary\n    done:41.70\n").unwrap();
    let peer = "change peer-device name:r0 peer-node-id:2 conn-name:n2 volume:0";
    driven.kernel(&format!("{peer} replication:SyncSource peer-disk:Inconsistent\n"));
    done(Some(41)).await;
    driven.kernel(&format!("{peer} done:62.00\n"));
    done(Some(62)).await;
    driven.kernel(&format!("{peer} replication:Established peer-disk:UpToDate\n"));
    done(None).await;
}

/// What a program of the user, or a person, promotes: nobody has settled anything about its peer.
const BY_HAND: &str = "change resource name:r0 role:Primary\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_nobody_promoted_here_requires_everybody() {
    let mut driven = Driven::new(&PRIMARY.replacen("role:Primary", "role:Secondary", 1));
    driven.sees("the first state", |report| report.role == Role::Secondary).await;
    driven.kernel(BY_HAND);
    let report = driven.sees("the promotion", |report| report.role == Role::Primary).await;
    assert_eq!(report.required, both());
    // Also one that was alone before: what was recorded then is over with its demote.
    let drop_peer = driven.order(VolumeAction::DropPeer { peer: N2 }).await;
    driven.until_asked("resume-io r0").await;
    driven.kernel(LOST);
    driven.kernel("change resource name:r0 suspended:no\n");
    assert_eq!(driven.outcome(drop_peer).await, CommandOutcome::Done);
    driven.kernel("change resource name:r0 role:Secondary\n");
    driven.sees("the demote", |report| report.role == Role::Secondary).await;
    driven.kernel(BACK);
    driven.kernel(BY_HAND);
    let report = driven.sees("the second promotion", |report| report.role == Role::Primary).await;
    assert_eq!(report.required, both());
    driven.kernel(LOST);
    let handler = driven.handler();
    driven.sees("the loss", |report| report.lost == both()).await;
    assert!(!handler.is_finished(), "nothing is recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_peer_is_told_as_fenced() {
    let mut driven = Driven::primary().await;
    driven.kernel(LOST);
    let handler = driven.handler();
    driven.sees("the loss", |report| report.lost == both()).await;
    driven.fence.send(both()).unwrap();
    assert!(!handler.is_finished(), "a fence alone is no record");
    let drop_peer = driven.order(VolumeAction::DropPeer { peer: N2 }).await;
    driven.until_asked("resume-io r0").await;
    driven.kernel("change resource name:r0 suspended:no\n");
    assert_eq!(driven.outcome(drop_peer).await, CommandOutcome::Done);
    assert_eq!(handler.await.unwrap(), FENCED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_was_taken_over_outdates_itself() {
    let mut driven = Driven::primary().await;
    let recorded =
        |holder, epoch, current| Recorded { epoch: Epoch(epoch), holder: Some(holder), isr: both(), current };
    driven.record.send(recorded(NodeId(1), 9, true)).unwrap();
    driven.kernel(LOST);
    let handler = driven.handler();
    driven.sees("the loss", |report| report.lost == both()).await;
    driven.record.send(recorded(N2, 8, true)).unwrap();
    driven.record.send(recorded(N2, 10, false)).unwrap();
    assert!(!handler.is_finished(), "of before, or not from the witness of now");
    driven.record.send(recorded(N2, 10, true)).unwrap();
    assert_eq!(handler.await.unwrap(), SUPERSEDED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_without_its_disk_judges_nobody() {
    let mut driven = Driven::primary().await;
    driven.kernel("change device name:r0 volume:0 minor:0 disk:Diskless\n");
    let report = driven.sees("the disk's end", |report| !report.complete).await;
    assert_eq!(report.role, Role::Unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_whose_disk_is_gone_is_lost_although_it_is_connected() {
    let mut driven = Driven::primary().await;
    driven.kernel("change peer-device name:r0 peer-node-id:2 conn-name:n2 volume:0 peer-disk:Diskless\n");
    driven.sees("the loss", |report| report.lost == both()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_is_not_up_is_brought_up_and_never_promoted() {
    let driven = Driven::new("exists -\n");
    driven.until_asked("up r0").await;
    assert!(driven.asked().is_empty(), "{:?}", driven.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_was_brought_up_halfway_is_brought_up_to_the_end() {
    let driven = Driven::new("");
    fs::write(driven.file("half"), "").unwrap();
    driven.kernel("exists -\n");
    driven.until_asked("up r0").await;
    driven.kernel("create resource name:r0 role:Secondary suspended:no\n");
    driven.kernel("create device name:r0 volume:0 minor:0 disk:Diskless\n");
    driven.until_asked("adjust r0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_configuration_would_undo_the_guarantee_is_not_complete() {
    let mut driven = Driven::with(PRIMARY, |dump| dump.replace("protocol C", "protocol A"));
    let report = driven.sees("the first state", |report| report.role == Role::Primary).await;
    assert!(!report.complete);
}
