use super::{Outcome, Until, keep_what_panics, run, run_within};
use crate::target::{Answer, Broken, Target};
use crate::targets;
use core::time::Duration;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Tells a child process of a test that it is one, and where inputs are kept.
const CHILD_KEPT: &str = "PICKET_FUZZ_TEST_KEPT";

/// Good inputs of the planted targets; none of them goes wrong.
fn seeds() -> Vec<Vec<u8>> {
    vec![b"name=a".to_vec(), b"name=b;size=7".to_vec()]
}

/// What every planted target reads: `name=…;size=…`. Goes wrong for the planted text only.
fn read(input: &[u8], planted: &str, wrong: impl FnOnce() -> Result<(), Broken>) -> Result<Answer, Broken> {
    let text = String::from_utf8_lossy(input);
    if text.starts_with("name=") && text.contains(planted) {
        wrong()?;
    }
    Ok(Answer::new("field ".repeat(text.split([';', '=']).count().min(9))))
}

const fn target(name: &'static str, check: fn(&[u8]) -> Result<Answer, Broken>) -> Target {
    Target { name, about: "planted", seeds, words: &["size=", "huge"], check }
}

const HARMLESS: Target = target("harmless", |input| read(input, "huge", || Ok(())));
const WRONG: Target = target("wrong", |input| {
    read(input, "size=huge", || Err(Broken("a size without a number was accepted".to_owned())))
});
const PANICS: Target = target("panics", |input| read(input, "size=huge", || panic!("planted")));
const ENDLESS: Target = target("endless", |input| {
    read(input, "size=huge", || {
        loop {
            std::thread::park();
        }
    })
});

fn fuzz(target: &Target, seed: u64, inputs: u64, kept: &Path) -> Outcome {
    run(target, seed, Until::Inputs(inputs), Path::new("/nowhere"), kept)
}

#[test]
fn a_broken_property_is_found_kept_and_found_again() {
    let kept = tempfile::tempdir().unwrap();
    let outcome = fuzz(&WRONG, 5, 200_000, kept.path());
    let (path, broken) = outcome.broken.expect("the planted fault is found");
    assert_eq!(broken, "a size without a number was accepted");
    let input = std::fs::read(&path).unwrap();
    assert_eq!(super::play(&WRONG, &input).unwrap_err(), broken);
    let again = fuzz(&WRONG, 5, outcome.inputs, kept.path());
    assert_eq!(again.broken.map(|(path, _)| path), Some(path), "the seed and the number repeat the run");
    let before = fuzz(&WRONG, 5, outcome.inputs - 1, kept.path());
    assert_eq!(before.broken, None, "it was the last input that broke it");
}

#[test]
fn a_run_is_a_function_of_its_seed() {
    let kept = tempfile::tempdir().unwrap();
    let answers = |seed| fuzz(&HARMLESS, seed, 5_000, kept.path()).answers;
    assert_eq!(answers(1), answers(1));
    assert_ne!(answers(1), answers(2));
}

/// Not a test of its own: the process that the two tests below start, whose targets end it.
#[test]
fn child_that_is_ended_by_its_target() {
    let Some(kept) = std::env::var_os(CHILD_KEPT).map(PathBuf::from) else { return };
    keep_what_panics(&kept);
    let target = if kept.ends_with("panics") { PANICS } else { ENDLESS };
    let until = Until::Inputs(u64::MAX);
    let _ = run_within(&target, 5, until, Path::new("/nowhere"), &kept, Duration::from_millis(500));
}

/// What the child says, and the input that it kept.
fn ended_by(target: &Target) -> (String, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let kept = directory.path().join(target.name);
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--nocapture", "child_that_is_ended_by_its_target"])
        .env(CHILD_KEPT, &kept)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!child.status.success(), "{}: the child ended well", target.name);
    let files: Vec<_> = std::fs::read_dir(&kept).unwrap().flatten().collect();
    assert_eq!(files.len(), 1, "one input is kept");
    (String::from_utf8_lossy(&child.stderr).into_owned(), std::fs::read(files[0].path()).unwrap())
}

#[test]
fn a_panic_keeps_the_input_and_tells_the_seed() {
    let (said, input) = ended_by(&PANICS);
    assert!(String::from_utf8_lossy(&input).contains("size=huge"));
    assert!(said.contains("panics: panicked; the input is in "), "{said}");
    assert!(said.contains("again: ./tests/run fuzz --target panics --seed 5 --inputs "), "{said}");
}

#[test]
fn an_input_without_end_is_kept() {
    let (said, input) = ended_by(&ENDLESS);
    assert!(String::from_utf8_lossy(&input).contains("size=huge"));
    assert!(said.contains("endless: an input does not come to its end"), "{said}");
}

thread_local! {
    /// A target of the product, and the answer at which the planted fault of [`PLANTED`] sits.
    static PLANT: RefCell<Option<(Target, Answer)>> = const { RefCell::new(None) };
}

/// The product's target with a fault planted in one place of the code that it reaches.
const PLANTED: fn(&[u8]) -> Result<Answer, Broken> = |input| {
    PLANT.with_borrow(|plant| {
        let (target, place) = plant.as_ref().expect("it is set before the run");
        let answer = (target.check)(input)?;
        if answer == *place { Err(Broken("planted".to_owned())) } else { Ok(answer) }
    })
};

/// Inputs after the seeds, for a target of the product. The slowest makes some thousand a second.
const INPUTS: u64 = 1500;

#[test]
fn every_target_leads_beyond_its_seeds_and_a_fault_there_is_found() {
    let kept = tempfile::tempdir().unwrap();
    for target in targets::ALL {
        let own = (target.seeds)().len() as u64;
        let from_seeds = fuzz(target, 3, 0, kept.path());
        let from_mutants = fuzz(target, 3, own + INPUTS, kept.path());
        for outcome in [&from_seeds, &from_mutants] {
            assert_eq!(outcome.broken, None, "{}", target.name);
        }
        let new = from_mutants.answers.keys().find(|answer| !from_seeds.answers.contains_key(answer));
        let Some(new) = new else { panic!("{}: mutants are answered as the seeds are", target.name) };
        PLANT.set(Some((*target, new.clone())));
        let planted = Target { check: PLANTED, ..*target };
        let outcome = fuzz(&planted, 3, own + INPUTS, kept.path());
        assert!(outcome.broken.is_some(), "{}: the fault at {new:?} was not found", target.name);
    }
}
