//! The `ipmi` agent as users run it, against a management controller of our own on the loopback
//! interface: every verdict, every cause, and what it leaves behind.

#![allow(clippy::unwrap_used)] // a test: what fails here fails it

mod bmc;

use bmc::server::Server;
use bmc::{Config, Obeys};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What the agent said and how it ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

/// The ways to log in that every verdict is tested with.
const WAYS: [&str; 3] = ["cipher=17", "cipher=3", "lanplus=0"];

/// How long anything may take here before the test gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

fn start(server: &Server, options: &str, service: Option<&str>) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_picket-fence"));
    command.arg("ipmi").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(service) = service {
        command.env("PCMK_service", service);
    }
    let mut agent = command.spawn().unwrap();
    let address = server.address;
    let text = format!(
        "ip={}\nipport={}\nusername=admin\npassword=secret\n{}\n",
        address.ip(),
        address.port(),
        options.replace(' ', "\n"),
    );
    agent.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    agent
}

fn end_of(mut agent: Child) -> Ended {
    let (mut out, mut err) = (String::new(), String::new());
    agent.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    agent.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    let code = agent.wait().unwrap().code();
    assert!(!err.contains("secret") && !out.contains("secret"), "a password was told: {err}{out}");
    Ended { code, out, err }
}

fn run(server: &Server, options: &str) -> Ended {
    end_of(start(server, options, None))
}

fn left_clean(server: &Server) {
    server.with(|bmc| {
        assert!(bmc.violations.is_empty(), "{:?}", bmc.violations);
        assert_eq!(bmc.open_sessions(), 0, "a session was left open");
    });
}

#[test]
fn power_goes_off_and_on_and_is_read_in_every_way() {
    for way in WAYS {
        let server = Server::start(Config { obeys: Obeys::AfterLooks(2), ..Config::default() });
        let said = |action: &str| {
            let ended = run(&server, &format!("{way} action={action}"));
            (ended.code, ended.out.trim().to_owned())
        };
        assert_eq!(said("status"), (Some(0), "Status: ON".into()), "{way}");
        assert_eq!(said("monitor"), (Some(0), String::new()), "{way}");
        assert_eq!(said("off"), (Some(0), "Success: Powered OFF".into()), "{way}");
        assert_eq!(said("off"), (Some(0), "Success: Already OFF".into()), "{way}");
        assert_eq!(said("status"), (Some(2), "Status: OFF".into()), "{way}");
        assert_eq!(said("on"), (Some(0), "Success: Powered ON".into()), "{way}");
        assert_eq!(said("reboot"), (Some(0), "Success: Rebooted".into()), "{way}");
        // Only "power down" and "power up": no reset, no cycle, nothing soft.
        server.with(|bmc| assert_eq!(bmc.controls, [0, 1, 0, 1], "{way}"));
        left_clean(&server);
    }
}

#[test]
fn over_ipv6_too() {
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("LEFT OUT: this host has no IPv6, not even on the loopback interface");
        return;
    }
    let server = Server::start_at("[::1]:0", Config::default());
    let ended = run(&server, "action=off");
    assert_eq!((ended.code, ended.out.trim()), (Some(0), "Success: Powered OFF"), "{}", ended.err);
    left_clean(&server);
}

#[test]
fn a_controller_that_accepts_and_does_nothing_is_a_failure() {
    for obeys in [Obeys::Never, Obeys::ComesBack] {
        for action in ["off", "reboot"] {
            let server = Server::start(Config { obeys, ..Config::default() });
            let ended = run(&server, &format!("action={action} power_timeout=1"));
            assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{obeys:?} {action}: {}", ended.err);
            assert!(ended.err.contains("Timed out waiting to power OFF"), "{}", ended.err);
            server.with(|bmc| assert_eq!(bmc.controls, [0], "asked once, and never powered on"));
            left_clean(&server);
        }
    }
}

/// It was seen off: that is what off and reboot promise. What it does afterwards is told by status.
#[test]
fn power_that_comes_back_by_itself_is_seen_by_the_next_status() {
    let server = Server::start(Config { obeys: Obeys::ComesBackAfter(1), ..Config::default() });
    let off = run(&server, "action=off");
    assert_eq!((off.code, off.out.trim()), (Some(0), "Success: Powered OFF"), "{}", off.err);
    assert_eq!(run(&server, "action=status").code, Some(0));
    left_clean(&server);
}

