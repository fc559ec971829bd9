use super::*;
use picket_core::error::Refusal;
use picket_core::ids::{BootId, RequestId, SessionId};
use picket_core::message::Seen;
use picket_core::node::RunHeld;

const N1: NodeId = NodeId(1);
const V1: VolumeId = VolumeId(1);

/// A refusal that is heard while a promotion is under way is of the grant that the promotion is for.
#[test]
fn a_refusal_during_a_promotion_is_of_its_epoch() {
    let now = Instant::BOOT;
    let refused = vec![(V1, Refusal::NotHolder { holder: None })];
    let body = Reply::Renewed { volumes: Vec::new(), refused, hears: NodeSet::EMPTY };
    let message = FromWitness {
        session: SessionId::default(),
        processed: RequestId::default(),
        seen: Seen::default(),
        body,
    };
    let mut watch = Watch::default();
    watch.promoted.insert((V1, Epoch(1)), N1);
    watch.refusals(now, N1, None, &message);
    assert_eq!(watch.refused.get(&(N1, V1)), Some(&(Epoch(1), now)), "no record: the last one that it had");
    let held = RunHeld { epoch: Epoch(2), lease_until: now, refused: false, driver: None };
    let run = Run {
        schema: 1,
        boot: BootId::default(),
        held: BTreeMap::from([(V1, held)]),
        promises: Vec::new(),
        keeps_running: false,
        failed: false,
    };
    watch.refusals(now, N1, Some(&run), &message);
    assert_eq!(watch.refused.get(&(N1, V1)), Some(&(Epoch(2), now)));
}
