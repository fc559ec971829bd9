//! Heartbeats: datagrams that anybody on the network can send.

use crate::must;
use crate::target::{Answer, Broken, Target};
use picket_core::ids::{BootId, Epoch, NodeId, NodeSet, Nonce, VolumeId};
use picket_core::message::Beat;
use picket_proto::beat::{BeatError, BeatKey, DATAGRAM_MAX, KEY_BYTES, open, seal};
use ring::hmac;

/// The target. An input is one byte for how it is sent, then the datagram: as it is, or (last bit) with its last 32
/// bytes replaced by the right tag, as a broken member would send it.
pub const TARGET: Target = Target {
    name: "heartbeat",
    about: "UDP datagrams: nothing passes that the key did not seal, and what is sealed has one form only",
    seeds,
    words: &["PKT\u{1}"],
    check,
};

const CLUSTER: &str = "east";
const KEY: [u8; KEY_BYTES] = [7; KEY_BYTES];
const TAG_BYTES: usize = 32;

fn samples() -> Vec<Beat> {
    let full = Beat {
        from: NodeId(2),
        boot: BootId(1 << 100 | 5),
        run: Nonce(9),
        seq: 77,
        echo: Some((Nonce(3), 76)),
        hears: [NodeId(1), NodeId(16)].into_iter().collect(),
        holds: (0..7).map(|number| (VolumeId(number), Epoch(u64::from(number) << 20))).collect(),
    };
    let holds = (0..100).map(|number| (VolumeId(number), Epoch(1))).collect();
    vec![
        Beat { echo: None, hears: NodeSet::EMPTY, holds: vec![], ..full.clone() },
        Beat { holds, ..full.clone() },
        full,
    ]
}

fn sealed() -> Vec<Vec<u8>> {
    samples().iter().map(|beat| seal(&BeatKey::new(&KEY), CLUSTER, beat)).collect()
}

fn seeds() -> Vec<Vec<u8>> {
    let both = |datagram: Vec<u8>| [0_u8, 1].map(|how| [vec![how], datagram.clone()].concat());
    sealed().into_iter().flat_map(both).collect()
}

/// The tag as a member makes it, written down here once more: the property must not lean on the code it judges.
fn tag(bytes: &[u8]) -> Vec<u8> {
    let mut message = b"picket-beat".to_vec();
    message.extend((CLUSTER.len() as u64).to_be_bytes());
    message.extend(CLUSTER.as_bytes());
    message.extend(bytes);
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &KEY), &message).as_ref().to_vec()
}

fn check(input: &[u8]) -> Result<Answer, Broken> {
    let Some((how, rest)) = input.split_first() else { return Ok(Answer::new("empty")) };
    let mut datagram = rest.to_vec();
    let is_resealed = how & 1 == 1 && datagram.len() >= TAG_BYTES;
    if is_resealed {
        datagram.truncate(datagram.len() - TAG_BYTES);
        datagram.extend(tag(&datagram));
    }
    let key = BeatKey::new(&KEY);
    let opened = open(&key, CLUSTER, &datagram);
    let genuine = is_resealed || sealed().contains(&datagram);
    let beat = match opened {
        Ok(beat) => beat,
        Err(BeatError::NotAuthentic) => {
            must!(!genuine, "a datagram with the right tag is not authentic");
            return Ok(Answer::new("not authentic"));
        }
        Err(error) => return Ok(Answer::new(error)),
    };
    must!(genuine, "a datagram was accepted that nobody sealed");
    must!(datagram.len() <= DATAGRAM_MAX, "{} bytes were accepted", datagram.len());
    must!(seal(&key, CLUSTER, &beat) == datagram, "sealed again it is another datagram: {beat:?}");
    must!((1..=NodeSet::MAX_NODES).contains(&beat.from.0), "from node {}", beat.from);
    let other = open(&key, "west", &datagram);
    must!(other == Err(BeatError::NotAuthentic), "another cluster took it as {other:?}");
    let other = open(&BeatKey::new(&[8; KEY_BYTES]), CLUSTER, &datagram);
    must!(other == Err(BeatError::NotAuthentic), "another key took it as {other:?}");
    Ok(Answer::new(format!("a beat; echo {}, holds {}", beat.echo.is_some(), beat.holds.len() / 10)))
}
