//! A replica that is left out while it is getting in step, message by message, with nothing written.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::sync::{mpsc, oneshot};

use super::{Answer, ConnId, Engine, Event, LINK_QUEUE, SUBSCRIBER_QUEUE};
use crate::config::{Config, PeerConfig};
use crate::control::wire::{Activity, Command, Status};
use crate::ids::{Epoch, GenerationId, NodeId};
use crate::record::Point;
use crate::store::Store;
use crate::wire::{PEER_FRAME_MAX, RejectCounts, ToPrimary, ToReplica, decode};

const EPOCH: Epoch = Epoch(1);
const PEER: NodeId = NodeId(2);
const LINK: ConnId = ConnId(7);

struct Bench {
    engine: Engine,
    link: mpsc::Receiver<bytes::Bytes>,
    told: mpsc::Receiver<Box<Status>>,
    _dir: tempfile::TempDir,
}

type Answered = oneshot::Receiver<Result<Box<Status>, crate::control::wire::Refusal>>;

impl Bench {
    /// With a link to its one peer, and a subscriber.
    fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let config = Config {
            node: NodeId(1),
            data_dir: dir.path().join("data"),
            listen_clients: any,
            listen_peers: any,
            peers: vec![PeerConfig { node: PEER, addr: any }],
            control_socket: dir.path().join("control"),
            sync: false,
            peer_timeout_ms: 300,
            log_bytes_max: 1 << 20,
        };
        let store = Store::open(&config.data_dir, config.node, config.log_bytes_max).unwrap();
        let engine = Engine::new(config, store, Arc::new(RejectCounts::default()));
        let (out, link) = mpsc::channel(LINK_QUEUE);
        let (tell, told) = mpsc::channel(SUBSCRIBER_QUEUE);
        let mut bench = Bench { engine, link, told, _dir: dir };
        bench.batch(vec![
            Event::Subscribe { out: tell },
            Event::LinkUp { peer: PEER, conn: LINK, out, max_epoch: Epoch(0) },
        ]);
        bench
    }

    fn batch(&mut self, events: Vec<Event>) {
        for event in events {
            self.engine.take(event).unwrap();
        }
        self.engine.finish_batch().unwrap();
    }

    fn order(&mut self, command: Command) -> Answered {
        let (answer, answered): (Answer, Answered) = oneshot::channel();
        self.batch(vec![Event::Command { command, answer }]);
        answered
    }

    fn hear(&mut self, message: ToPrimary) {
        self.batch(vec![Event::Link { peer: PEER, conn: LINK, message }]);
    }

    fn said(&mut self) -> Vec<ToReplica> {
        let mut said = Vec::new();
        while let Ok(frame) = self.link.try_recv() {
            said.push(decode(&mut BytesMut::from(&frame[..]), PEER_FRAME_MAX).unwrap().unwrap());
        }
        said
    }

    fn newest(&mut self) -> Box<Status> {
        let mut newest = None;
        while let Ok(status) = self.told.try_recv() {
            newest = Some(status);
        }
        newest.expect("a change that is told")
    }

    /// Does as the next messages ask, except that the last `InStep` is left open: its generation.
    fn follow(&mut self) -> GenerationId {
        let mut open = None;
        loop {
            let said = self.said();
            if said.is_empty() {
                return open.expect("told to be in step");
            }
            for message in said {
                match message {
                    ToReplica::Attach { epoch, generation, .. } => {
                        let last = Point::default();
                        self.hear(ToPrimary::Attached { epoch, generation, complete: true, last });
                    }
                    ToReplica::Resync { epoch, common, .. } => {
                        self.hear(ToPrimary::Resyncing { epoch, common });
                    }
                    ToReplica::InStep { generation, .. } => open = Some(generation.current),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

fn promote() -> Command {
    let required = Some(BTreeSet::from([PEER]));
    Command::Promote { epoch: EPOCH, deadline_boottime_ns: u64::MAX, required }
}

fn becomes_complete_and_required(bench: &mut Bench, stale: Option<GenerationId>) {
    let current = bench.follow();
    assert_ne!(Some(current), stale, "the drop made a new generation");
    if let Some(generation) = stale {
        bench.hear(ToPrimary::InStep { epoch: EPOCH, generation });
        assert!(!bench.engine.status().peers[0].complete, "in step with what is over");
    }
    bench.hear(ToPrimary::InStep { epoch: EPOCH, generation: current });
    let status = bench.newest();
    assert!(status.peers[0].complete && status.required.is_empty(), "{status:?}");
    let mut answered = bench.order(Command::RequirePeer { peer: PEER });
    assert_eq!(answered.try_recv().unwrap().unwrap().required, BTreeSet::from([PEER]));
}

#[test]
fn dropped_before_it_was_heard_of() {
    let mut bench = Bench::new();
    bench.order(promote());
    assert_eq!(bench.newest().activity, Activity::Suspended);
    bench.order(Command::DropPeer { peer: PEER });
    becomes_complete_and_required(&mut bench, None);
}

#[test]
fn dropped_while_its_answer_was_on_its_way() {
    let mut bench = Bench::new();
    bench.order(promote());
    let stale = bench.follow();
    bench.order(Command::DropPeer { peer: PEER });
    becomes_complete_and_required(&mut bench, Some(stale));
}

#[test]
fn an_offer_made_again_is_told_as_well() {
    let mut bench = Bench::new();
    bench.order(promote());
    bench.order(Command::DropPeer { peer: PEER });
    let generation = bench.follow();
    bench.hear(ToPrimary::InStep { epoch: EPOCH, generation });
    assert!(bench.newest().peers[0].complete);
    bench.hear(ToPrimary::AttachAgain);
    assert!(!bench.newest().peers[0].complete);
    becomes_complete_and_required(&mut bench, None);
}

#[test]
fn an_answer_has_the_revision_of_what_was_told() {
    let mut bench = Bench::new();
    let before = bench.newest().revision;
    let promoted = bench.order(promote()).try_recv().unwrap().unwrap();
    assert!(promoted.revision > before);
    assert_eq!(bench.newest(), promoted);
    let again = bench.order(Command::Status).try_recv().unwrap().unwrap();
    assert_eq!(again.revision, promoted.revision, "nothing changed");
    assert!(bench.told.try_recv().is_err(), "nothing is told");
}

#[test]
fn who_subscribes_within_a_batch_is_told_its_end() {
    let mut bench = Bench::new();
    let (out, mut told) = mpsc::channel(SUBSCRIBER_QUEUE);
    let order = |command| Event::Command { command, answer: oneshot::channel().0 };
    bench.batch(vec![order(Command::Freeze), Event::Subscribe { out }, order(Command::Thaw)]);
    assert!(!told.try_recv().unwrap().frozen);
    assert!(told.try_recv().is_err());
}
