use super::*;
use picket_core::params::Profile;

fn sample(lease_ms: u64) -> ConfigDigest {
    let mut params = Profile::Fast.params();
    params.lease = Duration::from_millis(lease_ms);
    let volume =
        Volume { id: VolumeId(1), name: "pg", members: [NodeId(1), NodeId(2)].into_iter().collect() };
    digest(&[(NodeId(1), "n1"), (NodeId(2), "n2")], &[volume], &params)
}

#[test]
fn fnv1a_has_the_published_values() {
    assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
}

#[test]
fn the_canonical_text_is_fixed() {
    let volume = Volume { id: VolumeId(7), name: "pg", members: NodeSet::only(NodeId(2)).with(NodeId(1)) };
    let text = canonical(&[(NodeId(2), "b"), (NodeId(1), "a")], &[volume], &Profile::LanAggressive.params());
    assert_eq!(
        text,
        "picket 1\nnode 1 a\nnode 2 b\nvolume 7 pg 1 2\nheartbeat 25000000\nmisses 4\nwatchdog none\n\
         lease 300000000\nfreeze_before 60000000\nguard 25000000\nlateness 20000000\nfreeze_time 40000000\n\
         start_within 200000000\n"
    );
}

#[test]
fn order_does_not_matter_and_every_fact_does() {
    let params = Profile::Fast.params();
    let (a, b) = ((NodeId(1), "n1"), (NodeId(2), "n2"));
    let base = digest(&[a, b], &[], &params);
    assert_eq!(base, digest(&[b, a], &[], &params));
    assert_ne!(base, digest(&[a], &[], &params));
    assert_ne!(base, digest(&[a, (NodeId(2), "n3")], &[], &params));
    assert_ne!(base, digest(&[a, b], &[], &Profile::Wan.params()));
    assert_ne!(sample(2200), sample(2201));
}
