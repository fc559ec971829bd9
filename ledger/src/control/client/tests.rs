//! Answers and events of the server overtake each other; what is told only goes forward.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;

use super::{Client, Notice};
use crate::control::wire::Status;
use crate::ids::NodeId;

fn status(revision: u64, complete: bool) -> Value {
    let peer = json!({
        "node": 2, "connected": true, "complete": complete, "behind": 0, "diverged": false, "max_epoch": 1,
    });
    json!({
        "node": 1, "revision": revision, "role": "primary", "epoch": 1, "max_epoch": 1,
        "activity": "writable", "frozen": false, "suspended": [], "superseded_by": null, "required": [],
        "peers": [peer], "upstream": null, "generation": { "current": "1", "history": [] },
        "complete": true, "diverged": false, "last_seq": 0, "committed_seq": 0, "acked": 0,
        "discarded_total": 0, "rejected": {},
    })
}

fn event(revision: u64, complete: bool) -> Value {
    json!({ "type": "event", "schema": 1, "status": status(revision, complete) })
}

fn done(id: u64, revision: u64, complete: bool) -> Value {
    json!({ "type": "done", "schema": 1, "id": id, "status": status(revision, complete) })
}

fn complete(status: &Status) -> bool {
    status.peers.iter().any(|peer| peer.complete)
}

/// Greets with an incomplete peer, answers one `drop_peer` with these lines; gives what was told then,
/// with how much of it was there when the answer came.
async fn told(lines: Vec<Value>) -> (usize, Vec<bool>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control");
    let listener = UnixListener::bind(&path).unwrap();
    let (client, mut notices) = Client::open(path);
    let (read, mut write) = listener.accept().await.unwrap().0.into_split();
    let mut requests = BufReader::new(read).lines();
    requests.next_line().await.unwrap().unwrap();
    write.write_all(format!("{}\n", event(1, false)).as_bytes()).await.unwrap();
    assert!(matches!(notices.next().await.unwrap(), Notice::Connected(status) if !complete(&status)));

    let server = async {
        requests.next_line().await.unwrap().unwrap();
        for line in lines {
            write.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        }
    };
    let (answered, ()) = tokio::join!(client.drop_peer(NodeId(2)), server);
    answered.unwrap();
    let mut seen = Vec::new();
    let mut take = |notice| match notice {
        Notice::Changed(status) => seen.push(complete(&status)),
        other => panic!("{other:?}"),
    };
    let mut at_the_answer = 0;
    while let Some(notice) = notices.try_next() {
        at_the_answer += 1;
        take(notice);
    }
    drop((write, requests));
    while let Some(notice) = notices.next().await.filter(|notice| *notice != Notice::Lost) {
        take(notice);
    }
    (at_the_answer, seen)
}

#[tokio::test]
async fn an_answer_that_was_overtaken_by_an_event_is_no_news() {
    assert_eq!(told(vec![event(3, true), done(2, 2, false)]).await, (1, vec![true]));
}

#[tokio::test]
async fn what_an_answer_says_is_told_before_it_and_once() {
    let lines = vec![done(2, 2, true), event(2, true)];
    assert_eq!(told(lines).await, (1, vec![true]));
}

#[tokio::test]
async fn an_event_that_was_overtaken_by_an_answer_is_no_news() {
    let lines = vec![done(2, 3, true), event(2, false), event(3, true), event(4, false)];
    assert_eq!(told(lines).await.1, vec![true, false]);
}
