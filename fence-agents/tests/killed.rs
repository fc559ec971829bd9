//! The real program, killed in the middle: it claims nothing, and what it started ends with it.

use picket_fence::deadline::Deadline;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn until(what: &str, holds: impl Fn() -> bool) {
    let limit = Deadline::after(Duration::from_secs(20));
    while !holds() {
        assert!(!limit.is_past(), "still waiting: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn an_agent_that_is_killed_says_nothing_and_leaves_nothing_running() {
    let dir = tempfile::tempdir().unwrap();
    let (xl, pid_file) = (dir.path().join("xl"), dir.path().join("pid"));
    let script =
        format!("#!/bin/sh\necho $$ > {0}.new; mv {0}.new {0}; exec sleep 1000\n", pid_file.display());
    fs::write(&xl, script).unwrap();
    fs::set_permissions(&xl, Permissions::from_mode(0o755)).unwrap();
    let mut agent = Command::new(env!("CARGO_BIN_EXE_picket-fence"))
        .arg("xen")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .env("PCMK_service", "pacemaker-fenced")
        .spawn()
        .unwrap();
    let text = format!("action=off\nplug=vm1\nxl_path={}\n", xl.display());
    agent.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    until("xl runs", || pid_file.exists());

    let limits = fs::read_to_string(format!("/proc/{}/limits", agent.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");

    agent.kill().unwrap();
    let status = agent.wait().unwrap();
    let mut said = String::new();
    agent.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(status.code().is_none() && said.is_empty(), "{status}: {said}");
    let pid = fs::read_to_string(&pid_file).unwrap();
    until("xl ends", || !Path::new("/proc").join(pid.trim()).exists());
}
