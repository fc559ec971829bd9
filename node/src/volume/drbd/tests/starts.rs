//! Programs of DRBD that take longer than the driver would like, or that must not be killed.

use super::driven::{Driven, LOST, program};
use crate::config::DrbdConfig;
use crate::testing::until;
use crate::time::now;
use crate::volume::drbd::jobs::{SHORT, cut_for_promotion, demote};
use crate::volume::drbd::tool::Tool;
use core::time::Duration;
use picket_core::node::{CommandId, CommandOutcome, VolumeAction};
use picket_core::time::Instant;
use std::fs;

/// `drbdadm` does this, below a directory of its own.
fn tool(script: &str) -> (tempfile::TempDir, Tool) {
    let dir = tempfile::tempdir().unwrap();
    program(&dir, "drbdadm", &script.replace("AT", &dir.path().display().to_string()));
    let (drbdadm, drbdsetup) = (dir.path().join("drbdadm"), dir.path().join("drbdsetup"));
    let run_dir = dir.path().to_owned();
    (dir, Tool::new(DrbdConfig { resource: "r0".to_owned(), run_dir, drbdadm, drbdsetup }))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_promotion_cuts_off_first_may_take_as_long_as_the_promotion_is_valid() {
    let (dir, tool) = tool("while ! [ -e AT/go ]; do sleep 0.05; done\n");
    let began = now();
    let cut = tokio::spawn(async move { cut_for_promotion(&tool, began + Duration::from_secs(60)).await });
    until("a busy machine's time", async || {
        (now() > began + SHORT + Duration::from_millis(500)).then_some(())
    })
    .await;
    fs::write(dir.path().join("go"), "").unwrap();
    assert!(cut.await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_being_started_is_not_killed_by_a_freeze_and_is_cut_after_it() {
    let mut driven = Driven::primary().await;
    driven.kernel(LOST);
    assert_eq!(driven.frozen().await, CommandOutcome::Done);
    fs::write(driven.file("slow"), "").unwrap();
    let thaw = driven.order(VolumeAction::Thaw { valid_until: Instant::NEVER }).await;
    driven.until_asked("connect r0").await;
    let freeze = driven.order(VolumeAction::Freeze).await;
    until("the second cut", async || (driven.cuts() > 1).then_some(())).await;
    fs::remove_file(driven.file("slow")).unwrap();
    driven.until_asked("started").await;
    // Told again while it is not done, as the core does.
    let mut outcome = driven.outcome(freeze).await;
    while matches!(outcome, CommandOutcome::Unknown(_)) {
        outcome = driven.frozen().await;
    }
    assert_eq!(outcome, CommandOutcome::Done);
    let asked = driven.all_asked();
    let last = |what: &str| asked.iter().rposition(|line| line == what);
    assert!(last("disconnect --force r0") > last("started"), "it stays cut: {asked:?}");
    assert_eq!(driven.told_of(thaw), None, "a thaw that was overtaken has no outcome");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demote_that_overtakes_a_promotion_is_refused_only_for_a_while() {
    let script = "echo >>AT/tries; if ! [ -e AT/go ]; then echo 'State change failed: (-18) In transient state' >&2; exit 11; fi\n";
    let (dir, tool) = tool(script);
    let deadline = now() + Duration::from_secs(60);
    let refused = demote(tool.clone(), CommandId(1), deadline, false).await;
    assert!(matches!(refused.ran, Err(CommandOutcome::Failed(_))), "there is no promotion that could end");
    let job = tokio::spawn(demote(tool, CommandId(2), deadline, true));
    let tries = || fs::read_to_string(dir.path().join("tries")).unwrap_or_default().lines().count();
    until("more tries", async || (tries() > 2).then_some(())).await;
    fs::write(dir.path().join("go"), "").unwrap();
    assert!(job.await.unwrap().ran.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_come_one_after_the_other_and_not_for_nobody() {
    let (dir, tool) = tool(
        "echo \"$1\" >>AT/asked; while [ $1 = up ] && ! [ -e AT/go ]; do sleep 0.05; done; echo end >>AT/asked\n",
    );
    let asked = dir.path().join("asked");
    let asked = || fs::read_to_string(&asked).unwrap_or_default();
    let first = tokio::spawn({
        let tool = tool.clone();
        async move { tool.start("up", Instant::NEVER).await }
    });
    until("the first", async || (asked() == "up\n").then_some(())).await;
    let overtaken = tokio::spawn({
        let tool = tool.clone();
        async move { tool.start("adjust", Instant::NEVER).await }
    });
    tokio::task::yield_now().await;
    overtaken.abort();
    assert!(overtaken.await.is_err());
    let late = tokio::spawn({
        let tool = tool.clone();
        async move { tool.start("connect", now()).await }
    });
    assert!(tool.try_still().is_none());
    fs::write(dir.path().join("go"), "").unwrap();
    assert!(first.await.unwrap().is_ok());
    assert!(matches!(late.await.unwrap(), Err(CommandOutcome::Failed(_))), "its time is over");
    assert_eq!(asked(), "up\nend\n");
}

/// A promote that is killed late, as one that sleeps in the kernel: it stops its supervisor, and lets it go on when it was
/// given up and has promoted.
const LATE: &str = "case $1 in
primary) kill -STOP $PPID; echo $PPID >AT/supervisor; until [ -e AT/go ]; do sleep 0.01; done
  echo primary >>AT/done; kill -CONT $PPID; sleep 1000 ;;
secondary) echo secondary >>AT/done ;;
esac
";

async fn given_up(dir: &tempfile::TempDir, tool: &Tool) {
    let promote = tokio::spawn({
        let tool = tool.clone();
        async move { tool.adm(&["primary"], now() + Duration::from_secs(60)).await }
    });
    let supervisor = dir.path().join("supervisor");
    let written = || fs::read_to_string(&supervisor).is_ok_and(|text| text.ends_with('\n'));
    until("the promote", async || written().then_some(())).await;
    promote.abort();
    assert!(promote.await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demote_comes_after_the_end_of_the_promotion_that_it_overtakes() {
    let (dir, tool) = tool(LATE);
    given_up(&dir, &tool).await;
    let demote = tokio::spawn(demote(tool, CommandId(2), now() + Duration::from_secs(60), true));
    // It has the time to be done too early.
    tokio::time::sleep(Duration::from_millis(300)).await;
    fs::write(dir.path().join("go"), "").unwrap();
    assert!(demote.await.unwrap().ran.is_ok());
    assert_eq!(fs::read_to_string(dir.path().join("done")).unwrap(), "primary\nsecondary\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_promotion_that_does_not_end_no_demote_is_done() {
    let (dir, tool) = tool(LATE);
    given_up(&dir, &tool).await;
    let ran = demote(tool, CommandId(2), now() + Duration::from_secs(3), true).await.ran;
    assert!(matches!(&ran, Err(CommandOutcome::Unknown(_))), "{ran:?}");
    let done = fs::read_to_string(dir.path().join("done")).unwrap();
    assert!(done.starts_with("secondary\n"), "it was tried all the same");
    fs::write(dir.path().join("go"), "").unwrap();
}
