use super::*;
use picket_proto::v1::{Done, Underway};

fn answer(result: outcome::Result) -> Outcome {
    Outcome { result: Some(result) }
}

#[test]
fn each_end_has_its_own_number_and_the_help_names_it() {
    let all = [Exit::Done, Exit::Failed, Exit::Unreachable, Exit::Refused, Exit::Underway, Exit::NotTyped];
    let mut numbers: Vec<u8> = all.iter().map(|exit| exit.code()).collect();
    for number in &numbers {
        assert!(EXIT_HELP.contains(&format!("\n  {number}  ")), "{number} is not in the help");
    }
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), all.len());
    assert!(!numbers.contains(&2), "2 is the command line's");
}

#[test]
fn an_empty_answer_is_not_success() {
    assert_eq!(of_outcome(&Outcome { result: None }).0, Exit::Failed);
}

#[test]
fn outcomes_say_what_happened() {
    let done = answer(outcome::Result::Done(Done { text: "v1 is on n2".into(), effective_in_ms: Some(700) }));
    assert_eq!(of_outcome(&done), (Exit::Done, "v1 is on n2 (takes effect in 700 ms)".into()));
    let refused = Refused { word: "SEEN_ALIVE".into(), text: "n1 is heard by n2".into() };
    let refused = answer(outcome::Result::Refused(refused));
    assert_eq!(of_outcome(&refused), (Exit::Refused, "refused: n1 is heard by n2 [SEEN_ALIVE]".into()));
    let named = Refused { word: "INCOMPLETE".into(), text: "INCOMPLETE".into() };
    assert_eq!(of_outcome(&answer(outcome::Result::Refused(named))).1, "refused: INCOMPLETE");
    let underway = answer(outcome::Result::Underway(Underway { text: "waits for the fence".into() }));
    assert_eq!(of_outcome(&underway).0, Exit::Underway);
}
