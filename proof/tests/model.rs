//! The command `model`, where it is asked for what there is not.

#![allow(clippy::expect_used)] // a test fails by it

use std::process::{Command, Output};

fn model(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_model")).args(words).output().expect("model runs")
}

#[test]
fn a_family_that_there_is_not_is_an_error() {
    for words in [&["--family", "no such family"][..], &["--deep", "--family", "no such family"]] {
        let output = model(words);
        assert!(!output.status.success(), "{words:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("no family is called so: no such family"), "{words:?}: {text}");
    }
}

#[test]
fn a_known_wrong_rule_that_there_is_not_is_an_error() {
    assert!(!model(&["mutants", "--only", "99"]).status.success());
}
