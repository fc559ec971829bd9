//! Every message survives the way to bytes and back; garbage never panics.

use super::samples::*;
use crate::convert::{Message, from_wire, to_wire};
use core::fmt::Debug;
use picket_core::message::{FromWitness, PeerMessage, ToWitness};
use prost::Message as _;

fn bytes<M: Message<Wire: prost::Message>>(message: &M) -> Vec<u8> {
    to_wire(message).encode_to_vec()
}

fn read<M: Message<Wire: prost::Message + Default>>(bytes: &[u8]) -> Option<M> {
    from_wire(M::Wire::decode(bytes).ok()?).ok()
}

fn there_and_back<M>(messages: &[M])
where
    M: Message<Wire: prost::Message + Default> + PartialEq + Debug,
{
    for message in messages {
        let wire = M::Wire::decode(bytes(message).as_slice()).expect("what we encode decodes");
        assert_eq!(from_wire::<M>(wire).as_ref(), Ok(message));
    }
}

fn to_witness_all() -> Vec<ToWitness> {
    every_request().into_iter().map(to_witness).collect()
}

fn from_witness_all() -> Vec<FromWitness> {
    every_reply().into_iter().map(from_witness).collect()
}

fn peer_all() -> Vec<PeerMessage> {
    every_peer_body().into_iter().map(peer_message).collect()
}

#[test]
fn every_message_survives() {
    there_and_back(&to_witness_all());
    there_and_back(&from_witness_all());
    there_and_back(&peer_all());
    there_and_back(&every_operator_request());
    there_and_back(&every_operator_answer());
}

#[test]
fn no_two_samples_look_alike_on_the_wire() {
    let mut seen: Vec<Vec<u8>> = to_witness_all().iter().map(bytes).collect();
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), count);
}

/// SplitMix64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % below as u64) as usize
    }
}

fn mutate(dice: &mut Dice, bytes: &mut Vec<u8>) {
    for _ in 0..=dice.roll(3) {
        let at = dice.roll(bytes.len().max(1));
        match dice.roll(4) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.roll(8),
            1 => bytes.truncate(at),
            2 => bytes.insert(at.min(bytes.len()), dice.roll(256) as u8),
            _ if at < bytes.len() => drop(bytes.remove(at)),
            _ => {}
        }
    }
}

/// What comes out of damaged bytes is refused, or is a message that can be told again.
fn damaged<M>(messages: &[M], dice: &mut Dice)
where
    M: Message<Wire: prost::Message + Default> + PartialEq + Debug,
{
    for message in messages {
        let good = bytes(message);
        for _ in 0..60 {
            let mut bad = good.clone();
            mutate(dice, &mut bad);
            if let Some(other) = read::<M>(&bad) {
                assert_eq!(read::<M>(&bytes(&other)).as_ref(), Some(&other));
            }
        }
    }
}

#[test]
fn damaged_messages_are_refused_or_are_messages() {
    let mut dice = Dice(1);
    damaged(&to_witness_all(), &mut dice);
    damaged(&from_witness_all(), &mut dice);
    damaged(&peer_all(), &mut dice);
}

#[test]
fn garbage_is_refused_without_a_panic() {
    let mut dice = Dice(2);
    let mut accepted = 0;
    for _ in 0..20_000 {
        let garbage: Vec<u8> = (0..dice.roll(120)).map(|_| dice.roll(256) as u8).collect();
        accepted += usize::from(read::<ToWitness>(&garbage).is_some());
        accepted += usize::from(read::<FromWitness>(&garbage).is_some());
        accepted += usize::from(read::<PeerMessage>(&garbage).is_some());
    }
    assert_eq!(accepted, 0);
}
