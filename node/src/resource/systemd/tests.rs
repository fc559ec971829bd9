//! On a real bus, against a stand-in for the manager: see [`standin`].

use super::super::tree::{Outcome, Verb};
use super::Unit;
use super::inspect::{About, Unseen, inspect};
use core::time::Duration;
use picket_host::clock::boottime;
use standin::{Job, StandIn};
use tokio::sync::mpsc;

pub(crate) mod standin;

/// Long enough that only a bug reaches it.
const FAR: Duration = Duration::from_secs(60);
/// Long enough for a bus to answer.
const SOON: Duration = Duration::from_millis(700);

const APP: &str = "app@1.service";

fn unit(standin: &StandIn) -> Unit {
    Unit { bus: standin.address.clone(), name: APP.to_owned() }
}

async fn run(standin: &StandIn, verb: Verb, within: Duration) -> Outcome {
    unit(standin).run(verb, boottime() + within, core::future::pending()).await
}

fn failed(outcome: Outcome) -> String {
    let Outcome::Failed(text) = outcome else { panic!("{outcome:?}") };
    text
}

#[tokio::test]
#[ignore = "needs dbus-daemon; ./tests/run unit runs it"]
async fn a_unit_is_started_looked_at_and_stopped() {
    let standin = StandIn::start(&[APP]).await;
    assert_eq!(run(&standin, Verb::Monitor, FAR).await, Outcome::NotRunning);
    assert_eq!(run(&standin, Verb::Start, FAR).await, Outcome::Done);
    assert_eq!(run(&standin, Verb::Monitor, FAR).await, Outcome::Done);
    assert_eq!(run(&standin, Verb::Start, FAR).await, Outcome::Done, "it was so before");
    assert_eq!(run(&standin, Verb::Stop, FAR).await, Outcome::Done);
    assert_eq!(run(&standin, Verb::Monitor, FAR).await, Outcome::NotRunning);
    assert_eq!(run(&standin, Verb::Stop, FAR).await, Outcome::Done, "it was so before");
    let (start, stop) = (format!("start {APP} replace"), format!("stop {APP} replace"));
    assert_eq!(standin.done(), [start.as_str(), &start, &stop, &stop]);
}

#[tokio::test]
#[ignore = "needs dbus-daemon; ./tests/run unit runs it"]
async fn on_its_way_is_no_answer() {
    let standin = StandIn::start(&[APP]).await;
    standin.jobs(APP, Job::Underway, Job::Underway);
    for (verb, from, to) in [(Verb::Start, "activating", "active"), (Verb::Stop, "deactivating", "inactive")]
    {
        let of = unit(&standin);
        let asked =
            tokio::spawn(async move { of.run(verb, boottime() + FAR, core::future::pending()).await });
        let give_up = boottime() + FAR;
        while standin.done().is_empty() {
            assert!(boottime() < give_up);
            tokio::task::yield_now().await;
        }
        // The job is over long before the unit is what it should be.
        let look = failed(run(&standin, Verb::Monitor, SOON).await);
        assert_eq!(look, format!("look was not over in time: {from}"));
        assert!(!asked.is_finished());
        standin.becomes(APP, to).await;
        assert_eq!(asked.await.unwrap(), Outcome::Done);
        assert_eq!(standin.take_done().len(), 1);
    }
}

#[tokio::test]
#[ignore = "needs dbus-daemon; ./tests/run unit runs it"]
async fn a_stop_is_done_when_the_unit_is_out_of_service_and_has_no_process() {
    let standin = StandIn::start(&[APP]).await;
    run(&standin, Verb::Start, FAR).await;
    standin.processes(APP, &[4711, 4712]);
    let told = failed(run(&standin, Verb::Stop, FAR).await);
    assert_eq!(told, "stop: it is inactive, and processes of it remain: 4711, 4712");
    let told = failed(run(&standin, Verb::Monitor, FAR).await);
    assert_eq!(told, "it is inactive, and processes of it remain: 4711, 4712");
    standin.processes(APP, &[]);
    assert_eq!(run(&standin, Verb::Stop, FAR).await, Outcome::Done);
    // A stop that hangs is no stop, at its deadline at the latest.
    run(&standin, Verb::Start, FAR).await;
    standin.jobs(APP, Job::Done, Job::Hangs);
    let told = failed(run(&standin, Verb::Stop, SOON).await);
    assert!(told.starts_with("stop was not over in time"), "{told}");
    let given_up = unit(&standin).run(Verb::Stop, boottime() + FAR, tokio::time::sleep(SOON)).await;
    assert!(failed(given_up).starts_with("stop was given up"));
}

#[tokio::test]
#[ignore = "needs dbus-daemon; ./tests/run unit runs it"]
async fn a_unit_that_failed_says_how_and_is_clean_after_its_stop() {
    let standin = StandIn::start(&[APP]).await;
    standin.jobs(APP, Job::Fails, Job::Done);
    let told = failed(run(&standin, Verb::Start, FAR).await);
    assert_eq!(told, "start: it failed: exit-code; the job was failed");
    assert_eq!(failed(run(&standin, Verb::Monitor, FAR).await), "it failed: exit-code");
    assert_eq!(run(&standin, Verb::Stop, FAR).await, Outcome::Done);
    assert_eq!(standin.take_done().last(), Some(&format!("reset {APP}")));
    assert_eq!(run(&standin, Verb::Monitor, FAR).await, Outcome::NotRunning);
}

