use super::follow::{Source, Verdict};
use super::names::{NOBODY, Names};
use super::timeline::{Place, can_follow, generation, history, lsn};
use crate::config::Rejoin;
use picket_core::ids::{GenerationId, NodeId, NodeSet};
use std::collections::BTreeMap;

mod answers;
mod pair;
mod real;
mod real_driver;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const C: NodeId = NodeId(3);

fn members() -> BTreeMap<NodeId, String> {
    [(A, "n1"), (B, "n2"), (C, "n3")].map(|(id, name)| (id, name.to_owned())).into()
}

fn set(nodes: &[NodeId]) -> NodeSet {
    nodes.iter().copied().collect()
}

fn names(former: Option<Names>, shown: &[(NodeId, u32)], required: &[NodeId], blocked: bool) -> Names {
    Names::after(former, &shown.iter().copied().collect(), set(required), blocked)
}

#[test]
fn a_setting_names_exactly_the_required_replicas() {
    let text = |required: &[NodeId], blocked| names(None, &[], required, blocked).text(&members());
    assert_eq!(text(&[], false), "");
    assert_eq!(text(&[B], false), "FIRST 1 (\"n2\")");
    assert_eq!(text(&[B, C], false), "FIRST 2 (\"n2\", \"n3\")");
    assert_eq!(text(&[B, C], true), format!("FIRST 3 (\"n2\", \"n3\", \"{NOBODY}\")"));
    assert_eq!(Names::BLOCKED.text(&members()), format!("FIRST 1 (\"{NOBODY}\")"));
}

#[test]
fn no_replica_keeps_its_priority_from_one_setting_to_the_next() {
    let sets: [&[NodeId]; 5] = [&[], &[B], &[C], &[B, C], &[A, B, C]];
    for former in sets {
        for next in sets {
            for shown in 0..4 {
                let before = names(None, &[], former, false);
                let after = names(Some(before), &[(B, shown), (C, shown + 1)], next, true);
                for node in next.iter().copied() {
                    assert_ne!(after.priority(node), before.priority(node), "{former:?} {next:?}");
                }
                assert_ne!(after.priority(B).unwrap_or(99), shown);
                assert_ne!(after.priority(C).unwrap_or(99), shown + 1);
                assert_eq!(after.required, set(next));
            }
        }
    }
}

#[test]
fn a_setting_is_read_back_and_a_foreign_one_is_not() {
    let mut setting = None;
    for (required, blocked) in [(set(&[]), false), (set(&[B]), true), (set(&[B, C]), false), (set(&[]), true)]
    {
        let next = Names::after(setting, &BTreeMap::new(), required, blocked);
        assert_eq!(Names::parse(&next.text(&members()), &members()), Some(next));
        setting = Some(next);
    }
    let shifted = names(Some(names(None, &[], &[B], false)), &[], &[B], false);
    assert_eq!(shifted.text(&members()), format!("FIRST 1 (\"{NOBODY}\", \"n2\")"));
    assert_eq!(Names::parse(&shifted.text(&members()), &members()), Some(shifted));
    for foreign in [
        "*",
        "n2",
        "ANY 1 (n2, n3)",
        "FIRST 1 (\"n2\", \"n3\")",
        "FIRST 1 (\"n9\")",
        "FIRST 1 (n2)",
        "FIRST 2 (\"n2\")",
    ] {
        assert_eq!(Names::parse(foreign, &members()), None, "{foreign}");
    }
}

const HISTORY: &str = "1\t0/3000148\tno recovery target specified\n\n2\t1/4000000\tx y\n";

#[test]
fn a_history_tells_where_timelines_were_left() {
    let read = history(HISTORY).unwrap();
    let expected = [Place { timeline: 1, lsn: 0x0300_0148 }, Place { timeline: 2, lsn: 0x1_0400_0000 }];
    assert_eq!(read, expected);
    assert_eq!(history("").unwrap(), []);
    assert_eq!(history("1\tnonsense\n"), None);
    assert_eq!(history("one\t0/1\n"), None);
    assert_eq!(lsn("1/A"), Some(0x1_0000_000A));
    assert_eq!((lsn("1A"), lsn("1/G"), lsn("123456789/0")), (None, None, None));
    assert_eq!((lsn("+1/A"), lsn("1/+A"), lsn("/1 ")), (None, None, None));
    assert_eq!(history("1\t0/3000148"), None, "cut off, perhaps within the number");
    assert_eq!(history("+1\t0/3000148\tx\n"), None);
    for disorder in ["2\t0/5\tx\n1\t0/6\tx\n", "1\t0/5\tx\n1\t0/6\tx\n"] {
        assert_eq!(history(disorder), None, "{disorder}");
    }
}

