//! The program `picket` as operators type it, and what it printed.
#![allow(dead_code)] // not every test looks at everything

use core::time::Duration;
use serde_json::Value;
use std::path::Path;
use std::process::{Output, Stdio};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How long anything may take before a test gives up on it.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_picket");

/// Runs it with what is typed at it.
pub(crate) async fn run(socket: &Path, words: &[&str], typed: &str) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("--socket").arg(socket).args(words).env_remove("PICKET_SOCKET");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // A program that does not ask has ended before it is answered.
    let _ = input.write_all(typed.as_bytes()).await;
    drop(input);
    tokio::time::timeout(LIMIT, child.wait_with_output()).await.expect("it ends").unwrap()
}

/// Standard output, after an exit status was checked.
pub(crate) fn out(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}{errors}");
    text
}

/// The one object of `--json`.
pub(crate) fn json(output: &Output, code: i32) -> Value {
    let text = out(output, code);
    assert_eq!(text.lines().count(), 1, "one object and nothing else: {text}");
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["schema"], 1, "{value}");
    value
}
