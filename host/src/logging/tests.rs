use super::{Detail, EventCode, Form, Level, Lines, check_codes, emit};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tracing_subscriber::layer::SubscriberExt;

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(form: Form, detail: Detail, act: impl FnOnce()) -> String {
    let memory = Memory::default();
    let (lines, written) = Lines::new(memory.clone(), form, detail);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), act);
    drop(written);
    let bytes = memory.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

const FAILED: EventCode = EventCode::new(1203, "path-failed", Level::Notify);
const CONFIRM: EventCode = EventCode::new(7, "operator-needed", Level::Crit);

#[test]
fn events_carry_their_number_name_and_level() {
    let text = logged(Form::Journal, Detail::Quiet, || {
        emit(&FAILED, "to n2");
        emit(&CONFIRM, "reset n1");
    });
    assert_eq!(text, "<5>NOTIFY [P1203 path-failed] to n2\n<2>CRIT [P0007 operator-needed] reset n1\n");
}

#[test]
fn plain_lines_start_with_the_time() {
    let text = logged(Form::Plain, Detail::Normal, || tracing::warn!(node = "n2", late_ms = 5, "late"));
    let (time, rest) = text.split_once(' ').unwrap();
    assert_eq!(time.len(), "2026-01-31T12:34:56.789Z".len());
    assert_eq!(rest, "WARN late node=\"n2\" late_ms=5\n");
}

#[test]
fn detail_and_origin_decide_what_is_shown() {
    let act = || {
        tracing::debug!("ours in detail");
        tracing::info!("ours");
        tracing::info!(target: "h2", "theirs");
        tracing::warn!(target: "h2", "their warning");
    };
    assert_eq!(logged(Form::Journal, Detail::Quiet, act), "<4>WARN their warning\n");
    assert_eq!(logged(Form::Journal, Detail::Normal, act), "<6>INFO ours\n<4>WARN their warning\n");
    assert_eq!(logged(Form::Journal, Detail::Debug, act).lines().count(), 4);
}

#[test]
fn what_is_not_shown_is_not_put_into_words() {
    struct Costly;
    impl core::fmt::Debug for Costly {
        fn fmt(&self, _: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            panic!("formatted")
        }
    }
    let text = logged(Form::Journal, Detail::Normal, || {
        tracing::debug!(frame = ?Costly, "ours in detail");
        let span = tracing::info_span!(target: "h2", "frame", frame = ?Costly);
        span.in_scope(|| tracing::info!(target: "h2", frame = ?Costly, "theirs"));
        assert!(span.is_disabled());
    });
    assert_eq!(text, "");
}

#[test]
fn a_text_cannot_forge_a_line() {
    let text =
        logged(Form::Journal, Detail::Normal, || emit(&FAILED, "a\n<2>CRIT [P0007 operator-needed] b\r"));
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn codes_that_clash_are_found() {
    assert_eq!(check_codes([&FAILED, &CONFIRM]), Ok(()));
    let clash = EventCode::new(1203, "other", Level::Info);
    let again = EventCode::new(1204, "path-failed", Level::Info);
    let odd = EventCode::new(1205, "Odd Name", Level::Info);
    let faults = check_codes([&FAILED, &clash, &again, &odd]).unwrap_err();
    let expected = "P1203 is both path-failed and other\npath-failed has more than one number\n\
                    \"Odd Name\" is not lower-case words joined by hyphens\n";
    assert_eq!(faults, expected);
}

/// A log that takes nothing until it is let go on.
struct Stuck(std::sync::mpsc::Receiver<()>, Memory);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Once the sender is gone it takes everything.
        let _ = self.0.recv();
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_log_that_is_stuck_holds_up_nobody_and_says_what_was_lost() {
    let (goes_on, go_on) = std::sync::mpsc::channel();
    let memory = Memory::default();
    let (lines, written) = Lines::new(Stuck(go_on, memory.clone()), Form::Journal, Detail::Normal);
    let all = 2 * super::WAITING_MAX;
    tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
        for number in 0..all {
            tracing::info!("line {number}");
        }
        drop(goes_on);
        // The room is emptied by another thread.
        let first = || memory.0.lock().unwrap().len();
        while first() < super::WAITING_MAX * "<6>INFO line 0\n".len() {
            std::thread::yield_now();
        }
        tracing::info!("after it");
    });
    drop(written);
    let text = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
    let lost: usize =
        text.lines().find(|line| line.contains("lost")).unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let kept = text.lines().filter(|line| line.contains("INFO line")).count();
    assert_eq!(lost + kept, all);
    assert!(text.ends_with("<6>INFO after it\n") && text.starts_with("<6>INFO line 0\n"));
}
