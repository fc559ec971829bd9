//! The loop over a store in memory: one sync for a round, and connections that do not read.

use super::*;
use crate::config::Config;
use core::convert::Infallible;
use picket_core::ids::{NodeId, SessionId};
use picket_core::message::{OperatorAnswer, OperatorRequest};
use picket_host::config::Source;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// Counts what is asked of it.
#[derive(Clone, Debug, Default)]
struct Counting {
    syncs: Arc<AtomicUsize>,
    persisted: Arc<Mutex<Vec<String>>>,
}

impl Store<Key, Record> for Counting {
    type Error = Infallible;

    fn persist(&mut self, key: &Key, _: &Record) -> Result<(), Infallible> {
        self.persisted.lock().unwrap().push(key.clone());
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Infallible> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

fn config() -> Config {
    let cluster = |name: &str| {
        format!(
            "[[cluster]]\nname = \"{name}\"\nnode = [{{ name = \"n1\", id = 1 }}]\n\
             volume = [{{ name = \"pg\", id = 1 }}]\n"
        )
    };
    let text = format!(
        "listen = \"127.0.0.1:0\"\nstate = \"/state\"\ntls = {{ ca = \"/-\", cert = \"/-\", key = \"/-\" }}\n{}{}",
        cluster("east"),
        cluster("west")
    );
    Config::parse(&Source::from_text("test", text)).expect("good")
}

fn driver(store: Counting) -> (Driver<Counting>, Handle) {
    let config = config();
    let clusters =
        config.clusters.iter().map(|cluster| Loaded { cluster: cluster.clone(), record: None }).collect();
    Driver::new(&config, clusters, store, StoreId(1))
}

fn connection(link: u64, room: usize) -> (Connection, mpsc::Receiver<Outgoing>, oneshot::Receiver<()>) {
    let (outbox, outgoing) = mpsc::channel(room);
    let (alive, ended) = oneshot::channel();
    let connection = Connection {
        link: LinkId(link),
        cluster: ClusterIndex(0),
        node: NodeId(1),
        address: "127.0.0.1:1".parse().expect("an address"),
        version: String::new(),
        outbox,
        alive,
    };
    (connection, outgoing, ended)
}

async fn maintain(handle: &Handle, cluster: usize) -> oneshot::Receiver<OperatorAnswer> {
    let (answer, answered) = oneshot::channel();
    let person = Person {
        name: "ann".into(),
        address: "127.0.0.1:1".parse().expect("an address"),
        reason: String::new(),
    };
    let request = OperatorRequest::Maintenance { node: NodeId(1), length: Duration::from_secs(60) };
    let cluster = ClusterIndex(cluster);
    handle.tell(Command::Operator { cluster, person, request, answer }).await.expect("there is room");
    answered
}

#[tokio::test]
async fn one_sync_serves_a_round() {
    let store = Counting::default();
    let (driver, handle) = driver(store.clone());
    let answers = [maintain(&handle, 0).await, maintain(&handle, 1).await];
    handle.tell(Command::Stop).await.expect("there is room");
    driver.run().await.expect("a clean end");
    for answer in answers {
        assert_eq!(answer.await, Ok(OperatorAnswer::Done));
    }
    // One for the new store's first records, one for both requests.
    assert_eq!(store.syncs.load(Ordering::SeqCst), 2);
    assert_eq!(*store.persisted.lock().unwrap(), ["east", "west", "east", "west"]);
}

#[tokio::test]
async fn a_connection_that_does_not_read_is_ended() {
    let (driver, handle) = driver(Counting::default());
    let (connection, mut outgoing, ended) = connection(1, 1);
    handle.tell(Command::Connect(connection)).await.expect("there is room");
    // The challenge fills its room; what the next two messages are answered with has none.
    for request in 1..=2 {
        let message = picket_core::message::ToWitness {
            session: SessionId(1),
            request: picket_core::ids::RequestId(request),
            seen: picket_core::message::Seen::default(),
            body: picket_core::message::Request::DeclareFailed,
        };
        let (link, cluster, node) = (LinkId(1), ClusterIndex(0), NodeId(1));
        let message = Box::new(message);
        handle.tell(Command::Message { link, cluster, node, message }).await.expect("there is room");
    }
    handle.tell(Command::Stop).await.expect("there is room");
    driver.run().await.expect("a clean end");
    assert!(ended.await.is_err(), "the reader is told");
    assert!(outgoing.recv().await.is_some(), "the challenge");
    assert!(outgoing.recv().await.is_none(), "and the end");
}

#[tokio::test]
async fn a_replaced_connection_is_heard_no_more() {
    let (driver, handle) = driver(Counting::default());
    let (first, mut to_first, first_ended) = connection(1, 16);
    let (second, mut to_second, _second_alive) = connection(2, 16);
    handle.tell(Command::Connect(first)).await.expect("there is room");
    handle.tell(Command::Connect(second)).await.expect("there is room");
    // The end of the first must not be taken for an end of the second.
    let (link, cluster, node, why) = (LinkId(1), ClusterIndex(0), NodeId(1), String::from("test"));
    handle.tell(Command::Gone { link, cluster, node, why }).await.expect("there is room");
    let (answer, status) = oneshot::channel();
    handle.tell(Command::Status { cluster: ClusterIndex(0), answer }).await.expect("there is room");
    let running = tokio::spawn(driver.run());
    let status = status.await.expect("a status");
    assert!(status.nodes[0].connected);
    assert!(first_ended.await.is_err());
    assert!(to_first.recv().await.is_some() && to_first.recv().await.is_none());
    assert!(to_second.recv().await.is_some());
    assert!(to_second.try_recv().is_err(), "it is still open and has nothing more to read");
    handle.tell(Command::Stop).await.expect("there is room");
    running.await.expect("no panic").expect("a clean end");
}

/// A member that claims to have seen a number that nobody can have counted to is told so and heard no more; the record
/// is not touched.
#[tokio::test]
async fn a_claim_that_cannot_be_true_ends_the_connection() {
    let (driver, handle) = driver(Counting::default());
    let (connection, mut outgoing, ended) = connection(1, 16);
    handle.tell(Command::Connect(connection)).await.expect("there is room");
    let commit = picket_core::ids::CommitIndex(crate::claims::CLAIM_MAX + 1);
    let message = Box::new(picket_core::message::ToWitness {
        session: SessionId(1),
        request: picket_core::ids::RequestId(1),
        seen: picket_core::message::Seen { store: StoreId(1), commit },
        body: picket_core::message::Request::DeclareFailed,
    });
    let (link, cluster, node) = (LinkId(1), ClusterIndex(0), NodeId(1));
    handle.tell(Command::Message { link, cluster, node, message }).await.expect("there is room");
    let (answer, status) = oneshot::channel();
    handle.tell(Command::Status { cluster, answer }).await.expect("there is room");
    handle.tell(Command::Stop).await.expect("there is room");
    driver.run().await.expect("a clean end");
    assert!(!status.await.expect("a status").nodes[0].connected);
    assert!(ended.await.is_err(), "the reader is told");
    assert!(matches!(outgoing.recv().await, Some(Ok(_))), "the challenge");
    let why = outgoing.recv().await.expect("the reason").expect_err("a refusal");
    assert!(why.message().contains("nobody can have counted"), "{why}");
    assert!(outgoing.recv().await.is_none(), "and the end");
}

#[test]
fn an_alarm_that_is_early_stays_unless_it_would_soon_wake_the_loop_for_nothing() {
    let now = boottime();
    let due = now + Duration::from_secs(3600);
    assert!(is_early(now + Duration::from_secs(60), due), "that costs less than setting it anew");
    assert!(!is_early(now + SOON, due), "it is about to come for nothing");
    assert!(is_early(now, now), "it is due");
    assert!(!is_early(due, now + Duration::from_secs(60)), "it would come too late");
}
