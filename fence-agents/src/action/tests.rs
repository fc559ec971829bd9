//! The verdict, against devices that lie, stall, forget and die. Each false success that agents of
//! today are known for is a script here.

use super::*;
use crate::caller::Caller;
use crate::deadline::Deadline;
use crate::device::{Device, Limits, Outlet};
use crate::input::{InputError, Options};
use crate::registry::DeviceKind;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    On,
    Off,
    Unknown,
    Hang,
}

/// A device that says what the script says; its last step holds for ever.
struct Scripted {
    states: VecDeque<Step>,
    sets: VecDeque<Result<(), DeviceError>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Device for Scripted {
    fn set(&mut self, plug: &str, wanted: Power, _: Limits) -> Result<(), DeviceError> {
        self.asked.lock().unwrap().push(format!("{plug} {wanted}"));
        if self.sets.len() > 1 { self.sets.pop_front().unwrap() } else { self.sets[0].clone() }
    }

    fn state(&mut self, _: &str, _: Limits) -> State {
        let step = if self.states.len() > 1 { self.states.pop_front().unwrap() } else { self.states[0] };
        match step {
            Step::On => State::On,
            Step::Off => State::Off,
            Step::Unknown => State::Unknown("in shutdown".into()),
            Step::Hang => loop {
                std::thread::park();
            },
        }
    }

    fn list(&mut self, _: Limits) -> Result<Vec<Outlet>, DeviceError> {
        Err(DeviceError::Unsupported("list"))
    }

    fn wait(&mut self, _: Duration, until: Deadline) -> Result<(), DeviceError> {
        assert!(until.remaining().is_some(), "these tests have limits");
        std::thread::yield_now();
        Ok(())
    }
}

thread_local! {
    static NEXT: std::cell::RefCell<Option<Scripted>> = const { std::cell::RefCell::new(None) };
}
static REOPENED: AtomicUsize = AtomicUsize::new(0);

fn open(_: &Options) -> Result<Box<dyn Device>, InputError> {
    let device = NEXT.with(|next| next.borrow_mut().take());
    Ok(Box::new(device.unwrap_or_else(|| {
        REOPENED.fetch_add(1, Ordering::Relaxed);
        scripted(&[Step::Hang], &[Ok(())]).0
    })))
}

static KIND: DeviceKind = DeviceKind { name: "scripted", open, ..DeviceKind::BASE };

fn scripted(states: &[Step], sets: &[Result<(), DeviceError>]) -> (Scripted, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::default();
    let device = Scripted {
        states: states.iter().copied().collect(),
        sets: sets.iter().cloned().collect(),
        asked: Arc::clone(&asked),
    };
    (device, asked)
}

struct Outcome {
    exit: Exit,
    words: String,
    asked: Vec<String>,
}

fn run(action: Action, states: &[Step], sets: &[Result<(), DeviceError>], more: &str) -> Outcome {
    let (device, asked) = scripted(states, sets);
    NEXT.with(|next| *next.borrow_mut() = Some(device));
    let text = format!("power_timeout=0.05\nlogin_timeout=0.02\nshell_timeout=0.02\nport=n1\n{more}");
    let options = Options::from_lines(&KIND, &text);
    let (timing, plugs) = (Timing::read(&options, Caller::Anyone).unwrap(), options.plugs().unwrap());
    let mut runner = Runner::new(&KIND, Arc::new(options), timing).unwrap();
    let report = Reporter::local("test");
    let mut out = Vec::new();
    let mut run = Run { runner: &mut runner, powers_on: true, plugs: &plugs, timing, report: &report };
    let exit = match action {
        Action::On => run.on(&mut out),
        Action::Off => run.off(&mut out),
        Action::Reboot => run.reboot(&mut out),
        Action::Status => run.status(&mut out),
        other => panic!("{other:?} is not tested here"),
    };
    let asked = asked.lock().unwrap().clone();
    Outcome { exit: exit.unwrap(), words: String::from_utf8(out).unwrap(), asked }
}

/// For scripts that end well: a busy machine must not make them end by their limits.
const PATIENT: &str = "power_timeout=20\nlogin_timeout=10\nshell_timeout=10";

fn no_answer() -> Result<(), DeviceError> {
    Err(DeviceError::NoAnswer("connection lost".into()))
}

fn refused() -> Result<(), DeviceError> {
    Err(DeviceError::Refused("login refused".into()))
}

use Step::{Hang, Off, On, Unknown};

#[test]
fn off_that_is_seen_is_a_success() {
    let done = run(Action::Off, &[On, On, Off], &[Ok(())], PATIENT);
    assert_eq!((done.exit, done.words.as_str()), (Exit::Success, "Success: Powered OFF\n"));
    assert_eq!(done.asked, ["n1 OFF"]);
}

#[test]
fn already_off_is_a_success_without_asking() {
    let done = run(Action::Off, &[Off], &[Ok(())], PATIENT);
    assert_eq!((done.exit, done.words.as_str()), (Exit::Success, "Success: Already OFF\n"));
    assert!(done.asked.is_empty());
}

#[test]
fn no_success_without_off_being_seen() {
    for (why, states, set) in [
        ("accepts and stays on", &[On][..], Ok(())),
        ("in shutdown", &[Unknown], Ok(())),
        ("on, then unknown", &[On, Unknown], Ok(())),
        ("connection lost", &[On, Unknown], no_answer()),
        ("login refused", &[On], refused()),
        ("cannot at all", &[On], Err(DeviceError::Unsupported("power off"))),
        ("hangs when read", &[On, Hang], Ok(())),
        ("hangs at once", &[Hang], Ok(())),
    ] {
        for action in [Action::Off, Action::Reboot] {
            let done = run(action, states, std::slice::from_ref(&set), "");
            assert_eq!((done.exit, done.words.as_str()), (Exit::Failed, ""), "{action:?}: {why}");
        }
    }
}

#[test]
fn an_off_of_one_of_two_feeds_is_not_off() {
    // The feeds are read in turn: the first is off, the second stays on.
    let states: Vec<Step> = (0..2000).flat_map(|_| [Off, On]).chain([On]).collect();
    let done = run(Action::Off, &states, &[Ok(())], "plug=f1,f2");
    assert_eq!(done.exit, Exit::Failed);
    assert_eq!(done.asked, ["f1 OFF", "f2 OFF"]);
    let done = run(Action::Off, &[On, Off], &[Ok(())], &format!("{PATIENT}\nplug=f1,f2"));
    assert_eq!(done.exit, Exit::Success);
}

#[test]
fn a_lost_order_is_given_again_until_one_arrives() {
    let done = run(Action::Off, &[On, On, On, Off], &[no_answer(), no_answer(), Ok(())], PATIENT);
    assert_eq!(done.exit, Exit::Success);
    assert_eq!(done.asked.len(), 3);
}

#[test]
fn an_order_without_an_answer_counts_if_off_is_seen() {
    let done = run(Action::Off, &[On, Off], &[no_answer()], PATIENT);
    assert_eq!((done.exit, done.words.as_str()), (Exit::Success, "Success: Powered OFF\n"));
}

#[test]
fn reboot_is_off_seen_then_on() {
    let done = run(Action::Reboot, &[On, Off, On], &[Ok(())], PATIENT);
    assert_eq!((done.exit, done.words.as_str()), (Exit::Success, "Success: Rebooted\n"));
    assert_eq!(done.asked, ["n1 OFF", "n1 ON"]);
}

#[test]
fn a_failed_on_does_not_undo_a_reboot() {
    let done = run(Action::Reboot, &[On, Off], &[Ok(()), refused()], PATIENT);
    assert_eq!((done.exit, done.words.as_str()), (Exit::Success, "Success: Rebooted\n"));
}

#[test]
fn cycle_is_also_off_seen_then_on() {
    let done = run(Action::Reboot, &[On], &[Ok(())], "method=cycle");
    assert_eq!(done.exit, Exit::Failed);
    assert_eq!(done.asked, ["n1 OFF"]);
}

#[test]
fn on_is_tried_again_as_often_as_asked() {
    let done = run(Action::On, &[Off], &[Ok(())], "retry_on=2");
    assert_eq!(done.exit, Exit::Failed);
    assert_eq!(done.asked, ["n1 ON"; 3]);
    let done = run(Action::On, &[Off, On], &[Ok(())], PATIENT);
    assert_eq!((done.exit, done.words.as_str()), (Exit::Success, "Success: Powered ON\n"));
}

#[test]
fn status_has_three_answers() {
    for (states, exit, words) in [
        (&[On][..], Exit::Success, "Status: ON\n"),
        (&[Off], Exit::StatusOff, "Status: OFF\n"),
        (&[Unknown], Exit::Failed, ""),
        (&[Hang], Exit::Failed, ""),
    ] {
        let done = run(Action::Status, states, &[Ok(())], "");
        assert_eq!((done.exit, done.words.as_str()), (exit, words), "{states:?}");
    }
    for (states, exit) in [
        ([Off, On], Exit::Success),
        ([On, Off], Exit::Success),
        ([Unknown, On], Exit::Success),
        ([Unknown, Off], Exit::Failed),
        ([Off, Unknown], Exit::Failed),
    ] {
        assert_eq!(run(Action::Status, &states, &[Ok(())], "plug=f1,f2").exit, exit, "{states:?}");
    }
}

#[test]
fn a_hung_device_is_replaced_by_a_fresh_one() {
    let before = REOPENED.load(Ordering::Relaxed);
    assert_eq!(run(Action::Off, &[Hang], &[Ok(())], "").exit, Exit::Failed);
    assert!(REOPENED.load(Ordering::Relaxed) > before);
}

#[test]
fn actions_are_found_by_every_spelling() {
    for action in Action::ALL {
        assert_eq!(Action::parse(action.name()), Some(action));
    }
    assert_eq!(Action::parse("LIST_STATUS"), Some(Action::ListStatus));
    assert_eq!(Action::parse("meta-data"), Some(Action::Metadata));
    assert_eq!(Action::parse("cycle"), None);
    assert_eq!(Action::parse(""), None);
}
