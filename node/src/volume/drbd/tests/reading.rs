use crate::volume::drbd::events::{Line, Object, Verb, parse};
use crate::volume::drbd::generation;
use crate::volume::drbd::view::{View, done};
use picket_core::evidence::Generation;
use picket_core::ids::GenerationId;
use picket_core::node::Role;

/// By the documentation of DRBD 9's `drbdsetup events2`; not recorded.
const NINE: &str = include_str!("events-9.txt");

pub(super) fn view_of(text: &str) -> View {
    let mut view = View::default();
    for line in text.lines() {
        if let Some(line) = parse(line).unwrap() {
            view.take("r0", &line);
        }
    }
    view
}

fn until(text: &str, lines: usize) -> View {
    view_of(&text.lines().take(lines).collect::<Vec<_>>().join("\n"))
}

#[test]
fn nothing_is_believed_before_the_full_state_was_told() {
    assert_eq!(until(NINE, 5).role(), Role::Unknown);
    assert_eq!(until(NINE, 6).role(), Role::Secondary);
}

#[test]
fn a_resource_that_the_kernel_does_not_have_cannot_be_written() {
    let view = view_of("exists -");
    assert_eq!((view.role(), view.exists, view.is_complete()), (Role::Secondary, false, false));
}

#[test]
fn changes_are_taken() {
    let peer = |view: &View| view.peers.values().next().cloned().unwrap();
    let syncing = until(NINE, 8);
    assert!(peer(&syncing).is_connected() && !peer(&syncing).is_up_to_date());
    assert_eq!(peer(&syncing).disks[&0].done.as_deref(), Some("12.50"));
    assert!(syncing.is_resyncing() && syncing.resynced() == Some(12));
    assert!(peer(&until(NINE, 9)).is_up_to_date());
    assert!(!until(NINE, 9).is_resyncing() && until(NINE, 9).resynced().is_none());
    assert_eq!(until(NINE, 10).role(), Role::Primary);
    let lost = view_of(NINE);
    assert!(lost.suspended_by_fencing() && !lost.suspended_by_user() && lost.suspended());
    assert!(!peer(&lost).is_connected() && !peer(&lost).is_up_to_date());
    assert_eq!(peer(&lost).name.as_deref(), Some("n2"));
    assert_eq!(lost.minor(), Some(0));
}

#[test]
fn what_the_kernel_forgets_of_its_own_history_is_remembered() {
    let read = |current: u128, history: &[u128]| Generation {
        current: GenerationId(current),
        history: history.iter().copied().map(GenerationId).collect(),
    };
    let first = generation::succeed(None, read(2, &[1]));
    // Two resyncs later, which bring two UUIDs each.
    let second = generation::succeed(Some(&first), read(4, &[3, 2]));
    let third = generation::succeed(Some(&second), read(6, &[5, 4]));
    assert!([1, 2, 3, 4, 5, 6].into_iter().all(|id| third.descends_from(GenerationId(id))), "{third:?}");
    // Other data has nothing of this past.
    assert_eq!(generation::succeed(Some(&third), read(9, &[8])), read(9, &[8]));
    // Its length has a bound; the newest are kept.
    let long = (0..100)
        .fold(first, |before, id| generation::succeed(Some(&before), read(id + 10, &[before.current.0])));
    assert!(long.history.len() <= Generation::HISTORY_MAX && long.descends_from(GenerationId(108)));
}

#[test]
fn how_far_a_resync_is_can_be_read_from_the_status() {
    let status = "r0 role:Primary\n  disk:UpToDate\n  peer role:Secondary\n    replication:SyncSource peer-disk:Inconsistent done:99.97\n";
    assert_eq!(done(status), Some(99));
    assert_eq!(
        done("r0 role:Primary\n  disk:UpToDate\n  peer role:Secondary\n    replication:Established\n"),
        None
    );
    assert_eq!(done("done:? done:101.00 done:+9.97"), None);
}

/// As DRBD 8.4.11 told of a replication that its Primary gave up, and of what its handler said of the peer. A connection that
/// stands alone has no name any more.
const EIGHT_GIVES_UP: &str = include_str!("events-8.4-gives-up.txt");

/// As it told, asked anew while the replication was off, of its return.
const EIGHT_COMES_BACK: &str = include_str!("events-8.4-comes-back.txt");

#[test]
fn what_is_told_of_a_peer_that_is_gone_does_not_bring_it_back() {
    assert_eq!(until(EIGHT_GIVES_UP, 5).peers.len(), 1);
    assert!(view_of(EIGHT_GIVES_UP).peers.is_empty(), "{:?}", view_of(EIGHT_GIVES_UP).peers);
}

#[test]
fn a_connection_that_is_named_again_is_the_one_that_stood_alone() {
    let alone = until(EIGHT_COMES_BACK, 5);
    assert_eq!(alone.peers.values().map(|peer| peer.connection.as_str()).collect::<Vec<_>>(), ["StandAlone"]);
    let back = view_of(EIGHT_COMES_BACK);
    assert_eq!(back.peers.len(), 1, "{:?}", back.peers);
    assert!(back.peers.values().all(super::super::view::Peer::is_up_to_date), "{:?}", back.peers);
}

