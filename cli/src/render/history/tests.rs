use super::*;

fn entry(action: &str, permit: u64) -> FenceEntry {
    FenceEntry {
        started_at: "then".to_owned(),
        ended_at: "later".to_owned(),
        target: "n2".to_owned(),
        fencer: "n1".to_owned(),
        permit,
        level: 1,
        device: "1".to_owned(),
        agent: "fence_test".to_owned(),
        outcome: if action == "on" { "ON" } else { "CONFIRMED_OFF" }.to_owned(),
        text: "exited with 0".to_owned(),
        ..FenceEntry::default()
    }
}

#[test]
fn a_power_on_has_no_permit() {
    let lines = lines(&[entry("on", 0), entry("off", 7)], Paint::new(false));
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&lines[1])[4..6], ["-", "1"], "{lines:?}");
    assert_eq!(words(&lines[2])[4..6], ["7", "1"], "{lines:?}");
}

#[test]
fn what_runs_and_what_a_person_did_is_told() {
    let running = FenceEntry { outcome: String::new(), ..entry("off", 7) };
    let asked =
        FenceEntry { manual: true, outcome: String::new(), text: String::new(), ..entry("confirm", 8) };
    let person = FenceEntry { manual: true, text: "confirmed by a person".to_owned(), ..entry("confirm", 8) };
    let told = lines(&[running, asked, person], Paint::new(false));
    assert!(told[1].contains("RUNNING"), "{told:?}");
    assert!(told[2].contains("RUNNING") && told[2].ends_with("a person is asked"), "{told:?}");
    assert!(told[3].contains("CONFIRMED_OFF") && told[3].ends_with("confirmed by a person"), "{told:?}");
    assert_eq!(lines(&[], Paint::new(false)), ["Nothing was fenced."]);
}