#[test]
fn a_refused_control_fails_and_a_busy_controller_is_asked_again() {
    let refused = Server::start(Config { control_code: 0xd4, ..Config::default() });
    let ended = run(&refused, "action=off");
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("set privlvl to operator"), "{}", ended.err);
    let busy = Server::start(Config { control_code: 0xc0, ..Config::default() });
    let agent = start(&busy, "action=off", None);
    assert!(busy.wait_until(PATIENCE, |bmc| bmc.controls.len() >= 2), "asked once only");
    busy.with(|bmc| bmc.config.control_code = 0);
    let ended = end_of(agent);
    assert_eq!((ended.code, ended.out.trim()), (Some(0), "Success: Powered OFF"), "{}", ended.err);
    left_clean(&busy);
}

/// Whatever stands in the way is one line with cause and cure, and the verdict is "cannot tell".
#[test]
fn every_cause_is_one_line_with_its_cure() {
    let normal = Config::default;
    let kg = || Config { kg: Some(b"key".to_vec()), ..normal() };
    let full = || Config { sessions_max: 0, ..normal() };
    let old = || Config { speaks_plus: false, ..normal() };
    let dead = || Config { dies_after: Some(0), ..normal() };
    let three = || Config { suites: vec![3], ..normal() };
    let cases: Vec<(Config, &str, &str)> = vec![
        (normal(), "password=wrong", "wrong password for user 'admin': check password"),
        (normal(), "username=nobody", "does not know user 'nobody': check username"),
        (normal(), "username=reader", "may not work as administrator: raise its privilege"),
        (three(), "", "offers no cipher suite 17: cipher=3 takes the older one"),
        (kg(), "", "has a key K_G: set kg or hexadecimal_kg"),
        (kg(), "kg=other", "K_G is another one: check kg or hexadecimal_kg"),
        (full(), "", "no free session: wait until"),
        (full(), "lanplus=0", "no free session: wait until"),
        (old(), "login_timeout=2", "speaks IPMI 1.5 only: lanplus=0"),
        (dead(), "login_timeout=1", "silence: check ip and ipport"),
        (normal(), "lanplus=0 password=wrong login_timeout=1", "refuse a password: check password"),
        (normal(), "lanplus=0 username=nobody", "does not know user 'nobody'"),
        (normal(), "lanplus=0 auth=password", "offers no password authentication"),
    ];
    for (config, options, expected) in cases {
        let server = Server::start(config);
        let ended = run(&server, &format!("action=status {options}"));
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{options}");
        let errors = ended.err.lines().filter(|line| line.contains(" ERROR: ")).count();
        assert_eq!(errors, 1, "{options}: {}", ended.err);
        assert!(ended.err.contains(expected), "{options}: {}", ended.err);
        server.with(|bmc| assert!(bmc.violations.is_empty(), "{:?}", bmc.violations));
    }
}

#[test]
fn nobody_there_is_told_before_the_login_timeout() {
    let server = Server::start(Config::default());
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ended = run(&server, &format!("action=status ipport={nobody}"));
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("connection refused: check ip and ipport"), "{}", ended.err);
}

/// A wrong password is tried twice (a refusal is not authentic, so it is doubted once), however long
/// the action goes on: controllers lock accounts out.
#[test]
fn a_refused_login_is_not_repeated() {
    let server = Server::start(Config::default());
    let ended = run(&server, "action=off password=wrong");
    assert_eq!(ended.code, Some(1));
    server.with(|bmc| assert_eq!(bmc.asked.len(), 2, "{:?}", bmc.asked));
}

#[test]
fn an_older_suite_is_used_only_where_the_user_allows_it() {
    let server = Server::start(Config { suites: vec![3], ..Config::default() });
    assert_eq!(run(&server, "action=status").code, Some(1));
    server.with(|bmc| assert!(bmc.asked.iter().all(|asked| *asked == [3, 4, 1]), "{:?}", bmc.asked));
    assert_eq!(run(&server, "action=status cipher=17,3").code, Some(0));
    left_clean(&server);
    let liar = Server::start(Config { downgrades: true, ..Config::default() });
    let ended = run(&liar, "action=status cipher=17,3");
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("refused as a downgrade"), "{}", ended.err);
}

