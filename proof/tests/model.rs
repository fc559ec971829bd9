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
    for words in [&["mutants", "--only", "99"][..], &["tell", "--family", "lease", "--only", "99"]] {
        let output = model(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("known-wrong rule"), "{words:?}: {text}");
    }
}

#[test]
fn words_and_numbers_that_are_not_understood_are_errors_that_name_them() {
    for (words, named) in [
        (&["--stats", "5"][..], "--stats"),
        (&["--states", "many"], "many"),
        (&["--threads", "0"], "0"),
        (&["--deep", "--minutes", "ten"], "ten"),
        (&["explore"], "explore"),
        (&["mutants", "--only", "1000"], "1000"),
        (&["tell"], "--family"),
        (&["tell", "--family", "lease", "--at", "now"], "now: expected milliseconds"),
    ] {
        let output = model(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.stdout.is_empty() && text.contains(named), "{words:?}: {text}");
    }
}
