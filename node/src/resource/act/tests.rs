//! Real programs that behave in every bad way.

use super::super::plan::tests::rules_within;
use super::super::tree::{Outcome, Verb};
use super::{Place, act};
use crate::config::{Resource, ResourceKind, Service};
use core::time::Duration;
use picket_host::clock::boottime;
use picket_host::process::Remains;
use std::path::Path;

/// Long enough that only a bug reaches it.
const FAR: Duration = Duration::from_secs(60);
/// Long enough for a shell to do what it does.
const SOON: Duration = Duration::from_millis(700);

fn command(script: &str) -> Resource {
    let argv = vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()];
    let service = Service { start: argv.clone(), stop: argv.clone(), status: argv };
    Resource {
        id: "command".to_owned(),
        kind: ResourceKind::Command(service),
        rules: rules_within(FAR, "app", &[]),
    }
}

/// A volume of two nodes, seen from the first.
pub(in super::super) fn place() -> Place {
    Place { node: "n1".to_owned(), volume: "v1".to_owned(), members: vec!["n1".to_owned(), "n2".to_owned()] }
}

async fn run(script: &str, verb: Verb, timeout: Duration) -> Outcome {
    act(command(script), place(), verb, timeout, core::future::pending(), Remains::default()).await
}

fn text(outcome: Outcome) -> String {
    let Outcome::Failed(text) = outcome else { panic!("{outcome:?}") };
    text
}

#[tokio::test]
async fn exit_codes_mean_what_init_scripts_mean_by_them() {
    for verb in [Verb::Start, Verb::Stop, Verb::Monitor] {
        assert_eq!(run("exit 0", verb, FAR).await, Outcome::Done);
    }
    assert_eq!(run("exit 3", Verb::Monitor, FAR).await, Outcome::NotRunning);
    let told = text(run("echo one >&2; echo two >&2; exit 3", Verb::Start, FAR).await);
    assert_eq!(told, "start exited with 3: two");
    assert_eq!(text(run("echo out; exit 1", Verb::Stop, FAR).await), "stop exited with 1: out");
    assert!(text(run("kill -9 $$", Verb::Stop, FAR).await).contains("signal 9"));
}

#[tokio::test]
async fn a_program_that_is_missing_says_which() {
    let mut resource = command("");
    let ResourceKind::Command(service) = &mut resource.kind else { panic!("a command") };
    service.start = vec!["/nonexistent/start".to_owned()];
    let outcome = act(resource, place(), Verb::Start, FAR, core::future::pending(), Remains::default()).await;
    let Outcome::Unfit(text) = outcome else { panic!("{outcome:?}") };
    assert!(text.contains("/nonexistent/start"), "{text}");
}

#[tokio::test]
async fn programs_are_told_what_they_are_for() {
    let script =
        "echo $PICKET_ACTION $PICKET_RESOURCE $PICKET_VOLUME $PICKET_NODE $PICKET_MEMBERS >&2; exit 1";
    assert_eq!(text(run(script, Verb::Stop, FAR).await), "stop exited with 1: stop app v1 n1 n1 n2");
}

#[tokio::test]
async fn one_that_hangs_forks_and_ignores_signals_is_killed_with_all_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("pids");
    let script = format!(
        "trap '' TERM INT HUP; (setsid sh -c 'trap \"\" TERM; echo $$ >> {0}; sleep 60' &) ; echo $$ >> {0}; \
         while :; do sleep 60; done",
        pids.display()
    );
    let began = boottime();
    let told = text(run(&script, Verb::Start, SOON).await);
    assert!(told.starts_with("start timed out; all of it was killed"), "{told}");
    assert!(boottime() - began < FAR);
    let written = std::fs::read_to_string(&pids).unwrap();
    assert_eq!(written.lines().count(), 2, "{written}");
    for pid in written.lines() {
        assert!(!Path::new("/proc").join(pid).exists(), "{pid} lives");
    }
}

