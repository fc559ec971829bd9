//! On real servers: the lane `postgresql` runs these.

use super::super::barrier::enforce;
use super::super::follow::{Verdict, examine, rebuild};
use super::super::names::Names;
use super::super::processes::Finder;
use super::super::server::Server;
use super::super::timeline::Place;
use super::pair::{LIMIT, Pair, client, holder, initdb, insert, is_gone, numbers, streams, until, up, waits};
use super::{A, B, set};
use crate::time::now;
use core::time::Duration;
use picket_core::node::Recorded;
use picket_host::process::{Leftovers, Outcome, run};
use rustix::process::Signal;
use std::sync::Arc;
use tokio::sync::watch;

/// Starts a server as anybody would who knows nothing of picketd.
async fn start_plainly(server: &Server) {
    let conf = &server.conf;
    // As after a boot: the number in it is nobody's.
    server.clear_lock().unwrap();
    let program =
        super::super::files::program(&conf.bin_directory, "pg_ctl", &conf.os_user, &server.directory);
    let options = format!("-c config_file={}", conf.config_file.display());
    let options = format!("{options} -k {} -p {}", conf.socket_directory.display(), conf.port);
    let words = ["start", "-w", "-s", "-t", "60"];
    let program = program.args(words).arg("-D").arg(&conf.data_directory).arg("-l").arg(&conf.log_file);
    let program = program.arg("-o").arg(options).leftovers(Leftovers::Leave);
    let started = run(program, (now() + LIMIT).elapsed()).await;
    assert_eq!(started.outcome, Outcome::Exited { code: 0 }, "{}", started.stderr.text());
}

fn kill(server: &Server) {
    assert!(server.processes.kill(now() + LIMIT).unwrap());
}

