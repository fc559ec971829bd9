use super::Answer;

#[test]
fn an_answer_is_the_same_wherever_the_damage_is() {
    let same = [
        (
            "bad header: checksum 0baca; 7bcc is written there",
            "bad header: checksum beef; 0 is written there",
        ),
        ("not key=value: \"a\\\"b\" at 12", "not key=value: \"\" at 7"),
        ("12 fields", "3 fields"),
    ];
    for (one, other) in same {
        assert_eq!(Answer::new(one), Answer::new(other));
    }
}

#[test]
fn different_words_are_different_answers() {
    let all = ["unknown key \"a\"", "unknown value \"a\"", "unknown key \"a\" twice", "unknown"];
    let answers: std::collections::BTreeSet<_> = all.map(Answer::new).into();
    assert_eq!(answers.len(), all.len());
    assert_eq!(Answer::new("unknown key \"a\"").words(), "unknown key \"");
}