#[tokio::test]
async fn one_that_fills_its_pipes_with_garbage_is_heard_to_its_end() {
    let script = "head -c 3000000 /dev/urandom; head -c 3000000 /dev/urandom >&2; printf '\\nlast\\033[31m word\\n' >&2; exit 1";
    let told = text(run(script, Verb::Monitor, FAR).await);
    assert!(told.starts_with("status exited with 1"), "{told}");
    assert!(told.chars().all(|c| !c.is_control()) && told.chars().count() < 400, "{told}");
}

#[tokio::test]
async fn what_a_start_leaves_behind_stays_and_what_a_look_leaves_behind_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let script = format!("sleep 60 & echo $! > {}", pid.display());
    let read = || std::fs::read_to_string(&pid).unwrap().trim().to_owned();
    assert_eq!(run(&script, Verb::Start, FAR).await, Outcome::Done);
    let service = read();
    assert!(Path::new("/proc").join(&service).exists(), "the service was killed");
    let kill = std::process::Command::new("/bin/sh").args(["-c", &format!("kill {service}")]).status();
    assert!(kill.unwrap().success());
    assert_eq!(run(&script, Verb::Monitor, FAR).await, Outcome::Done);
    assert!(!Path::new("/proc").join(read()).exists());
}

#[tokio::test]
async fn one_that_is_given_up_ends_at_once_and_whole() {
    let began = boottime();
    let given_up = tokio::time::sleep(SOON);
    let outcome = act(command("sleep 60"), place(), Verb::Start, FAR, given_up, Remains::default()).await;
    assert!(text(outcome).starts_with("start timed out; all of it was killed"));
    assert!(boottime() - began < FAR);
}

/// A script that stops its supervisor, so that it is killed late, as one that sleeps in the kernel.
struct KilledLate {
    dir: tempfile::TempDir,
    remains: Remains,
}

impl KilledLate {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), remains: Remains::default() }
    }

    fn supervisor(&self) -> std::path::PathBuf {
        self.dir.path().join("supervisor")
    }

    fn script(&self) -> String {
        format!("kill -STOP $PPID; echo $PPID > {}; sleep 1000", self.supervisor().display())
    }

    async fn run(&self, script: &str, verb: Verb, timeout: Duration) -> Outcome {
        let never = core::future::pending();
        act(command(script), place(), verb, timeout, never, self.remains.clone()).await
    }

    /// Lets its supervisor kill it.
    fn ends(&self) {
        let supervisor = std::fs::read_to_string(self.supervisor()).unwrap();
        let supervisor = rustix::process::Pid::from_raw(supervisor.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(supervisor, rustix::process::Signal::CONT).unwrap();
    }
}

#[tokio::test]
async fn a_stop_counts_for_nothing_while_a_start_that_was_given_up_is_still_there() {
    let late = KilledLate::new();
    assert!(text(late.run(&late.script(), Verb::Start, SOON).await).contains("some of it is still there"));
    assert!(text(late.run("exit 0", Verb::Stop, FAR).await).contains("given up"));
    assert!(matches!(late.run("exit 3", Verb::Monitor, FAR).await, Outcome::Unknown(_)));
    late.ends();
    assert_eq!(late.run("exit 0", Verb::Stop, FAR).await, Outcome::Done);
    assert_eq!(late.run("exit 3", Verb::Monitor, FAR).await, Outcome::NotRunning);
}

#[tokio::test]
async fn a_look_that_is_stuck_makes_no_stop_fail() {
    let late = KilledLate::new();
    assert!(text(late.run(&late.script(), Verb::Monitor, SOON).await).contains("some of it is still there"));
    assert_eq!(late.run("exit 0", Verb::Stop, FAR).await, Outcome::Done);
    assert_eq!(late.run("exit 3", Verb::Monitor, FAR).await, Outcome::NotRunning);
    late.ends();
}