async fn is_read_only(server: &Server) {
    let session = up(server).await;
    assert_eq!(session.text("select pg_is_in_recovery()::text").await.unwrap(), "true");
    let refused = client(server).await.batch_execute("insert into writes values (99)").await.unwrap_err();
    assert_eq!(refused.code().map(tokio_postgres::error::SqlState::code), Some("25006"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: the lane postgresql runs it"]
async fn a_granted_server_that_starts_again_by_itself_is_a_replica() {
    let pair = Pair::new().await;
    client(&pair.a).await.batch_execute("insert into writes values (1)").await.unwrap();
    // Whatever ended it, and whoever starts it.
    kill(&pair.a);
    start_plainly(&pair.a).await;
    is_read_only(&pair.a).await;
    assert_eq!(numbers(&pair.a).await, [0, 1]);
    kill(&pair.a);
    // Granted again; then one of its processes is killed, and its postmaster starts all of it anew.
    pair.a.start(None).await.unwrap();
    pair.promote(&pair.a, &[]).await;
    let session = up(&pair.a).await;
    let pid: i32 = session.text("select pg_backend_pid()::text").await.unwrap().parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    until("its session ends", async || session.text("select ''").await.is_err().then_some(())).await;
    is_read_only(&pair.a).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: the lane postgresql runs it"]
async fn a_server_that_is_writable_without_a_grant_acknowledges_nothing() {
    let pair = Pair::new().await;
    kill(&pair.a);
    // As picketd leaves a replica on the disk, and the signal lost.
    pair.a.start(None).await.unwrap();
    up(&pair.a).await;
    kill(&pair.a);
    std::fs::remove_file(pair.a.conf.data_directory.join("standby.signal")).unwrap();
    let conf = &pair.a.conf;
    let options = format!("-c config_file={}", pair.a.directory.conf().display());
    let program =
        super::super::files::program(&conf.bin_directory, "pg_ctl", &conf.os_user, &pair.a.directory);
    pair.a.clear_lock().unwrap();
    let program = program.args(["start", "-w", "-s", "-o", &options, "-D"]).arg(&conf.data_directory);
    let program = program.arg("-l").arg(&conf.log_file).leftovers(Leftovers::Leave);
    run(program, (now() + LIMIT).elapsed()).await;
    let inserting = insert(client(&pair.a).await, 1);
    waits(&pair.a, 1).await;
    assert!(!inserting.is_finished());
    kill(&pair.a);
    assert!(inserting.await.unwrap().is_err(), "never acknowledged");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: the lane postgresql runs it"]
async fn a_required_replica_has_every_acknowledged_commit() {
    let pair = Pair::with_replica().await;
    let probe = enforce(&pair.a, set(&[B])).await.unwrap().expect("a wider barrier is proven");
    probe.acknowledged().await.unwrap();
    client(&pair.a).await.batch_execute("insert into writes values (1)").await.unwrap();
    // The replica stands still: nothing is acknowledged until it goes on.
    pair.b.processes.freeze(now() + LIMIT).unwrap();
    let waiting = insert(client(&pair.a).await, 2);
    waits(&pair.a, 2).await;
    assert!(!waiting.is_finished());
    pair.b.processes.thaw().unwrap();
    waiting.await.unwrap().unwrap();
    // It stands still again, and is taken out of the barrier: what waited for it is acknowledged.
    pair.b.processes.freeze(now() + LIMIT).unwrap();
    let waiting = insert(client(&pair.a).await, 3);
    waits(&pair.a, 3).await;
    assert!(enforce(&pair.a, set(&[])).await.unwrap().is_none(), "a narrower one needs no proof");
    waiting.await.unwrap().unwrap();
    // Back in, it counts only when it has what came meanwhile.
    let probe = enforce(&pair.a, set(&[B])).await.unwrap().unwrap();
    let acknowledged = tokio::spawn(probe.acknowledged());
    let waiting = insert(client(&pair.a).await, 4);
    waits(&pair.a, 4).await;
    assert!(!acknowledged.is_finished(), "it has not flushed what was written without it");
    pair.b.processes.thaw().unwrap();
    acknowledged.await.unwrap().unwrap();
    waiting.await.unwrap().unwrap();
    kill(&pair.a);
    pair.promote(&pair.b, &[]).await;
    assert_eq!(numbers(&pair.b).await, [0, 1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: the lane postgresql runs it"]
async fn a_frozen_server_neither_acknowledges_nor_answers_whatever_its_commits_wait_for() {
    let pair = Pair::new().await;
    let weak = client(&pair.a).await;
    weak.batch_execute("set synchronous_commit = off").await.unwrap();
    assert!(pair.a.processes.freeze(now() + LIMIT).unwrap());
    assert!(pair.a.processes.find().unwrap().are_stopped());
    let writes = insert(weak, 1);
    // It cannot even be reached by who comes now.
    assert!(pair.a.connect().await.is_err());
    assert!(!writes.is_finished());
    pair.a.processes.thaw().unwrap();
    writes.await.unwrap().unwrap();
    // A frozen one is killed, not woken: nothing more is acknowledged.
    let late = client(&pair.a).await;
    pair.a.processes.freeze(now() + LIMIT).unwrap();
    let writes = insert(late, 2);
    assert!(pair.a.stop(now() + LIMIT).await.unwrap());
    assert!(is_gone(&pair.a.processes));
    assert!(writes.await.unwrap().is_err());
    pair.a.start(None).await.unwrap();
    up(&pair.a).await;
    // The first one had not waited for its own disk either; nobody may count on it after a kill.
    assert!(!numbers(&pair.a).await.contains(&2));
}

/// `n1` holds a write that was never acknowledged, and `n2` was promoted without it.
async fn diverged() -> Pair {
    let pair = Pair::with_replica().await;
    enforce(&pair.a, set(&[B])).await.unwrap();
    client(&pair.a).await.batch_execute("insert into writes values (1)").await.unwrap();
    pair.b.processes.freeze(now() + LIMIT).unwrap();
    let lost = insert(client(&pair.a).await, 2);
    waits(&pair.a, 2).await;
    kill(&pair.a);
    assert!(lost.await.unwrap().is_err());
    kill(&pair.b);
    pair.b.start(None).await.unwrap();
    pair.promote(&pair.b, &[]).await;
    client(&pair.b).await.batch_execute("insert into writes values (3); checkpoint").await.unwrap();
    pair
}

async fn judged(server: &Arc<Server>, from: picket_core::ids::NodeId) -> Verdict {
    let session = up(server).await;
    let view = session.view().await.unwrap();
    let mine = Place { timeline: view.control_timeline, lsn: view.lsn };
    examine(server, from, view.system, mine).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: the lane postgresql runs it"]
async fn a_former_primary_is_rewound_and_keeps_what_was_acknowledged() {
    let pair = diverged().await;
    pair.a.start(Some(B)).await.unwrap();
    assert_eq!(judged(&pair.a, B).await, Verdict::Rebuild { from: B, rewind: true });
    assert_eq!(numbers(&pair.a).await, [0, 1, 2], "it still has what nobody was told of");
    // Whom the witness does not name, nobody gives up data for.
    for recorded in [
        Recorded { holder: Some(A), current: true, ..Recorded::default() },
        Recorded { holder: Some(B), current: false, ..Recorded::default() },
        Recorded { holder: None, current: true, ..Recorded::default() },
    ] {
        let (_keep, recorded) = watch::channel(recorded);
        rebuild(&pair.a, &recorded, B, true).await.unwrap_err();
        assert_eq!(numbers(&pair.a).await, [0, 1, 2]);
    }
    rebuild(&pair.a, &holder(B), B, true).await.unwrap();
    assert!(!pair.a.directory.is_marked().unwrap());
    pair.a.start(Some(B)).await.unwrap();
    streams(&pair.a).await;
    until("it caught up", async || (numbers(&pair.a).await == [0, 1, 3]).then_some(())).await;
    // It is as good as before: required, and taken over from.
    enforce(&pair.b, set(&[A])).await.unwrap().unwrap().acknowledged().await.unwrap();
    client(&pair.b).await.batch_execute("insert into writes values (4)").await.unwrap();
    kill(&pair.b);
    pair.promote(&pair.a, &[]).await;
    assert_eq!(numbers(&pair.a).await, [0, 1, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: the lane postgresql runs it"]
async fn what_cannot_be_rewound_is_copied_and_what_is_no_copy_is_left_alone() {
    let pair = diverged().await;
    // Killed in its sleep it cannot be rewound: its log has no clean end. So it is copied.
    rebuild(&pair.a, &holder(B), B, true).await.unwrap();
    pair.a.start(Some(B)).await.unwrap();
    streams(&pair.a).await;
    assert_eq!(numbers(&pair.a).await, [0, 1, 3]);
    // A rebuild that was broken off leaves its mark, and nothing to be started.
    pair.a.directory.set_mark().unwrap();
    kill(&pair.a);
    pair.a.directory.empty().unwrap();
    assert!(pair.a.directory.is_empty().unwrap() && pair.a.directory.is_marked().unwrap());
    pair.a.directory.clear_mark().unwrap();
    // Somebody made a new server there: nobody's copy, so it is not taken for one.
    initdb(&pair.a).await;
    pair.a.start(Some(B)).await.unwrap();
    let verdict = judged(&pair.a, B).await;
    assert!(matches!(&verdict, Verdict::Stuck(why) if why.contains("system identifier")), "{verdict:?}");
    pair.a.directory.empty().expect_err("what is not marked is not emptied");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: the lane postgresql runs it"]
async fn no_process_of_a_server_is_overlooked() {
    let pair = Pair::new().await;
    let client = client(&pair.a).await;
    let found = pair.a.processes.find().unwrap();
    let postmaster = pair.a.postmaster(&found).unwrap();
    let other = Finder::new(&pair.b.conf.data_directory);
    assert!(is_gone(&other), "n2 has none");
    // Stopped first, so that they cannot end by themselves; then their postmaster dies.
    pair.a.processes.freeze(now() + LIMIT).unwrap();
    pair.a.processes.signal(postmaster, Signal::KILL).unwrap();
    until("the postmaster ends", async || {
        let found = pair.a.processes.find().unwrap();
        (!found.roots().any(|root| root.pid == postmaster.pid)).then_some(())
    })
    .await;
    let left = pair.a.processes.find().unwrap();
    assert!(!left.is_empty() && pair.a.postmaster(&left).is_none(), "its backends are left: {left:?}");
    assert!(!pair.a.processes.wait_gone(now() + Duration::from_millis(50)).unwrap());
    kill(&pair.a);
    drop(client);
    assert_eq!(pair.a.written().names, Names::after(Some(Names::BLOCKED), &[].into(), set(&[]), false));
}
