//! The machine against a controller of our own: every cause, and packets as bad as they come.

#[path = "../../../../tests/bmc/mod.rs"]
mod bmc;

use super::*;
use bmc::{Bmc, Config, Obeys};
use crypto::Suite;
use login::Privilege;
use wire::LanAuth;

const PLUS: [Way; 2] = [Way::Plus(Suite::Three), Way::Plus(Suite::Seventeen)];
const WAYS: [Way; 3] = [PLUS[0], PLUS[1], Way::Lan(LanAuth::Md5)];
const UNTIL: Duration = Duration::from_secs(4);

fn login(way: Way) -> Login {
    let password = Zeroizing::new(b"secret".to_vec());
    Login { user: b"admin".to_vec(), password, kg: None, privilege: Privilege::Administrator, way }
}

fn status() -> Question {
    Question { netfn: 0, lun: 0, cmd: 1, data: Vec::new(), behind: None }
}

fn session(login: Login, seed: u8) -> Session {
    Session::new(login, Zeroizing::new([seed; 32]))
}

/// Runs until something happened; `net` may do anything to the controller's packets.
fn run(
    s: &mut Session,
    bmc: &mut Bmc,
    now: &mut Duration,
    mut net: impl FnMut(Vec<u8>) -> Vec<Vec<u8>>,
) -> Event {
    for _ in 0..1000 {
        while let Some(packet) = s.transmit() {
            for answer in bmc.take(&packet).into_iter().flat_map(&mut net).collect::<Vec<_>>() {
                s.receive(&answer, *now);
            }
        }
        if let Some(event) = s.event() {
            return event;
        }
        *now = (*now).max(s.deadline().expect("something is under way"));
        s.tick(*now);
    }
    panic!("no event in 1000 turns");
}

fn outcome(login: Login, config: Config) -> (Event, Duration, Bmc) {
    let (mut s, mut bmc, mut now) = (session(login, 1), Bmc::new(config), Duration::ZERO);
    s.start(now, UNTIL);
    let event = run(&mut s, &mut bmc, &mut now, |packet| vec![packet]);
    assert!(bmc.violations.is_empty(), "{:?}", bmc.violations);
    // What the controller says is told at once; only silence has to be waited for.
    if let Event::Failed(fault) = &event
        && !matches!(fault, Fault::Silent | Fault::OnlyLan | Fault::SilentToPassword | Fault::Unauthenticated)
    {
        assert!(now < UNTIL, "{fault} was told only after {now:?}");
    }
    (event, now, bmc)
}

#[test]
fn log_in_ask_and_close_in_every_way() {
    for way in WAYS {
        let (mut s, mut bmc, mut now) = (session(login(way), 7), Bmc::new(Config::default()), Duration::ZERO);
        s.start(now, UNTIL);
        assert_eq!(run(&mut s, &mut bmc, &mut now, |p| vec![p]), Event::Open, "{way:?}");
        for power in [1, 0, 1] {
            bmc.power = power == 1;
            s.ask(status(), now, now + UNTIL);
            assert_eq!(run(&mut s, &mut bmc, &mut now, |p| vec![p]), Event::Answer(vec![0, power, 0, 0]));
        }
        assert_eq!(bmc.open_sessions(), 1);
        s.close(now, now + UNTIL);
        assert_eq!(run(&mut s, &mut bmc, &mut now, |p| vec![p]), Event::Closed);
        assert_eq!((bmc.open_sessions(), bmc.closed, now), (0, 1, Duration::ZERO), "{way:?}");
        assert!(bmc.violations.is_empty(), "{:?}", bmc.violations);
    }
}

#[test]
fn every_cause_has_its_name() {
    let user = || "admin".to_owned();
    for way in PLUS {
        let wrong = Login { password: Zeroizing::new(b"wrong".to_vec()), ..login(way) };
        assert_eq!(outcome(wrong, Config::default()).0, Event::Failed(Fault::Password(user())));
        let nobody = Login { user: b"nobody".to_vec(), ..login(way) };
        assert_eq!(outcome(nobody, Config::default()).0, Event::Failed(Fault::User("nobody".into())));
        let reader = Login { user: b"reader".to_vec(), ..login(way) };
        let role = Fault::Role("reader".into(), Privilege::Administrator);
        assert_eq!(outcome(reader, Config::default()).0, Event::Failed(role));
        let full = Config { sessions_max: 0, ..Config::default() };
        assert_eq!(outcome(login(way), full).0, Event::Failed(Fault::Full));
        let kg = Config { kg: Some(b"key".to_vec()), ..Config::default() };
        assert_eq!(outcome(login(way), kg.clone()).0, Event::Failed(Fault::Kg(false)));
        let other = Login { kg: Some(Zeroizing::new(b"other".to_vec())), ..login(way) };
        assert_eq!(outcome(other, kg.clone()).0, Event::Failed(Fault::Kg(true)));
        let right = Login { kg: Some(Zeroizing::new(b"key".to_vec())), ..login(way) };
        assert_eq!(outcome(right, kg).0, Event::Open);
        let old = Config { speaks_plus: false, ..Config::default() };
        assert_eq!(outcome(login(way), old).0, Event::Failed(Fault::OnlyLan));
        let dead = Config { dies_after: Some(0), ..Config::default() };
        let (event, took, _) = outcome(login(way), dead);
        assert_eq!((event, took), (Event::Failed(Fault::Silent), UNTIL));
    }
    for (way, number) in [(PLUS[0], 3), (PLUS[1], 17)] {
        let liar = Config { downgrades: true, ..Config::default() };
        assert_eq!(outcome(login(way), liar).0, Event::Failed(Fault::OtherSuite(number)));
    }
    for (way, suite, number) in [(PLUS[0], 17, 3), (PLUS[1], 3, 17)] {
        let config = Config { suites: vec![suite], ..Config::default() };
        assert_eq!(outcome(login(way), config).0, Event::Failed(Fault::NoSuite(number)));
    }
    let lan = Way::Lan(LanAuth::Md5);
    let wrong = Login { password: Zeroizing::new(b"wrong".to_vec()), ..login(lan) };
    assert_eq!(outcome(wrong, Config::default()).0, Event::Failed(Fault::SilentToPassword));
    let nobody = Login { user: b"nobody".to_vec(), ..login(lan) };
    assert_eq!(outcome(nobody, Config::default()).0, Event::Failed(Fault::User("nobody".into())));
    let new = Config { speaks_lan: false, ..Config::default() };
    assert_eq!(outcome(login(lan), new).0, Event::Failed(Fault::OnlyPlus));
    let open = Config { answers_openly: true, ..Config::default() };
    assert_eq!(outcome(login(lan), open).0, Event::Failed(Fault::Unauthenticated));
}

