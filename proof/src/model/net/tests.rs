use super::*;

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);

#[test]
fn so_many_heartbeats_are_lost_and_the_next_arrives() {
    let mut net = Net::default();
    net.losing.insert((N1, N2), 2);
    assert!(net.takes_beat(N2, N1), "the other direction loses none");
    let arrived: Vec<bool> = (0..4).map(|_| net.takes_beat(N1, N2)).collect();
    assert_eq!(arrived, [false, false, true, true]);
    net.losing.insert((N1, N2), 2);
    net.heal();
    assert!(net.takes_beat(N1, N2));
}