#[test]
fn data_is_what_its_system_and_timeline_are_and_descends_from_its_history() {
    let id = |timeline: u128| GenerationId(77 << 32 | timeline);
    let third = generation(77, 3, &history(HISTORY).unwrap());
    assert_eq!((third.current, third.history.as_slice()), (id(3), [id(2), id(1)].as_slice()));
    assert!(third.descends_from(id(1)) && !third.descends_from(id(4)));
    assert!(!generation(78, 3, &history(HISTORY).unwrap()).descends_from(id(1)), "another system");
    let long: Vec<_> = (1..=99).map(|timeline| Place { timeline, lsn: 0 }).collect();
    let long = generation(77, 100, &long);
    assert_eq!((long.history.len(), long.history[0], long.history[31]), (32, id(99), id(68)));
}

#[test]
fn a_replica_follows_unless_it_went_past_the_place_where_the_holder_left() {
    let (source, history) = (Place { timeline: 3, lsn: 0x1_0500_0000 }, history(HISTORY).unwrap());
    let can = |timeline, lsn| can_follow(Place { timeline, lsn }, source, &history);
    assert!(can(1, 0x0300_0148) && can(1, 7) && can(2, 0x1_0400_0000) && can(3, source.lsn));
    assert!(!can(1, 0x0300_0149), "a write past the place");
    assert!(!can(2, 0x1_0400_0001) && !can(3, source.lsn + 1), "ahead");
    assert!(!can(4, 0), "a timeline that the holder never had");
}

fn source(text: &str) -> Source {
    Source::parse(text).unwrap_or_else(|| panic!("{text}"))
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_replica_is_rebuilt_only_from_a_server_of_its_own_system() {
    let line =
        |control| format!("77|1/5000000|00000003|{control}|0000000100000002|16777216|{}\n", hex(HISTORY));
    let holder = source(&line(3));
    let judge = |source: &Source, system, timeline, lsn, rejoin| {
        source.judge(A, system, Place { timeline, lsn }, rejoin)
    };
    assert_eq!(judge(&holder, 77, 2, 0x1_0400_0000, Rejoin::Clone), Verdict::Follows);
    let ahead = 0x1_0400_0001;
    assert_eq!(judge(&holder, 77, 2, ahead, Rejoin::Clone), Verdict::Rebuild { from: A, rewind: true });
    assert_eq!(judge(&holder, 77, 2, ahead, Rejoin::Rewind), Verdict::Rebuild { from: A, rewind: true });
    assert!(matches!(judge(&holder, 77, 2, ahead, Rejoin::Manual), Verdict::Stuck(_)));
    assert!(matches!(judge(&holder, 78, 2, ahead, Rejoin::Clone), Verdict::Stuck(why) if why.contains("78")));
    // Until its first checkpoint nothing can be rewound to it.
    assert_eq!(judge(&source(&line(2)), 77, 2, ahead, Rejoin::Clone), Verdict::Follows);
    // What is missing is gone there: 0x1_0200_0000 is where its log begins.
    let behind = 0x1_01FF_FFFF;
    assert_eq!(judge(&holder, 77, 2, behind, Rejoin::Clone), Verdict::Rebuild { from: A, rewind: false });
    assert!(matches!(judge(&holder, 77, 2, behind, Rejoin::Rewind), Verdict::Stuck(_)));
    for broken in [
        "",
        "77|1/5000000",
        "77|x|00000003|3|0000000100000002|16777216|",
        "77|1/5|3|3|0000|1|",
        "77|1/5|3|3|0000000100000002|16777216|zz",
        "77|1/5|+0000003|3|0000000100000002|16777216|",
        "77|1/5|00000003|+3|0000000100000002|16777216|",
        "+77|1/5|00000003|3|0000000100000002|16777216|",
        "77|1/5|00000003|3|+000000100000002|16777216|",
        "77|1/5|00000003|3|0000000100000002|16777216||",
        "77|1/5|00000003|3|0000000100000002|16777216|3109+1",
    ] {
        assert_eq!(Source::parse(&format!("{broken}\n")), None, "{broken}");
    }
    // Cut off anywhere, it may say another place at which this replica parted from it.
    let whole = line(3);
    for at in 0..whole.len() {
        assert_eq!(Source::parse(&whole[..at]), None, "{at} of {} bytes", whole.len());
    }
}
