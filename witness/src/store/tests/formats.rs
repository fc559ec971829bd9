//! Decoding takes any bytes and accepts only what encoding made.

use super::Random;
use crate::store::format::{
    Frame, HEADER_BYTES, Header, KEY_BYTES_MAX, Kind, Malformed, decode_frame, decode_header, encode_frame,
    encode_header, frame_length,
};
use crate::store::scan::scan_segment;

fn header() -> Header {
    Header { kind: Kind::Segment, store_id: [7; 16], generation: 3, last_sequence: 41, amount: 4096 }
}

fn encoded(frame: &Frame<'_>, seed: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_frame(frame, seed, &mut bytes);
    bytes
}

#[test]
fn headers_go_both_ways_and_no_bit_may_change() {
    let (bytes, seed) = encode_header(&header());
    assert_eq!(bytes.len(), HEADER_BYTES);
    assert_eq!(decode_header(Kind::Segment, &bytes), Ok((header(), seed)));
    assert!(matches!(decode_header(Kind::Snapshot, &bytes), Err(Malformed::Magic { .. })));
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(decode_header(Kind::Segment, &changed).is_err(), "bit {bit}");
    }
    for length in 0..bytes.len() {
        let cut = decode_header(Kind::Segment, &bytes[..length]);
        assert_eq!(cut, Err(Malformed::Short { found: length, needed: HEADER_BYTES }));
    }
}

#[test]
fn frames_go_both_ways_and_no_bit_may_change() {
    for (key, record) in
        [("c", b"r".as_slice()), ("cluster-1", b"{\"epoch\":7}"), (&"k".repeat(KEY_BYTES_MAX), &[0; 100])]
    {
        let frame = Frame { sequence: 42, durable_through: 41, key, record };
        let bytes = encoded(&frame, 99);
        assert_eq!(bytes.len(), frame_length(key.len(), record.len()));
        assert_eq!(decode_frame(&bytes, 99), Ok((frame, bytes.len())));
        assert!(matches!(decode_frame(&bytes, 98), Err(Malformed::Checksum { .. })), "another file's frame");
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_frame(&changed, 99).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(
                matches!(decode_frame(&bytes[..length], 99), Err(Malformed::Short { .. })),
                "cut to {length}"
            );
        }
    }
}

#[test]
fn the_format_is_the_released_one() {
    let (header, seed) = encode_header(&header());
    assert_eq!(&header[..10], b"PKTWLOG\n\x01\x00");
    let frame = encoded(&Frame { sequence: 42, durable_through: 41, key: "c1", record: b"{}" }, seed);
    let both: String = [header, frame].concat().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(both, RELEASED);
}

/// Never to be changed under schema 1: stores in the field have it.
const RELEASED: &str = "504b54574c4f470a0100000000000000070707070707070707070707070707070300000000000000\
    2900000000000000001000000000000000000000d8e8c56b\
    28000000f751303a2a000000000000002900000000000000020000000200000063317b7d00000000";

#[test]
fn any_bytes_are_taken_without_harm() {
    let mut random = Random(1);
    for round in 0..20_000 {
        let mut bytes: Vec<u8> =
            (0..random.below(160)).map(|_| u8::try_from(random.next() & 255).unwrap()).collect();
        if round % 2 == 0 && bytes.len() >= 40 {
            // Lengths that make sense get further.
            let length = u32::try_from(bytes.len() & !7).unwrap();
            bytes[..4].copy_from_slice(&length.to_le_bytes());
            bytes[24..26].copy_from_slice(&2_u16.to_le_bytes());
            bytes[28..32].copy_from_slice(&(length - 34).to_le_bytes());
        }
        assert!(decode_frame(&bytes, 5).is_err());
        assert!(decode_header(Kind::Snapshot, &bytes).is_err());
        let scanned = scan_segment(&bytes, 0, 5).unwrap();
        assert!(scanned.frames.is_empty());
    }
}

#[test]
fn frames_out_of_order_are_damage() {
    let seed = 5;
    let file = |frames: &[(u64, u64)]| {
        let mut bytes = vec![0; HEADER_BYTES];
        for (sequence, durable_through) in frames {
            let frame =
                Frame { sequence: *sequence, durable_through: *durable_through, key: "c", record: b"r" };
            encode_frame(&frame, seed, &mut bytes);
        }
        bytes.resize(1024, 0);
        bytes
    };
    let good = file(&[(11, 10), (12, 10), (13, 12)]);
    assert_eq!(scan_segment(&good, 10, seed).unwrap().frames.len(), 3);
    for wrong in
        [&[(12, 10)][..], &[(11, 10), (11, 10)], &[(11, 9)], &[(11, 11)], &[(11, 10), (12, 11), (13, 10)]]
    {
        let damage = scan_segment(&file(wrong), 10, seed).unwrap_err();
        assert!(damage.what.starts_with("a good frame with sequence"), "{wrong:?}: {}", damage.what);
    }
}
