use super::*;
use std::os::unix::fs::PermissionsExt;

fn spool() -> (tempfile::TempDir, Spool) {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::at(dir.path().join("s"));
    spool.prepare().unwrap();
    (dir, spool)
}

fn audit() -> &'static Path {
    Path::new("/audit")
}

fn recorded() -> Result<(), SpoolError> {
    Ok(())
}

#[test]
fn a_request_lives_as_long_as_somebody_waits() {
    let (_dir, spool) = spool();
    let one = spool.request("n1", audit(), "true").unwrap();
    let two = spool.request("n1", audit(), "true").unwrap();
    assert!(one.is_new() && !two.is_new());
    assert_eq!(one.request(), two.request());
    assert!(!spool.withdraw(one).unwrap(), "another one waits");
    assert_eq!(spool.pending().unwrap(), ["n1"]);
    assert!(spool.withdraw(two).unwrap());
    assert!(spool.pending().unwrap().is_empty());
}

#[test]
fn an_answer_to_a_dead_agents_request_is_worth_nothing_later() {
    let (_dir, spool) = spool();
    let dead = spool.request("n1", audit(), "true").unwrap();
    spool.give(dead.request(), Answer::Confirmed, recorded).unwrap();
    // Dropping without withdrawing is what a kill does.
    let old = dead.request().clone();
    drop(dead);
    let next = spool.request("n1", audit(), "true").unwrap();
    assert!(next.is_new());
    assert_ne!(next.request().id, old.id);
    assert_eq!(spool.answer(next.request()).unwrap(), None);
    assert!(matches!(spool.give(&old, Answer::Confirmed, recorded), Err(SpoolError::Replaced(_))));
    assert_eq!(spool.answer(next.request()).unwrap(), None);
}

#[test]
fn nothing_can_be_answered_that_nobody_waits_for() {
    let (_dir, spool) = spool();
    let pending = spool.request("n1", audit(), "true").unwrap();
    let request = pending.request().clone();
    drop(pending);
    assert!(matches!(spool.look("n1"), Err(SpoolError::NotPending { .. })));
    assert!(matches!(spool.give(&request, Answer::Confirmed, recorded), Err(SpoolError::NotPending { .. })));
}

#[test]
fn an_answer_is_given_once() {
    let (_dir, spool) = spool();
    let pending = spool.request("n1", audit(), "true").unwrap();
    spool.give(pending.request(), Answer::Denied, recorded).unwrap();
    for answer in [Answer::Confirmed, Answer::Denied] {
        assert!(matches!(spool.give(pending.request(), answer, recorded), Err(SpoolError::Answered { .. })));
    }
    assert!(matches!(spool.look("n1"), Err(SpoolError::Answered { .. })));
    assert_eq!(spool.answer(pending.request()).unwrap(), Some(Answer::Denied));
}

#[test]
fn what_cannot_be_recorded_is_not_answered() {
    let (_dir, spool) = spool();
    let pending = spool.request("n1", audit(), "true").unwrap();
    let fails = || Err(SpoolError::BadNode("audit".into()));
    assert!(spool.give(pending.request(), Answer::Confirmed, fails).is_err());
    assert_eq!(spool.answer(pending.request()).unwrap(), None);
}

#[test]
fn a_damaged_answer_is_no_confirmation() {
    let (_dir, spool) = spool();
    let pending = spool.request("n1", audit(), "true").unwrap();
    let path = spool.answer_path(pending.request());
    for text in ["", "confirm", "confirmed?", "yes"] {
        fs::write(&path, text).unwrap();
        assert!(matches!(spool.answer(pending.request()), Err(SpoolError::Damaged(_))), "{text:?}");
    }
}

#[test]
fn a_directory_that_others_can_write_to_is_refused() {
    let (_dir, spool) = spool();
    let _pending = spool.request("n1", audit(), "true").unwrap();
    fs::set_permissions(spool.dir(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(spool.prepare(), Err(SpoolError::Unsafe { .. })));
    assert!(matches!(spool.look("n1"), Err(SpoolError::Unsafe { .. })));
}

#[test]
fn names_that_could_be_something_else_are_refused() {
    for good in ["n1", "n1.example.org", "fe80::1", "a_b-c", &"x".repeat(NODE_BYTES_MAX)] {
        assert!(check_node(good).is_ok(), "{good}");
    }
    for bad in ["", ".", "..", ".lock", "a/b", "a b", "a\nb", "ü", &"x".repeat(NODE_BYTES_MAX + 1)] {
        assert!(check_node(bad).is_err(), "{bad}");
    }
}

#[test]
fn requests_are_read_as_they_are_written_and_never_by_halves() {
    let request = Request::new("n1", Path::new("/var/log/a=b"), "crm_node -p").unwrap();
    let text = request.text();
    assert_eq!(Request::parse(&text), Some(request.clone()));
    assert_eq!(Request::parse(&text[..text.len() - 2]), None);
    assert_eq!(request.challenge.len(), CHALLENGE_LENGTH);
}
