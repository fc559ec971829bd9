use super::*;

fn key(byte: u8) -> BeatKey {
    BeatKey::new(&[byte; KEY_BYTES])
}

fn beat(volumes: usize) -> Beat {
    Beat {
        from: NodeId(16),
        boot: BootId(1 << 127),
        run: Nonce(3),
        seq: COUNT_MAX,
        echo: Some((Nonce(9), 10)),
        hears: [NodeId(1), NodeId(16)].into_iter().collect(),
        holds: (0..volumes).map(|at| (VolumeId(at as u16), Epoch(at as u64))).collect(),
    }
}

#[test]
fn a_beat_survives_and_the_largest_fits() {
    let bare = Beat { echo: None, hears: NodeSet::EMPTY, from: NodeId(1), ..beat(0) };
    for beat in [bare, beat(0), beat(1), beat(VOLUMES_MAX)] {
        let datagram = seal(&key(1), "c1", &beat);
        assert!(datagram.len() <= DATAGRAM_MAX, "{}", datagram.len());
        assert_eq!(open(&key(1), "c1", &datagram), Ok(beat));
    }
}

#[test]
fn another_key_or_cluster_is_not_authentic() {
    let datagram = seal(&key(1), "c1", &beat(2));
    assert_eq!(open(&key(2), "c1", &datagram), Err(BeatError::NotAuthentic));
    assert_eq!(open(&key(1), "c2", &datagram), Err(BeatError::NotAuthentic));
    assert_eq!(open(&key(1), "c1P", &datagram), Err(BeatError::NotAuthentic));
}

#[test]
fn every_changed_bit_and_every_cut_is_refused() {
    let datagram = seal(&key(1), "c1", &beat(3));
    for bit in 0..datagram.len() * 8 {
        let mut bad = datagram.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let error = open(&key(1), "c1", &bad).expect_err("changed");
        let expected = if bit / 8 < MAGIC.len() { BeatError::Version } else { BeatError::NotAuthentic };
        assert_eq!(error, expected);
    }
    for len in 0..datagram.len() {
        open(&key(1), "c1", &datagram[..len]).expect_err("cut");
    }
    let mut long = datagram;
    long.push(0);
    assert_eq!(open(&key(1), "c1", &long), Err(BeatError::NotAuthentic));
}

/// A broken sender that has the key: every length, every first byte, is refused or read, and never panics.
#[test]
fn authentic_nonsense_is_malformed() {
    let good = seal(&key(1), "c1", &beat(2));
    let body = &good[..good.len() - TAG_BYTES];
    for len in MAGIC.len()..body.len() {
        let mut cut = body[..len].to_vec();
        cut.extend_from_slice(sign(&key(1), "c1", &cut).as_ref());
        open(&key(1), "c1", &cut).expect_err("cut before it was signed");
    }
    for at in MAGIC.len()..body.len() {
        for value in [0, 1, 17, 101, 255] {
            let mut bad = body.to_vec();
            bad[at] = value;
            bad.extend_from_slice(sign(&key(1), "c1", &bad).as_ref());
            if let Ok(read) = open(&key(1), "c1", &bad) {
                assert_eq!(seal(&key(1), "c1", &read), bad, "one beat, one form");
            }
        }
    }
}

#[test]
fn nodes_outside_the_cluster_are_malformed() {
    for (from, hears) in [(0, 0_u32), (17, 0), (1, 1), (1, 1 << 17)] {
        let mut bad = seal(&key(1), "c1", &beat(0));
        bad.truncate(bad.len() - TAG_BYTES);
        bad[4] = from;
        bad[45..49].copy_from_slice(&hears.to_be_bytes());
        bad.extend_from_slice(sign(&key(1), "c1", &bad).as_ref());
        assert!(matches!(open(&key(1), "c1", &bad), Err(BeatError::Malformed { .. })));
    }
}

#[test]
fn long_datagrams_are_refused_unread() {
    let came = DATAGRAM_MAX + 1;
    assert_eq!(open(&key(1), "c1", &vec![0; came]), Err(BeatError::Length { came }));
}

#[test]
fn the_key_is_not_printed() {
    assert_eq!(format!("{:?}", key(7)), "BeatKey(…)");
}

#[test]
fn numbers_that_cannot_be_counted_on_from_are_malformed() {
    let far = COUNT_MAX + 1;
    let malformed = [
        (Beat { holds: vec![(VolumeId(1), Epoch(far))], ..beat(0) }, "holds.epoch"),
        (Beat { seq: far, ..beat(0) }, "seq"),
        (Beat { echo: Some((Nonce(1), far)), ..beat(0) }, "echo.seq"),
    ];
    for (beat, field) in malformed {
        let datagram = seal(&key(1), "c1", &beat);
        assert_eq!(open(&key(1), "c1", &datagram), Err(BeatError::Malformed { field }));
    }
}