#[test]
fn an_answer_from_behind_and_the_answers_of_the_question_before() {
    for way in WAYS {
        let config = Config { behind: Some(0x30), obeys: Obeys::AtOnce, ..Config::default() };
        let (mut s, mut bmc, mut now) = (session(login(way), 9), Bmc::new(config), Duration::ZERO);
        let mut kept: Vec<Vec<u8>> = Vec::new();
        s.start(now, UNTIL);
        assert_eq!(run(&mut s, &mut bmc, &mut now, |p| vec![p]), Event::Open);
        s.ask(Question { behind: Some((0x30, 0)), ..status() }, now, now + UNTIL);
        assert_eq!(run(&mut s, &mut bmc, &mut now, |p| vec![p]), Event::Answer(vec![0, 1, 0, 0]));
        // "On" is answered twice, then the machine goes off: the second copies come before the answer.
        for (power, told) in [(false, 0), (true, 1), (false, 0)] {
            bmc.power = power;
            s.ask(status(), now, now + UNTIL);
            let event = run(&mut s, &mut bmc, &mut now, |p| {
                let late = kept.clone();
                kept.push(p.clone());
                late.into_iter().chain([p.clone(), p]).collect()
            });
            assert_eq!(event, Event::Answer(vec![0, told, 0, 0]));
        }
    }
}

/// Packets lost, doubled, late, cut off, changed or from another session: the machine is on all the
/// time, so "off" would be a wrong verdict, and so would a refusal that the controller never gave.
#[test]
fn no_mutation_makes_a_wrong_verdict_or_a_panic() {
    let mut opened = 0;
    for seed in 0..3000_u32 {
        let way = WAYS[seed as usize % WAYS.len()];
        let mut random = Random::new(Zeroizing::new([(seed % 251) as u8 ^ (seed >> 8) as u8; 32]));
        let mut old: Vec<Vec<u8>> = Vec::new();
        let mut net = |packet: Vec<u8>| {
            old.push(packet.clone());
            let [kind, at, with, which] = random.bytes::<4>();
            let mut changed = packet.clone();
            let at = usize::from(at) % changed.len();
            let late = old[usize::from(which) % old.len()].clone();
            match kind % 12 {
                0 => vec![],
                1 => vec![packet.clone(), packet],
                2 => vec![late, packet],
                3 => vec![packet, late],
                4 => vec![changed[..at].to_vec()],
                5 => {
                    changed[at] ^= with.max(1);
                    vec![changed]
                }
                6 => {
                    changed.insert(at, with);
                    vec![changed, packet]
                }
                7 => vec![random.bytes::<64>().to_vec(), packet],
                _ => vec![packet],
            }
        };
        let seed_byte = (seed % 256) as u8;
        let (mut s, mut bmc, mut now) =
            (session(login(way), seed_byte), Bmc::new(Config::default()), Duration::ZERO);
        s.start(now, UNTIL);
        if run(&mut s, &mut bmc, &mut now, &mut net) != Event::Open {
            continue;
        }
        opened += 1;
        for _ in 0..4 {
            s.ask(status(), now, now + UNTIL);
            match run(&mut s, &mut bmc, &mut now, &mut net) {
                Event::Answer(answer) => assert_eq!(answer, [0, 1, 0, 0], "seed {seed}"),
                Event::Failed(fault) => assert_eq!(fault, Fault::Lost, "seed {seed}"),
                event @ (Event::Open | Event::Closed) => panic!("seed {seed}: {event:?}"),
            }
        }
        s.close(now, now + UNTIL);
        assert_eq!(run(&mut s, &mut bmc, &mut now, &mut net), Event::Closed, "seed {seed}");
    }
    assert!(opened > 2000, "only {opened} logins succeeded");
}
