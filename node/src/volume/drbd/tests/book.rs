use crate::volume::drbd::book::{Book, named};
use crate::volume::{About, Gaps};
use picket_core::ids::{Epoch, NodeId, NodeSet, VolumeId};
use picket_core::node::Recorded;
use tokio::sync::watch;

const ME: NodeId = NodeId(1);
const PEER: NodeId = NodeId(2);

fn about(recorded: Recorded) -> About {
    About {
        id: VolumeId(1),
        name: "data".to_owned(),
        me: ME,
        members: NodeSet::only(ME).with(PEER),
        names: [(ME, "n1".to_owned()), (PEER, "n2".to_owned())].into(),
        state_dir: "/nonexistent".into(),
        heard: watch::channel(NodeSet::EMPTY).1,
        fenced: watch::channel(NodeSet::EMPTY).1,
        recorded: watch::channel(recorded).1,
        gaps: Gaps::default(),
        has_barrier: true,
    }
}

#[test]
fn only_a_later_grant_to_another_node_supersedes() {
    let promoted = Book { epoch: Some(Epoch(9)), ..Book::default() };
    let found = Book::default();
    let recorded = |holder, epoch, current| {
        let epoch = Epoch(epoch);
        about(Recorded { epoch, holder, isr: NodeSet::only(PEER), current })
    };
    assert!(promoted.is_superseded(&recorded(Some(PEER), 10, true)));
    for (holder, epoch, current, why) in [
        (Some(PEER), 9, true, "the same epoch"),
        (Some(PEER), 8, true, "the holder before this node, of whom the news is late"),
        (Some(PEER), 10, false, "from another time"),
        (Some(ME), 10, true, "this node"),
        (None, 10, true, "nobody"),
    ] {
        assert!(!promoted.is_superseded(&recorded(holder, epoch, current)), "{why}");
    }
    assert!(!found.is_superseded(&recorded(Some(PEER), 10, true)), "its own epoch is not known");
}

#[test]
fn a_holder_that_was_found_learns_its_epoch_from_the_record() {
    let mut book = Book::default();
    let note = |book: &mut Book, holder, epoch, current| {
        book.note_recorded(&about(Recorded {
            epoch: Epoch(epoch),
            holder: Some(holder),
            isr: NodeSet::EMPTY,
            current,
        }));
        book.epoch
    };
    assert_eq!(note(&mut book, ME, 9, false), None);
    assert_eq!(note(&mut book, PEER, 9, true), None);
    assert_eq!(note(&mut book, ME, 9, true), Some(Epoch(9)));
    assert_eq!(note(&mut book, ME, 8, true), Some(Epoch(9)));
}

#[test]
fn a_peer_without_a_name_is_the_only_other_member() {
    let mut about = about(Recorded::default());
    // As drbdsetup 9.22 prints it for DRBD 8.4.
    assert_eq!(named(&about, Some("peer")), Some(PEER));
    assert_eq!(named(&about, None), Some(PEER));
    assert_eq!(named(&about, Some("n2")), Some(PEER));
    assert_eq!(named(&about, Some("n1")), None, "itself");
    assert_eq!(named(&about, Some("elsewhere")), None, "a host that is no member");
    about.members = about.members.with(NodeId(3));
    about.names.insert(NodeId(3), "n3".to_owned());
    assert_eq!((named(&about, Some("peer")), named(&about, None)), (None, None), "one of two");
    about.names.insert(NodeId(3), "peer".to_owned());
    assert_eq!(named(&about, Some("peer")), Some(NodeId(3)), "a member of that name");
}