#[test]
fn options_that_cannot_work_are_named() {
    let server = Server::start(Config::default());
    for (options, expected) in [
        ("cipher=0", "cipher=0 is not 17, 3, or both"),
        ("cipher=17,1", "cipher=17,1 is not"),
        ("privlvl=root", "privlvl=root is not one of"),
        ("ipport=0", "ipport=0 is not a UDP port"),
        ("port=n1,n2", "one controller, but 2 machines"),
        ("ip=10.0.0.1/24", "ip=10.0.0.1/24 is not an address"),
        ("hexadecimal_kg=abc", "hexadecimal_kg is not an even number"),
        ("uuid=12345", "uuid=12345 is not a UUID"),
        ("target=0x83", "target=0x83 is not an even address"),
        ("username=a-name-of-17-byte", "at most 16 bytes"),
        ("password=a-password-of-21-byte", "the password is 21 bytes long"),
        ("lanplus=0 password=a-password-of-17b", "the password is 17 bytes long"),
    ] {
        let ended = run(&server, &format!("action=status {options}"));
        assert_eq!(ended.code, Some(1), "{options}");
        assert!(ended.err.contains(expected), "{options}: {}", ended.err);
    }
    server.with(|bmc| assert_eq!(bmc.packets, 0, "nothing was sent"));
}

/// The controller dies after so many packets. Exit 2 would mean "off" of a machine that is on; exit 0
/// of `off` is right only if it is off.
#[test]
fn a_controller_that_dies_in_the_middle_gives_no_wrong_verdict() {
    std::thread::scope(|scope| {
        for packets in 0..10 {
            scope.spawn(move || {
                let limits = "login_timeout=1 shell_timeout=1 power_timeout=1";
                for way in WAYS {
                    let config = || Config { dies_after: Some(packets), ..Config::default() };
                    let server = Server::start(config());
                    let status = run(&server, &format!("action=status {way} {limits}"));
                    assert_ne!(status.code, Some(2), "{way} {packets}: {}", status.err);
                    let server = Server::start(config());
                    let off = run(&server, &format!("action=off {way} {limits}"));
                    let is_off = server.with(|bmc| !bmc.power);
                    assert!(off.code == Some(1) || is_off && off.code == Some(0), "{way} {packets}");
                }
            });
        }
    });
}

/// A controller that restarts has forgotten the session: the agent logs in anew and goes on.
#[test]
fn a_forgotten_session_is_opened_anew() {
    let server = Server::start(Config { obeys: Obeys::Never, ..Config::default() });
    let agent = start(&server, "action=off", None);
    assert!(server.wait_until(PATIENCE, |bmc| !bmc.controls.is_empty()));
    server.with(|bmc| {
        bmc.sessions.clear();
        bmc.power = false;
    });
    let ended = end_of(agent);
    assert_eq!((ended.code, ended.out.trim()), (Some(0), "Success: Powered OFF"), "{}", ended.err);
    server.with(|bmc| assert_eq!(bmc.open_sessions(), 0));
}

#[test]
fn an_agent_that_is_told_to_end_closes_its_session_and_claims_nothing() {
    for way in WAYS {
        for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
            let server = Server::start(Config { obeys: Obeys::Never, ..Config::default() });
            let agent = start(&server, &format!("action=off {way}"), Some("pacemaker-fenced"));
            assert!(server.wait_until(PATIENCE, |bmc| bmc.looks >= 3), "{way}: it does not look");
            kill_process(Pid::from_child(&agent), signal).unwrap();
            let ended = end_of(agent);
            assert!(ended.code != Some(0) && ended.out.is_empty(), "{way}: {ended:?}");
            server.with(|bmc| assert_eq!((bmc.closed, bmc.open_sessions()), (1, 0), "{way} {signal:?}"));
            left_clean(&server);
        }
    }
}

/// Whoever starts it allows core dumps of any size; a crash leaves none, and no list of processes has the password.
#[test]
fn the_password_is_in_no_process_list_and_in_no_core_dump() {
    let server = Server::start(Config { obeys: Obeys::Never, ..Config::default() });
    let dir = tempfile::tempdir().unwrap();
    let allow_dumps = "ulimit -c unlimited 2>/dev/null; exec \"$0\" ipmi";
    let mut command = Command::new("sh");
    command.args(["-c", allow_dumps, env!("CARGO_BIN_EXE_picket-fence")]).current_dir(dir.path());
    let mut agent =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let text = format!("ip=127.0.0.1\nipport={}\nusername=admin\npassword=secret\n", server.address.port());
    agent.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(server.wait_until(PATIENCE, |bmc| bmc.looks >= 2), "it does not look");
    for file in ["cmdline", "environ"] {
        let shown = std::fs::read(format!("/proc/{}/{file}", agent.id())).unwrap();
        assert!(!shown.windows(6).any(|part| part == b"secret"), "the password is in {file}");
    }
    kill_process(Pid::from_child(&agent), Signal::ABORT).unwrap();
    let status = agent.wait().unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "it left something behind");
}

