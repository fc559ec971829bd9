//! Messages on the wire: bytes, the generated types, and the conversion to the core's.

use super::samples;
use crate::must;
use crate::target::{Answer, Broken, Target};
use core::fmt::Debug;
use picket_core::message::{FromWitness, OperatorAnswer, OperatorRequest, PeerMessage, ToWitness};
use picket_proto::convert::Message;
use picket_proto::{from_wire, relay, to_wire};
use prost::Message as _;

/// The target. An input is one byte for the type of the message, then the message.
pub const TARGET: Target = Target {
    name: "wire",
    about: "gRPC messages: refused with the field's path, or the same message again when it is told again",
    seeds,
    words: &[],
    check,
};

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let mut add = |kind: u8, bytes: Vec<u8>| seeds.push([vec![kind], bytes].concat());
    for body in samples::every_request() {
        add(0, bytes(&samples::to_witness(body)));
    }
    for body in samples::every_reply() {
        add(1, bytes(&samples::from_witness(body)));
    }
    for body in samples::every_peer_body() {
        add(2, bytes(&samples::peer_message(body)));
    }
    samples::every_operator_request().iter().for_each(|request| add(3, bytes(request)));
    samples::every_operator_answer().iter().for_each(|answer| add(4, bytes(answer)));
    add(5, relay::pack(vec![1, 2, 3], vec![vec![4; 40], vec![5; 40]]));
    seeds
}

fn bytes<M: Message<Wire: prost::Message>>(message: &M) -> Vec<u8> {
    to_wire(message).encode_to_vec()
}

fn check(input: &[u8]) -> Result<Answer, Broken> {
    let Some((kind, bytes)) = input.split_first() else { return Ok(Answer::new("empty")) };
    match kind % 6 {
        0 => one::<ToWitness>("to witness", bytes),
        1 => one::<FromWitness>("from witness", bytes),
        2 => one::<PeerMessage>("peer", bytes),
        3 => one::<OperatorRequest>("operator", bytes),
        4 => one::<OperatorAnswer>("operator's answer", bytes),
        _ => signature(bytes),
    }
}

fn one<M>(name: &str, bytes: &[u8]) -> Result<Answer, Broken>
where
    M: Message<Wire: prost::Message + Default> + PartialEq + Debug,
{
    let Ok(wire) = M::Wire::decode(bytes) else { return Ok(Answer::new(format!("{name}: no message"))) };
    let message: M = match from_wire(wire) {
        Ok(message) => message,
        Err(error) => return Ok(Answer::new(format!("{name}: {error}"))),
    };
    let told = to_wire(&message).encode_to_vec();
    let again =
        M::Wire::decode(told.as_slice()).map_err(|error| Broken(format!("told, not read: {error}")))?;
    let again: M = from_wire(again).map_err(|error| Broken(format!("told, then refused: {error}")))?;
    must!(again == message, "told again it is another message:\n{message:?}\n{again:?}");
    let shown = format!("{message:?}");
    let shape: String = shown.chars().filter(|c| c.is_ascii_uppercase() || *c == '{').take(24).collect();
    Ok(Answer::new(format!("{name}: accepted {shape}")))
}

fn signature(bytes: &[u8]) -> Result<Answer, Broken> {
    let Some((signature, chain)) = relay::unpack(bytes) else { return Ok(Answer::new("no signature")) };
    must!(!signature.is_empty() && (1..=3).contains(&chain.len()), "{} certificates", chain.len());
    let again = relay::unpack(&relay::pack(signature.clone(), chain.clone()));
    must!(again == Some((signature, chain)), "packed again it is another signature");
    Ok(Answer::new("signature"))
}
