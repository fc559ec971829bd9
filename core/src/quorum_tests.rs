use super::*;
use crate::ids::NodeId;

fn set(nodes: &[u8]) -> NodeSet {
    nodes.iter().copied().map(NodeId).collect()
}

fn count(members: &[u8], here: &[u8], unknown: &[u8], witness: Option<bool>) -> Vote {
    majority(Votes { members: set(members), here: set(here), unknown: set(unknown), witness })
}

#[test]
fn two_nodes_and_a_witness() {
    assert_eq!(count(&[1, 2], &[1], &[], Some(true)), Vote::Won);
    assert_eq!(count(&[1, 2], &[1, 2], &[], Some(false)), Vote::Won);
    assert_eq!(count(&[1, 2], &[1], &[], Some(false)), Vote::Lost);
    assert_eq!(count(&[1, 2], &[1], &[2], Some(false)), Vote::Pending);
    assert_eq!(count(&[1, 2], &[1], &[], None), Vote::Pending);
}

#[test]
fn the_witness_breaks_a_tie() {
    assert_eq!(count(&[1, 2, 3], &[1], &[], Some(true)), Vote::Won);
    assert_eq!(count(&[1, 2, 3], &[1, 2], &[], Some(false)), Vote::Lost);
}

#[test]
fn three_of_five_votes_win() {
    assert_eq!(count(&[1, 2, 3, 4], &[1, 2, 3], &[], Some(false)), Vote::Won);
    assert_eq!(count(&[1, 2, 3, 4], &[1, 2], &[], Some(false)), Vote::Lost);
}

#[test]
fn votes_of_others_do_not_count() {
    assert_eq!(count(&[1, 2, 3], &[1, 7, 8, 9], &[], Some(false)), Vote::Lost);
}

#[test]
fn remote_hosts() {
    assert_eq!(tcp_remote(2, 1, 0), Vote::Won);
    assert_eq!(tcp_remote(1, 1, 0), Vote::Lost);
    assert_eq!(tcp_remote(1, 0, 1), Vote::Pending);
    assert_eq!(tcp_remote(3, 2, 3), Vote::Pending, "three of eight");
    assert_eq!(tcp_remote(0, 0, 0), Vote::Lost, "no hosts are no quorum");
}
