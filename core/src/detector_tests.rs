use super::*;
use crate::ids::NodeId;
use alloc::vec;

const MINE: Nonce = Nonce(1);
const SENT: Sent = Sent { run: MINE, seq: 100 };
const H: Duration = Duration::from_millis(100);

fn at(ms: u64) -> Instant {
    Instant::BOOT + Duration::from_millis(ms)
}

fn beat(run: u128, seq: u64, echo: Option<u64>) -> Beat {
    Beat {
        from: NodeId(2),
        boot: BootId(run),
        run: Nonce(run),
        seq,
        echo: echo.map(|seq| (MINE, seq)),
        hears: NodeSet::EMPTY,
        holds: vec![],
    }
}

fn heard() -> PeerWatch {
    let mut watch = PeerWatch::new(2);
    watch.beat(at(0), PathId(0), &beat(7, 10, Some(99)), SENT).expect("fresh");
    watch.beat(at(0), PathId(1), &beat(7, 10, Some(99)), SENT).expect("once on each path");
    watch
}

#[test]
fn a_start_that_echoes_nothing_recent_is_not_believed_but_answered() {
    let mut watch = PeerWatch::new(1);
    assert_eq!(watch.beat(at(0), PathId(0), &beat(7, 10, None), SENT), Err(NotFresh::NoEcho));
    assert!(!watch.is_heard(at(0), H));
    assert_eq!(watch.echo(), Some((Nonce(7), 10)), "so that the peer learns that it is heard");
    let old = beat(8, 10, Some(100 - ECHO_WINDOW - 1));
    assert_eq!(watch.beat(at(0), PathId(0), &old, SENT), Err(NotFresh::NoEcho));
    assert!(watch.beat(at(0), PathId(0), &beat(7, 11, Some(100)), SENT).is_ok());
}

#[test]
fn a_replay_is_refused_on_each_path() {
    let mut watch = heard();
    for path in [0, 1] {
        assert_eq!(watch.beat(at(1), PathId(path), &beat(7, 10, Some(99)), SENT), Err(NotFresh::Replayed));
    }
}

#[test]
fn a_replay_of_an_earlier_start_is_refused() {
    let mut watch = heard();
    let later = Sent { seq: 100_000, ..SENT };
    watch.beat(at(50), PathId(0), &beat(8, 1, Some(99_999)), later).expect("a new start with a fresh echo");
    assert_eq!(watch.beat(at(60), PathId(0), &beat(7, 500, Some(99)), later), Err(NotFresh::NoEcho));
    assert_eq!(watch.said().map(|said| said.boot), Some(BootId(8)));
}

#[test]
fn an_old_beat_on_a_slow_path_keeps_the_path_and_not_the_peer() {
    let mut watch = heard();
    watch.beat(at(100), PathId(0), &beat(7, 12, Some(99)), SENT).expect("fresh");
    watch.beat(at(150), PathId(1), &beat(7, 11, Some(99)), SENT).expect("late, and new on its path");
    assert_eq!(watch.heard_at(), Some(at(100)));
    let far = beat(7, 12 + LAG_WINDOW + 5, Some(99));
    watch.beat(at(200), PathId(0), &far, SENT).expect("fresh");
    assert_eq!(watch.beat(at(210), PathId(1), &beat(7, 12, Some(99)), SENT), Err(NotFresh::Replayed));
}

#[test]
fn a_path_dies_alone_and_the_peer_with_its_last_path() {
    let mut watch = heard();
    watch.beat(at(400), PathId(0), &beat(7, 14, Some(99)), SENT).expect("fresh");
    assert_eq!(watch.tick(at(450), H, 4), [Change::Missed(PathId(1), 3)]);
    assert_eq!(watch.tick(at(500), H, 4), [Change::PathDead(PathId(1))]);
    assert!(watch.is_heard(at(899), H * 5));
    assert_eq!(watch.tick(at(900), H, 4), [Change::PathDead(PathId(0)), Change::Silent]);
    assert!(!watch.is_heard(at(900), H * 5));
    let back = watch.beat(at(950), PathId(1), &beat(7, 15, Some(99)), SENT).expect("fresh");
    assert_eq!(back, [Change::PathAlive(PathId(1)), Change::Heard]);
}

#[test]
fn what_comes_on_a_path_that_is_not_configured_is_refused() {
    assert_eq!(heard().beat(at(1), PathId(2), &beat(7, 11, None), SENT), Err(NotFresh::NoSuchPath));
}

#[test]
fn it_wants_to_be_asked_when_the_oldest_living_path_falls_silent() {
    let mut watch = heard();
    watch.beat(at(50), PathId(1), &beat(7, 11, Some(99)), SENT).expect("fresh");
    assert_eq!(watch.deadline(H, 3), Some(at(400)), "path 0, heard at 0");
    watch.tick(at(400), H, 3);
    assert_eq!(watch.deadline(H, 3), Some(at(450)), "path 1");
    watch.tick(at(450), H, 3);
    assert_eq!(watch.deadline(H, 3), None, "nothing is left to fall silent");
}

#[test]
fn a_beat_that_is_late_by_the_window_still_counts_for_its_path() {
    let mut watch = heard();
    let newest = 11 + LAG_WINDOW;
    watch.beat(at(50), PathId(0), &beat(7, newest, Some(99)), SENT).expect("fresh");
    assert!(watch.beat(at(51), PathId(1), &beat(7, 11, Some(99)), SENT).is_ok());
    let mut watch = heard();
    watch.beat(at(50), PathId(0), &beat(7, newest + 1, Some(99)), SENT).expect("fresh");
    assert_eq!(watch.beat(at(51), PathId(1), &beat(7, 11, Some(99)), SENT), Err(NotFresh::Replayed));
}

#[test]
fn a_copy_that_comes_later_on_another_path_does_not_make_the_peer_younger() {
    let mut watch = heard();
    watch.beat(at(100), PathId(0), &beat(7, 11, Some(99)), SENT).expect("fresh");
    watch.beat(at(150), PathId(1), &beat(7, 11, Some(99)), SENT).expect("for its path");
    assert_eq!(watch.heard_at, Some(at(100)));
}

#[test]
fn what_echoes_counts_although_a_later_beat_did_not_yet() {
    let mut watch = PeerWatch::new(2);
    assert_eq!(watch.beat(at(0), PathId(0), &beat(7, 10, None), SENT), Err(NotFresh::NoEcho));
    watch.beat(at(1), PathId(1), &beat(7, 9, Some(100)), SENT).expect("it echoes");
    assert_eq!(watch.heard_at, Some(at(1)));
}

/// A member whose numbers are at their end is a member that is out of order, not the end of whoever hears it.
#[test]
fn numbers_at_their_end_are_compared_like_others() {
    let mut watch = PeerWatch::new(1);
    for seq in [u64::MAX - 1, u64::MAX, u64::MAX - 1] {
        // Whether it counts is of no interest here.
        let _ = watch.beat(at(0), PathId(0), &beat(7, seq, Some(99)), SENT);
    }
}