/// It waits for an answer that does not come, under a caller that sets no limit.
#[test]
fn an_agent_that_waits_for_an_answer_is_woken_up_by_a_signal() {
    let server = Server::start(Config { dies_after: Some(0), ..Config::default() });
    let agent = start(&server, "action=status", Some("pacemaker-fenced"));
    assert!(server.wait_until(PATIENCE, |bmc| bmc.packets >= 1));
    kill_process(Pid::from_child(&agent), Signal::TERM).unwrap();
    let ended = end_of(agent);
    assert!(ended.code != Some(0) && ended.code != Some(2) && ended.out.is_empty(), "{ended:?}");
}

#[test]
fn a_diagnostic_interrupt_is_no_fence() {
    let server = Server::start(Config::default());
    let by_hand = run(&server, "action=diag");
    assert_eq!(by_hand.code, Some(0), "{}", by_hand.err);
    assert!(by_hand.out.contains("Diagnostic interrupt sent"), "{}", by_hand.out);
    let fence = end_of(start(&server, "action=diag", Some("pacemaker-fenced")));
    assert_eq!((fence.code, fence.out.as_str()), (Some(1), ""));
    server.with(|bmc| assert_eq!((bmc.controls.as_slice(), bmc.power), ([4, 4].as_slice(), true)));
    left_clean(&server);
}

#[test]
fn the_controller_of_another_machine_is_refused() {
    let server = Server::start(Config::default());
    let right = "uuid=67756964-2d6f-662d-7465-73742d626d63";
    let wrong = "uuid=67756964-2d6f-662d-7465-73742d626d64";
    for action in ["status", "off", "reboot", "monitor", "diag"] {
        let ended = run(&server, &format!("action={action} {wrong}"));
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{action}");
        assert!(ended.err.contains("belongs to another machine"), "{action}: {}", ended.err);
    }
    server.with(|bmc| assert_eq!((bmc.controls.len(), bmc.power), (0, true)));
    let ended = run(&server, &format!("action=off {right}"));
    assert_eq!((ended.code, ended.out.trim()), (Some(0), "Success: Powered OFF"), "{}", ended.err);
    left_clean(&server);
}

#[test]
fn a_controller_behind_the_controller_is_asked() {
    let server = Server::start(Config { behind: Some(0x82), ..Config::default() });
    let off = run(&server, "action=off target=0x82");
    assert_eq!((off.code, off.out.trim()), (Some(0), "Success: Powered OFF"), "{}", off.err);
    let other = run(&server, "action=status target=0x84");
    assert_eq!((other.code, other.out.as_str()), (Some(1), ""), "{}", other.err);
    left_clean(&server);
}

/// A program of others, which knows nothing of ours, as a peer of the controller that these tests rely
/// on: what both agree on is the protocol. It is so that suite 17 is checked, which simulators lack.
#[test]
#[ignore = "needs ipmitool; ./tests/run devices runs it"]
fn ipmitool_and_our_controller_understand_each_other() {
    for (way, said) in [
        ("-I lanplus -C 17", "IPMI 2.0, suite 17"),
        ("-I lanplus -C 3", "IPMI 2.0, suite 3"),
        ("-I lan -A MD5", "IPMI 1.5, MD5"),
        ("-I lanplus -C 17 -k key", "IPMI 2.0, suite 17, with a key K_G"),
    ] {
        let kg = way.contains("-k").then(|| b"key".to_vec());
        let server = Server::start(Config { kg, ..Config::default() });
        for (words, expected, power) in [
            ("chassis power status", "Chassis Power is on", true),
            ("chassis power off", "Chassis Power Control: Down/Off", false),
            ("chassis power status", "Chassis Power is off", false),
        ] {
            let login = format!("-H {} -p {} -U admin -P secret", server.address.ip(), server.address.port());
            let line = format!("{way} {login} {words}");
            let tool = Command::new("ipmitool").args(line.split(' ')).output().unwrap();
            let out = String::from_utf8_lossy(&tool.stdout);
            assert!(out.contains(expected), "{said}: {out} {}", String::from_utf8_lossy(&tool.stderr));
            server.with(|bmc| assert_eq!(bmc.power, power, "{said}"));
        }
        left_clean(&server);
        println!("ipmitool agrees: {said}");
    }
}

/// The verdict and the sessions under a network that loses, doubles, delays and changes packets.
#[test]
fn a_bad_network_changes_no_verdict() {
    let server = Server::start(Config { noise: Some(7), ..Config::default() });
    for way in WAYS {
        for _ in 0..6 {
            let status = run(&server, &format!("action=status {way} login_timeout=8"));
            assert_ne!(status.code, Some(2), "{way}: {}", status.err);
            assert!(status.code == Some(0) || !status.err.is_empty(), "{way}");
        }
    }
    server.with(|bmc| assert!(bmc.power));
}
