//! The command `sim`, where it is asked for what there is not: who mistypes a name must not take it that what he meant
//! has passed.

#![allow(clippy::expect_used)] // a test fails by it

use std::process::Command;

/// What it says of its words, which are wrong.
fn refused(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sim")).args(words).output().expect("sim runs");
    assert_eq!(output.status.code(), Some(2), "{words:?}");
    assert!(output.stdout.is_empty(), "{words:?}: it did something");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_aim_or_a_scenario_that_there_is_not_is_an_error() {
    let no_such = "nothing has a name that holds \"no such name\"\n";
    for words in [
        &["aims", "no such name"][..],
        &["aims", "lease", "no such name"],
        &["scenarios", "no such name"],
        &["scenarios", "lease", "no such name"],
        &["replay", "1", "--aim", "no such name"],
    ] {
        assert_eq!(refused(words), no_such, "{words:?}");
    }
}

#[test]
fn words_and_numbers_that_are_not_understood_are_errors_that_name_them() {
    for (words, named) in [
        (&["no-such-command"][..], "no-such-command"),
        (&["--no-such-flag"], "--no-such-flag"),
        (&["replay", "one"], "one"),
        (&["--seeds", "many"], "many"),
        (&["--nodes", "300"], "300"),
        (&["--nodes", "1"], "2..=7"),
        (&["--threads", "0"], "0"),
        (&["replay", "1", "--aim"], "--aim"),
        (&["mutants", "--mutant", "first"], "the number of no known-wrong rule"),
    ] {
        let said = refused(words);
        assert!(said.contains(named), "{words:?}: {said}");
    }
}

#[test]
fn a_known_wrong_rule_that_there_is_not_is_an_error() {
    for words in [
        &["--mutant", "0"][..],
        &["--deep", "--mutant", "0"],
        &["replay", "1", "--mutant", "0"],
        &["aims", "--mutant", "0"],
        &["mutants", "--mutant", "200"],
    ] {
        let said = refused(words);
        assert!(said.contains("known-wrong rule"), "{words:?}: {said}");
    }
}
