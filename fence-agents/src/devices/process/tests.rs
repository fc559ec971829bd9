use super::*;
use crate::deadline::Deadline;
use core::time::Duration;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// A switch that gives these answers, one connection each, and tells what it was asked.
fn switch(answers: &'static [&'static str]) -> (tempfile::TempDir, Switch, Receiver<String>) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    let (tell, asked) = channel();
    thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            tell.send(line).unwrap();
            (&stream).write_all(answer.as_bytes()).unwrap();
        }
    });
    (dir, Switch { socket, plug: Some("n1".into()) }, asked)
}

fn limits() -> Limits {
    let deadline = Deadline::after(Duration::from_secs(10));
    Limits { login: deadline, call: deadline }
}

#[test]
fn nothing_but_the_word_off_is_off() {
    let (_dir, mut switch, _asked) = switch(&[
        "off\n",
        "on 00112233-4455-6677-8899-aabbccddeeff\n",
        "error wrong machine\n",
        "",
        "off",
        "OFF\n",
        "\n",
    ]);
    let states: Vec<State> = (0..8).map(|_| switch.state("n1", limits())).collect();
    assert_eq!(states[0], State::Off);
    assert_eq!(states[1], State::On);
    // The last is asked of a switch that is gone.
    assert!(states[2..].iter().all(|state| matches!(state, State::Unknown(_))), "{states:?}");
}

#[test]
fn every_request_names_the_machine() {
    let (_dir, mut switch, asked) = switch(&["off\n", "off\n", "off\n"]);
    switch.set("n1", Power::Off, limits()).unwrap();
    switch.set("n1", Power::On, limits()).unwrap();
    switch.state("n1", limits());
    assert_eq!(asked.iter().collect::<Vec<_>>(), ["off n1\n", "on n1\n", "status n1\n"]);
}

#[test]
fn a_refusal_is_definite_and_silence_is_not() {
    let (_dir, mut switch, _asked) = switch(&["error this is the switch of n2\n", ""]);
    assert!(matches!(switch.set("n1", Power::Off, limits()), Err(DeviceError::Refused(_))));
    assert!(matches!(switch.set("n1", Power::Off, limits()), Err(DeviceError::NoAnswer(_))));
}

#[test]
fn one_switch_has_one_machine() {
    let options = Options::from_lines(&KIND, "socket_path=/x\nport=n1,n2");
    assert!(open(&options).is_err());
}
