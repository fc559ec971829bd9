use super::*;
use core::time::Duration;
use picket_host::logging::EventCode;
use std::fs;
use std::path::Path;
use tokio::time::{sleep, timeout};

/// Far beyond what anything here takes.
const LONG: Duration = Duration::from_secs(30);

/// A program that writes what it is told, each run into a file of its own, and then does more.
fn alert(directory: &Path, events: &[&str], more: &str, timeout: Duration) -> Alert {
    use std::os::unix::fs::PermissionsExt;
    let script = directory.join("alert");
    let told =
        "$PICKET_EVENT_NUMBER $PICKET_LEVEL $PICKET_CLUSTER $PICKET_NODE about=$PICKET_TARGET/$PICKET_VOLUME";
    let text = format!(
        "#!/bin/sh\necho \"{told} $1: $PICKET_TEXT\" >\"{0}/$PICKET_EVENT.$$\"\nmv \"{0}/$PICKET_EVENT.$$\" \"{0}/$PICKET_EVENT.$$.told\"\n{more}\n",
        directory.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let command = vec![script.display().to_string(), "pager".to_owned()];
    Alert { command, events: events.iter().map(|&name| name.to_owned()).collect(), timeout }
}

/// What the alert's program was told, once it was told that often.
async fn told(directory: &Path, count: usize) -> Vec<String> {
    let read = || {
        let entries = fs::read_dir(directory).unwrap().filter_map(Result::ok);
        let told = entries.filter(|entry| entry.path().extension().is_some_and(|it| it == "told"));
        let mut lines: Vec<_> = told.map(|entry| fs::read_to_string(entry.path()).unwrap()).collect();
        lines.sort();
        lines
    };
    let enough = async {
        while read().len() < count {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, enough).await.unwrap_or_else(|_| panic!("not told {count} times: {:?}", read()));
    read()
}

fn event(code: EventCode, text: &str) -> Told {
    Told { node: "n2".to_owned(), volume: "pg".to_owned(), ..Told::new(code, text) }
}

#[tokio::test]
async fn an_alert_is_told_everything_in_its_environment() {
    let directory = tempfile::tempdir().unwrap();
    let (events, writer) = room(Some(alert(directory.path(), &[], "", LONG)), "east", "n1");
    let writer = tokio::spawn(writer.run());
    events.tell(event(event::PATH_RESTORED, "not worth an alert"));
    events.tell(event(event::PEER_SILENT, "COMMUNICATIONS n2 FAILED; $(touch x) `id`"));
    let told = told(directory.path(), 1).await;
    assert_eq!(told, ["1103 ERROR east n1 about=n2/pg pager: COMMUNICATIONS n2 FAILED; $(touch x) `id`\n"]);
    let kept: Vec<_> = events.newest(10).into_iter().map(|told| told.code.number).collect();
    assert_eq!(kept, [event::PATH_RESTORED.number, event::PEER_SILENT.number]);
    drop(events);
    timeout(LONG, writer).await.unwrap().unwrap();
}

#[tokio::test]
async fn listed_events_are_alerted_whatever_their_level_and_no_others() {
    let directory = tempfile::tempdir().unwrap();
    let chosen = alert(directory.path(), &["path-restored"], "", LONG);
    let (events, writer) = room(Some(chosen), "east", "n1");
    let writer = tokio::spawn(writer.run());
    events.tell(event(event::PEER_SILENT, "worse, and not listed"));
    events.tell(event(event::PATH_RESTORED, "listed"));
    let told = told(directory.path(), 1).await;
    assert!(told[0].ends_with("pager: listed\n"), "{told:?}");
    drop(events);
    timeout(LONG, writer).await.unwrap().unwrap();
}

#[tokio::test]
async fn alerts_that_hang_hold_up_nobody_and_are_few() {
    let directory = tempfile::tempdir().unwrap();
    let hanging = alert(directory.path(), &[], "exec sleep 1000", LONG);
    let (events, writer) = room(Some(hanging), "east", "n1");
    let writer = tokio::spawn(writer.run());
    for number in 0..ALERTS_MAX {
        events.tell(event(event::PEER_SILENT, &format!("hangs {number}")));
    }
    told(directory.path(), ALERTS_MAX).await;
    for number in 0..50 {
        events.tell(event(event::PEER_SILENT, &format!("one too many {number}")));
    }
    let written = async {
        while events.newest(KEPT_MAX).len() < ALERTS_MAX + 50 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, written).await.expect("events are written while alerts hang");
    assert_eq!(told(directory.path(), ALERTS_MAX).await.len(), ALERTS_MAX);
    drop(events);
    timeout(LONG, writer).await.expect("the writer waits for no alert").unwrap();
}

#[tokio::test]
async fn an_alert_is_killed_when_its_time_is_over_and_the_next_one_runs() {
    let directory = tempfile::tempdir().unwrap();
    let hanging = alert(directory.path(), &[], "exec sleep 1000", Duration::from_millis(50));
    let (events, writer) = room(Some(hanging), "east", "n1");
    let writer = tokio::spawn(writer.run());
    let again = async {
        for number in 0.. {
            events.tell(event(event::PEER_SILENT, &format!("alert {number}")));
            if fs::read_dir(directory.path()).unwrap().count() > ALERTS_MAX + 2 {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, again).await.expect("places become free");
    drop(events);
    timeout(LONG, writer).await.unwrap().unwrap();
}

#[tokio::test]
async fn events_are_kept_up_to_a_bound() {
    let (events, writer) = room(None, "east", "n1");
    let writer = tokio::spawn(writer.run());
    for number in 0..KEPT_MAX + 5 {
        let told = event(event::PATH_RESTORED, &format!("number {number}"));
        // The room holds a burst; this is more than one.
        while events.into.capacity() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        events.tell(told);
    }
    let kept = events.clone();
    drop(events);
    let all = async {
        while kept
            .newest(usize::MAX)
            .last()
            .is_none_or(|last| last.text != format!("number {}", KEPT_MAX + 4))
        {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(LONG, all).await.expect("all are written");
    let newest = kept.newest(usize::MAX);
    assert_eq!((newest.len(), newest[0].text.as_str()), (KEPT_MAX, "number 5"));
    drop(kept);
    timeout(LONG, writer).await.unwrap().unwrap();
}
