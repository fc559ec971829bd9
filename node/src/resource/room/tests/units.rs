//! The room with a unit of a service manager, which a stand-in plays on a real bus.

use super::{Bench, V, demote, parse};
use crate::resource::systemd::tests::standin::{Job, StandIn};
use crate::resource::tree::{Standing, State};
use picket_core::node::{CommandId, CommandOutcome, Input, Role};

const APP: &str = "app.service";

/// Nobody looks while it runs: only the manager tells of a change.
async fn start(standin: &StandIn) -> Bench {
    let tree = format!(
        "[[resource]]\ntag = \"app\"\nvolume = \"data\"\nkind = \"systemd:{APP}\"\nmonitor_interval = \"0s\"\n\
         monitor_timeout = \"500ms\"\nstop_timeout = \"700ms\"\n"
    );
    let text = format!("systemd_bus = \"{}\"\n", standin.address);
    let config = tokio::task::spawn_blocking(move || parse(&text, &tree)).await.unwrap();
    let mut bench = Bench::start_with(tempfile::tempdir().unwrap(), &config);
    bench.report(Role::Primary).await;
    assert_eq!(bench.role().await, Role::Primary);
    bench.standing.send_replace(super::Said { standing: Standing::Active, maintenance: false });
    bench.until(|view| view.lines.iter().any(|line| line.state == State::Running)).await;
    bench
}

#[tokio::test]
#[ignore = "needs dbus-daemon; ./tests/run unit runs it"]
async fn one_that_fails_by_itself_is_restarted_because_the_manager_tells_of_it() {
    let standin = StandIn::start(&[APP]).await;
    let mut bench = start(&standin).await;
    let give_up = tokio::time::Instant::now() + core::time::Duration::from_secs(60);
    // What happens before somebody watches is not told.
    while bench.view.borrow().lines[0].failures == 0 {
        assert!(tokio::time::Instant::now() < give_up, "nobody saw it fail");
        standin.becomes(APP, "failed").await;
        let failed = bench.view.wait_for(|view| view.lines[0].failures > 0);
        let _ = tokio::time::timeout(core::time::Duration::from_millis(100), failed).await;
    }
    bench.until(|view| view.lines[0].state == State::Running).await;
    assert_eq!(bench.view.borrow().lines[0].text, "it failed: exit-code");
    assert_eq!(standin.done().last(), Some(&format!("start {APP} replace")));
}

#[tokio::test]
#[ignore = "needs dbus-daemon; ./tests/run unit runs it"]
async fn a_stop_that_hangs_fails_the_demotion() {
    let standin = StandIn::start(&[APP]).await;
    let mut bench = start(&standin).await;
    standin.jobs(APP, Job::Done, Job::Hangs);
    bench.order(5, demote()).await;
    let told = bench.told().await;
    let Input::VolumeDone { volume: V, command: CommandId(5), outcome: CommandOutcome::Failed(text) } = told
    else {
        panic!("{told:?}")
    };
    assert!(text.starts_with("app was not stopped: stop was not over in time"), "{text}");
    assert!(bench.driver.try_recv().is_err(), "the driver was not told to demote");
}

#[tokio::test]
#[ignore = "needs dbus-daemon; ./tests/run unit runs it"]
async fn without_a_bus_it_is_unknown_and_never_out_of_service() {
    let mut standin = StandIn::start(&[APP]).await;
    let mut bench = start(&standin).await;
    standin.end_bus();
    bench.until(|view| view.lines[0].state == State::Unread && !view.lines[0].text.is_empty()).await;
    {
        let view = bench.view.borrow();
        let line = &view.lines[0];
        assert_eq!((line.word(), line.failures, line.halt), ("UNKNOWN", 0, None), "{line:?}");
        let unable = view.unable.clone().unwrap_or_default();
        assert!(unable.starts_with("nobody knows whether app runs there: "), "{unable}");
    }
    // A replica that is Secondary is not shown as such as long as nobody knows.
    bench.report(Role::Secondary).await;
    assert_eq!(bench.role().await, Role::Unknown);
    bench.order(5, demote()).await;
    loop {
        match bench.told().await {
            Input::VolumeDone { command: CommandId(5), outcome: CommandOutcome::Failed(text), .. } => {
                assert!(text.starts_with("app was not stopped: "), "{text}");
                break;
            }
            Input::Volume { report, .. } => assert_ne!(report.role, Role::Secondary),
            other => panic!("{other:?}"),
        }
    }
    assert!(bench.driver.try_recv().is_err(), "the driver was not told to demote");
}
