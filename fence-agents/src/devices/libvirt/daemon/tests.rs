//! What a daemon sends, cut, lengthened and damaged: an error, never a panic, never another state.

use super::super::rpc;
use super::*;
use std::panic;

/// A small generator with a seed, so that a failure can be played again.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides.max(1)).unwrap()).unwrap()
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.roll(most)).map(|_| u8::try_from(self.roll(256)).unwrap()).collect()
    }
}

fn identity() -> Identity {
    Identity { name: "n2".into(), uuid: Uuid([7; 16]), id: 3 }
}

fn list() -> Vec<u8> {
    let two = [identity().encoded().done(), identity().encoded().done()].concat();
    Encoder::default().u32(2).raw(&two).u32(2).done()
}

/// Every reader of a payload, and whether it takes these bytes.
fn taken(bytes: &[u8]) -> [bool; 5] {
    [
        one_domain(bytes).is_ok(),
        domains(bytes).is_ok(),
        activity_of(bytes).is_ok(),
        truth_of(bytes).is_ok(),
        ways_of(bytes).is_ok(),
    ]
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(one_domain(&identity().encoded().done()), Ok(identity()));
    assert_eq!(domains(&list()), Ok(vec![identity(), identity()]));
    assert_eq!(activity_of(&Encoder::default().i32(5).i32(1).done()), Ok(Activity::ShutOff));
    assert_eq!(truth_of(&Encoder::default().i32(1).done()), Ok(true));
    assert!(truth_of(&Encoder::default().i32(2).done()).is_err());
}

#[test]
fn a_payload_that_is_cut_or_lengthened_is_none() {
    let payloads = [
        identity().encoded().done(),
        list(),
        Encoder::default().i32(5).i32(1).done(),
        Encoder::default().i32(1).done(),
        Encoder::default().u32(1).u32(0).done(),
    ];
    for (reader, whole) in payloads.iter().enumerate() {
        assert!(taken(whole)[reader]);
        for end in 0..whole.len() {
            assert!(!taken(&whole[..end])[reader], "reader {reader} takes {end} of {} bytes", whole.len());
        }
        for more in 1..=8 {
            let longer = [whole.as_slice(), &vec![0; more]].concat();
            assert!(!taken(&longer)[reader], "reader {reader} takes {more} bytes too many");
        }
    }
}

#[test]
fn lengths_that_are_only_claimed_reserve_nothing() {
    for claimed in [u32::MAX, u32::MAX - 3, 1 << 31, 65_537, DOMAINS_MAX] {
        let bytes = Encoder::default().u32(claimed).raw(&[b'x'; 64]).done();
        assert_eq!(taken(&bytes)[..2], [false, false], "{claimed}");
        assert!(!taken(&bytes)[4], "{claimed}");
    }
}

#[test]
fn no_bytes_make_a_panic() {
    let read_all = |bytes: &[u8]| {
        let _ = taken(bytes);
        if let Ok(message) = rpc::receive(&mut &*bytes) {
            let _ = rpc::answer(&message, Procedure::GetState, 1);
        }
        let _ = rpc::answer(bytes, Procedure::GetState, 1);
    };
    let refusal = Encoder::default().i32(42).i32(10).u32(1).text("no domain").i32(2).done();
    for seed in 1..=60_000 {
        let mut dice = Dice::new(seed);
        let mut bytes = match seed % 4 {
            0 => dice.bytes(120),
            1 => list(),
            2 => identity().encoded().done(),
            _ => refusal.clone(),
        };
        for _ in 0..dice.roll(4) {
            let at = dice.roll(bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.roll(8);
            }
        }
        bytes.truncate(bytes.len() - dice.roll(bytes.len()) * usize::from(seed % 3 == 0));
        // Behind a head that fits, so that the payload's readers are reached too.
        let head = Encoder::default().u32(0x2000_8086).u32(1).u32(212).u32(1).u32(1);
        let message = head.u32(dice.roll(3).try_into().unwrap()).raw(&bytes).done();
        let length = u32::try_from(message.len() + 4).unwrap();
        let framed = [length.to_be_bytes().as_slice(), &message].concat();
        assert!(panic::catch_unwind(|| read_all(&bytes)).is_ok(), "seed {seed}");
        assert!(panic::catch_unwind(|| read_all(&framed)).is_ok(), "seed {seed}, framed");
    }
}

#[test]
fn only_five_is_shut_off() {
    for state in -10..100 {
        let is = activity(state);
        assert_eq!(is == Activity::ShutOff, state == 5, "{state}");
        assert_eq!(is == Activity::Runs, (1..=3).contains(&state), "{state}");
    }
}

#[test]
fn an_answer_is_taken_only_by_the_call_that_waits_for_it() {
    let head = |words: [u32; 6]| {
        words.iter().fold(Encoder::default(), |encoder, word| encoder.u32(*word)).raw(b"load").done()
    };
    let good = [0x2000_8086, 1, 212, 1, 9, 0];
    let answer = |words| rpc::answer(&head(words), Procedure::GetState, 9).map(|got| got.map(<[u8]>::to_vec));
    assert_eq!(answer(good).unwrap(), Some(b"load".to_vec()));
    for (at, value) in
        [(0, 0x2000_8087), (1, 2), (2, 213), (3, 0), (3, 3), (3, 5), (4, 8), (4, 10), (5, 2), (5, 3)]
    {
        let mut bad = good;
        bad[at] = value;
        assert!(matches!(answer(bad), Err(CallError::Garbled(_))), "word {at} = {value}");
    }
    let event = [0x2000_8086, 1, 107, 2, 0, 0];
    assert_eq!(answer(event).unwrap(), None);
    let refusal = Encoder::default().i32(42).i32(10).u32(1).text("no\nsuch").done();
    let message = [0x2000_8086_u32, 1, 212, 1, 9, 1].iter().fold(Encoder::default(), |e, word| e.u32(*word));
    let refused = rpc::answer(&message.raw(&refusal).done(), Procedure::GetState, 9).unwrap_err();
    assert!(
        matches!(&refused, CallError::No { code: NO_DOMAIN, message } if message == "no such"),
        "{refused:?}"
    );
}