#[test]
fn what_is_destroyed_is_gone() {
    let gone = format!("{NINE}destroy resource name:r0\n");
    let view = view_of(&gone);
    assert_eq!((view.exists, view.peers.len(), view.disks.len()), (false, 0, 0));
    let gone = format!("{NINE}destroy device name:r0 volume:0 minor:0\n");
    assert!(!view_of(&gone).is_complete());
    let gone = format!("{NINE}destroy connection name:r0 peer-node-id:2 conn-name:n2\n");
    assert!(view_of(&gone).peers.is_empty());
    let late = format!("{gone}destroy peer-device name:r0 peer-node-id:2 conn-name:n2 volume:0\n");
    assert!(view_of(&late).peers.is_empty(), "what is told of a peer that is gone does not bring it back");
}

#[test]
fn another_resource_means_nothing_here() {
    let mut view = view_of(NINE);
    let before = view.clone();
    let line = parse("change resource name:r1 role:Secondary suspended:no").unwrap().unwrap();
    assert!(!view.take("r0", &line));
    assert_eq!(view, before);
}

#[test]
fn disks_are_complete_by_their_word() {
    let complete = |word: &str| {
        let mut view = until(NINE, 6);
        let line = format!("change device name:r0 volume:0 minor:0 disk:{word}");
        view.take("r0", &parse(&line).unwrap().unwrap());
        view.is_complete()
    };
    for word in ["UpToDate", "Consistent"] {
        assert!(complete(word), "{word}");
    }
    for word in [
        "Outdated",
        "Inconsistent",
        "Diskless",
        "Failed",
        "Detaching",
        "Attaching",
        "Negotiating",
        "DUnknown",
        "New",
    ] {
        assert!(!complete(word), "{word}");
    }
}

#[test]
fn lines_that_could_be_a_change_are_not_skipped() {
    assert_eq!(parse("").unwrap(), None);
    let line = parse("change device name:r0 volume:0 disk:Failed later:word plain").unwrap().unwrap();
    assert_eq!(
        line,
        Line {
            verb: Verb::Change,
            object: Object::Device,
            words: [("name", "r0"), ("volume", "0"), ("disk", "Failed"), ("later", "word")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        }
    );
    assert!(parse("transmute resource name:r0").is_err());
    assert!(parse("change quorum-device name:r0").is_err());
    assert!(parse("change").is_err());
    for volume in ["", "volume:", "volume:x", "volume:+0", "volume:-1", "volume:4294967296"] {
        for object in ["device", "peer-device"] {
            let line = format!("change {object} name:r0 peer-node-id:2 {volume} disk:Failed");
            assert!(parse(&line).is_err(), "{line}");
        }
    }
}

#[test]
fn a_generation_is_the_current_uuid_without_its_role_bit() {
    let secondary = generation::parse(
        "F2D2F1A0C6DC7F30:0000000000000000:7C1C2B6E1A2C6A52:0000000000000004:1:1:0:1:0:0:0\n",
    );
    let primary = generation::parse(
        "F2D2F1A0C6DC7F31:0000000000000000:7C1C2B6E1A2C6A53:0000000000000004:1:1:1:1:0:0:0\n",
    );
    let expected = Generation {
        current: GenerationId(0xF2D2_F1A0_C6DC_7F30),
        history: vec![GenerationId(0x7C1C_2B6E_1A2C_6A52)],
    };
    assert_eq!(secondary.unwrap(), expected);
    assert_eq!(primary.unwrap(), expected);
    // After going on without its peer: the former current one is what the bitmap counts from.
    let alone = generation::parse(
        "1111111111111111:F2D2F1A0C6DC7F31:7C1C2B6E1A2C6A52:0000000000000000:1:1:1:0:0:1:0",
    )
    .unwrap();
    assert!(alone.descends_from(expected.current));
    assert!(!expected.descends_from(alone.current));
}

#[test]
fn a_generation_that_is_not_understood_is_none() {
    for wrong in [
        "",
        "\n",
        "0000000000000000:0000000000000000",
        "0000000000000004:0000000000000000:0:0",
        "no UUID",
        "XYZ2F1A0C6DC7F30:0",
        "+2D2F1A0C6DC7F30:0000000000000000:0000000000000000:0000000000000000",
        "F2D2F1A0C6DC7F30:0000000000000000:+C1C2B6E1A2C6A52:0000000000000000",
    ] {
        assert!(generation::parse(wrong).is_err(), "{wrong:?}");
    }
    // Two peers of DRBD 9 cannot have told of two replicas here.
    let two = "F2D2F1A0C6DC7F30:0000000000000000:0000000000000000:0000000000000000\n1111111111111110:0000000000000000:0000000000000000:0000000000000000\n";
    assert!(generation::parse(two).is_err());
}
