use crate::volume::drbd::door::{self, Asked};
use crate::volume::drbd::handler::{Call, FENCED, OUTDATED, Question, STAY, SUPERSEDED, socket};
use core::time::Duration;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;
use tokio::sync::mpsc;

/// Long enough for a busy machine; where the end of it is what is tested, a short one is given.
const WAIT: Duration = Duration::from_secs(30);

fn call(run_dir: &Path, wait: Duration) -> Call {
    Call {
        question: Question::FencePeer,
        resource: "r0".to_owned(),
        peer: Some("n2".to_owned()),
        run_dir: run_dir.to_owned(),
        wait,
    }
}

/// What the handlers exit with when a daemon says `text` and hangs up.
fn answered(text: &'static [u8]) -> (u8, u8) {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(socket(dir.path(), "r0")).unwrap();
    let daemon = thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0_u8; 64];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream.write_all(text).unwrap();
        }
    });
    let call = call(dir.path(), WAIT);
    let codes = (call.fence_peer(), call.unfence());
    daemon.join().unwrap();
    codes
}

#[test]
fn a_daemons_word_is_the_exit_status() {
    assert_eq!(answered(b"exit 4\n").0, OUTDATED);
    assert_eq!(answered(b"exit 7\n").0, FENCED);
    assert_eq!(answered(b"exit 6\n").0, SUPERSEDED);
    assert_eq!(answered(b"exit 1\n").0, STAY);
    assert_eq!(answered(b"exit 0\n").1, 0);
    assert_eq!(answered(b"exit 1\n").1, 1);
}

#[test]
fn everything_else_keeps_the_volume_suspended() {
    let garbage: [&[u8]; 17] = [
        b"exit 5\n", // the kernel would take the peer for dead, and go on
        b"exit 0\n",
        b"exit 3\n",
        b"exit 255\n",
        b"exit 256\n",
        b"exit -4\n",
        b"exit +4\n",
        b"exit 04\n",
        b"exit 007\n",
        b"exit 4", // cut short: perhaps it was to be 47
        b"exit  4\n",
        b"4\n",
        b"",
        b"\n",
        b"exit 4 \n",
        b"\xff\xfe\n",
        b"a very long line that never ends and has no meaning at all exit 4",
    ];
    for text in garbage {
        assert_eq!(answered(text).0, STAY, "{:?}", String::from_utf8_lossy(text));
    }
}

#[test]
fn a_daemon_that_is_gone_or_hangs_has_no_result() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(call(dir.path(), WAIT).fence_peer(), STAY, "no socket");
    let listener = UnixListener::bind(socket(dir.path(), "r0")).unwrap();
    // It takes the connection and says nothing: the kernel's listen queue is enough for that.
    assert_eq!(call(dir.path(), Duration::from_millis(50)).fence_peer(), STAY, "it hangs");
    drop(listener);
    assert_eq!(call(dir.path(), WAIT).fence_peer(), STAY, "nobody listens at its socket");
    assert_eq!(call(dir.path(), WAIT).unfence(), 0);
}

#[test]
fn a_daemon_that_drips_does_not_hold_the_handler_beyond_its_wait() {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(socket(dir.path(), "r0")).unwrap();
    let daemon = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // One byte, and then nothing until the handler has gone; on a busy machine it has gone already.
        let _ = stream.write_all(b"e");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    });
    assert_eq!(call(dir.path(), Duration::from_millis(50)).fence_peer(), STAY);
    daemon.join().unwrap();
}

#[test]
fn drbds_variables_are_read() {
    let read = |variables: &[(&str, &str)], arguments: &[&str]| {
        let variables: std::collections::BTreeMap<String, String> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let arguments = arguments.iter().map(Into::into);
        Call::read(Question::FencePeer, arguments, |name| variables.get(name).cloned())
    };
    let of_84 = read(&[("DRBD_RESOURCE", "r0"), ("DRBD_PEERS", "n2"), ("DRBD_PEER", "n2")], &[]).unwrap();
    assert_eq!((of_84.resource.as_str(), of_84.peer.as_deref()), ("r0", Some("n2")));
    assert_eq!(of_84.run_dir, Path::new("/run/picket"));
    let nine = [
        ("DRBD_RESOURCE", "r0"),
        ("DRBD_PEER_NODE_ID", "2"),
        ("DRBD_NODE_ID_1", "n1"),
        ("DRBD_NODE_ID_2", "n3"),
    ];
    assert_eq!(read(&nine, &[]).unwrap().peer.as_deref(), Some("n3"));
    let other =
        read(&[("DRBD_RESOURCE", "r0")], &["before-resync-target", "--run-dir", "/run/x", "--wait", "7"])
            .unwrap();
    assert_eq!((other.question, other.peer), (Question::BeforeResyncTarget, None));
    assert_eq!((other.run_dir.as_path(), other.wait), (Path::new("/run/x"), Duration::from_secs(7)));
    assert!(read(&[], &[]).is_err());
    for elsewhere in ["../r0", "r0/../../tmp/r0", "", "r0\n"] {
        assert!(read(&[("DRBD_RESOURCE", elsewhere)], &[]).is_err(), "{elsewhere:?}");
    }
    assert!(read(&[("DRBD_RESOURCE", "r0")], &["--wait"]).is_err());
    assert!(read(&[("DRBD_RESOURCE", "r0")], &["--force"]).is_err());
}

#[test]
fn requests_are_understood_or_refused() {
    let understand = Question::understand;
    assert_eq!(understand("fence-peer n2\n"), Some((Question::FencePeer, Some("n2".to_owned()))));
    assert_eq!(understand("after-resync-target -\n"), Some((Question::AfterResyncTarget, None)));
    for wrong in
        ["", "\n", "fence-peer\n", "fence-peer n2", "fence-peer n2 n3\n", "outdate n2\n", "fence-peer \n"]
    {
        assert_eq!(understand(wrong), None, "{wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_door_passes_questions_on_and_answers_back() {
    let dir = tempfile::tempdir().unwrap();
    let listener = door::open(dir.path(), "r0").unwrap();
    let (into, mut asked) = mpsc::channel::<Asked>(4);
    tokio::spawn(door::serve(listener, into));
    let asking = call(dir.path(), WAIT);
    let answer = tokio::task::spawn_blocking(move || asking.fence_peer());
    let question = asked.recv().await.unwrap();
    assert_eq!((question.question, question.peer.as_deref()), (Question::FencePeer, Some("n2")));
    question.answer.send(OUTDATED).unwrap();
    assert_eq!(answer.await.unwrap(), OUTDATED);
    // A driver that gives the question up.
    let asking = call(dir.path(), WAIT);
    let answer = tokio::task::spawn_blocking(move || asking.fence_peer());
    drop(asked.recv().await.unwrap());
    assert_eq!(answer.await.unwrap(), STAY);
    // A handler that the kernel's side has killed: its question is seen to be void.
    let asking = call(dir.path(), Duration::from_millis(50));
    let answer = tokio::task::spawn_blocking(move || asking.fence_peer());
    let mut question = asked.recv().await.unwrap();
    assert_eq!(answer.await.unwrap(), STAY);
    question.answer.closed().await;
}