#[tokio::test]
#[ignore = "needs dbus-daemon; ./tests/run unit runs it"]
async fn a_unit_that_is_missing_or_masked_cannot_run_here_and_need_not_be_stopped() {
    let standin = StandIn::start(&[APP]).await;
    standin.load(APP, "masked");
    assert_eq!(run(&standin, Verb::Start, FAR).await, Outcome::Unfit("start: the unit is masked".to_owned()));
    assert_eq!(run(&standin, Verb::Stop, FAR).await, Outcome::Done);
    let unknown = Unit { name: "none.service".to_owned(), ..unit(&standin) };
    let outcome = unknown.run(Verb::Start, boottime() + FAR, core::future::pending()).await;
    assert_eq!(outcome, Outcome::Unfit("start: Unit none.service not loaded.".to_owned()));
    // Its file went away while it ran: it runs.
    standin.load(APP, "not-found");
    standin.becomes(APP, "active").await;
    assert_eq!(run(&standin, Verb::Monitor, FAR).await, Outcome::Done);
    assert_eq!(run(&standin, Verb::Stop, FAR).await, Outcome::Done);
    assert_eq!(run(&standin, Verb::Monitor, FAR).await, Outcome::NotRunning);
}

#[tokio::test]
#[ignore = "needs dbus-daemon; ./tests/run unit runs it"]
async fn without_a_manager_or_a_bus_nobody_knows() {
    let mut standin = StandIn::start(&[APP]).await;
    run(&standin, Verb::Start, FAR).await;
    standin.end_manager().await;
    let unknown = |outcome: Outcome| {
        let Outcome::Unknown(text) = outcome else { panic!("{outcome:?}") };
        text
    };
    let told = unknown(run(&standin, Verb::Monitor, SOON).await);
    assert!(told.starts_with("look was not over in time: "), "{told}");
    assert!(failed(run(&standin, Verb::Stop, SOON).await).starts_with("stop was not over in time: "));
    // Whoever waits is served when it comes.
    let of = unit(&standin);
    let asked =
        tokio::spawn(async move { of.run(Verb::Stop, boottime() + FAR, core::future::pending()).await });
    standin.start_manager().await;
    assert_eq!(asked.await.unwrap(), Outcome::Done);
    standin.end_bus();
    unknown(run(&standin, Verb::Monitor, SOON).await);
    assert!(failed(run(&standin, Verb::Start, SOON).await).starts_with("start was not over in time: "));
}

#[tokio::test]
#[ignore = "needs dbus-daemon; ./tests/run unit runs it"]
async fn a_change_stirs_whoever_watches_and_so_does_the_end_of_the_bus() {
    let mut standin = StandIn::start(&[APP]).await;
    let (stir, mut stirs) = mpsc::channel(16);
    let watching = tokio::spawn(super::watch(unit(&standin), 7, stir));
    let give_up = boottime() + FAR;
    // It is not told when it watches: until then nothing that happens is seen.
    while stirs.try_recv().is_err() {
        assert!(boottime() < give_up, "nobody watches");
        standin.becomes(APP, "active").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    standin.becomes(APP, "failed").await;
    let mut stirred = async || tokio::time::timeout(FAR, stirs.recv()).await.unwrap();
    assert_eq!(stirred().await, Some(7));
    standin.end_manager().await;
    assert_eq!(stirred().await, Some(7));
    standin.start_manager().await;
    assert_eq!(stirred().await, Some(7));
    standin.end_bus();
    assert_eq!(stirred().await, Some(7));
    drop(stirs);
    tokio::time::timeout(FAR, watching).await.unwrap().unwrap();
}

#[tokio::test]
#[ignore = "needs dbus-daemon; ./tests/run unit runs it"]
async fn a_configuration_is_told_what_the_manager_says() {
    let mut standin = StandIn::start(&[APP]).await;
    standin.unwise(APP);
    let asked = |unit: Unit| tokio::task::spawn_blocking(move || inspect(&unit));
    let about = asked(unit(&standin)).await.unwrap().unwrap();
    let expected = About {
        load: "loaded".to_owned(),
        file_state: "enabled".to_owned(),
        stop_timeout: Some(Duration::from_secs(90)),
        kill_mode: "process".to_owned(),
    };
    assert_eq!(about, expected);
    let unknown = Unit { name: "none.service".to_owned(), ..unit(&standin) };
    let refused = asked(unknown).await.unwrap();
    assert_eq!(refused, Err(Unseen::Refused("Unit none.service not loaded.".to_owned())));
    standin.end_bus();
    assert!(matches!(asked(unit(&standin)).await.unwrap(), Err(Unseen::NoAnswer(_))));
}
