//! Against stand-ins for `ping` and `crm_node` at the boundary of the process, and a status as
//! Picket's daemon gives it.

use super::*;
use crate::agent::{self, Surroundings};
use crate::exit::Exit;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

struct Site(tempfile::TempDir);

/// What a run ended with, and how long it was told to wait: waits are found, not slept through.
#[derive(Debug, PartialEq)]
enum Found {
    Absent,
    Delay(u64),
    Abort,
}

impl Site {
    /// `ping` is the body of a script that has the address in `$ip`; `crm_node` one that has its flag in `$1`.
    fn new(ping: &str, crm_node: &str) -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        let dir = site.0.path().display();
        site.script("ping", &format!("for ip; do :; done; echo \"$*\" >> {dir}/pinged\n{ping}"));
        site.script("crm_node", crm_node);
        site
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    fn text(&self, more: &str) -> String {
        let dir = self.0.path().display();
        format!(
            "hostlist=n1 n2\nplug=n2\ndead_check_target=192.0.2.1 192.0.2.2\ndead_check_trialcount=2\n\
             standby_check_command=false\nonline_check_retry_max=0\nping_path={dir}/ping\n\
             crm_node_path={dir}/crm_node\nstatus_command=cat {dir}/status\n{more}"
        )
    }

    fn look(&self, caller: Caller, more: &str) -> Found {
        let options = Options::from_lines(&KIND, &self.text(more));
        let mut gate = open(&options, caller).unwrap();
        match gate.look("n2", &Reporter::local("test")) {
            Finding::Absent(_) => Found::Absent,
            Finding::Delay(wait, _) => Found::Delay(wait.as_secs()),
            Finding::Abort(_) => Found::Abort,
        }
    }

    fn run(&self, caller: Caller, more: &str) -> (Exit, String) {
        let text = self.text(more);
        let mut out = Vec::new();
        let around = Surroundings {
            words: &[],
            stdin: &mut text.as_bytes(),
            out: &mut out,
            caller,
            system_log: false,
        };
        (agent::run(&KIND, around).unwrap(), String::from_utf8(out).unwrap())
    }

    fn pings(&self) -> usize {
        fs::read_to_string(self.0.path().join("pinged")).unwrap_or_default().lines().count()
    }

    fn status(&self, member: &str) {
        let text = format!(
            r#"{{"schema":1,"quorum":{{"verdict":"QUORATE"}},"members":[{{"node":"n1","state":"ALIVE"}},{{"node":"n2",{member}}}]}}"#
        );
        fs::write(self.0.path().join("status"), text).unwrap();
    }
}

const SILENT: &str = "exit 1";
const REPLIES: &str = "[ $ip = 192.0.2.2 ] || exit 1";
const ALONE: &str = "echo n1";
const TOGETHER: &str = "echo n1 N2";

#[test]
fn silence_shortens_the_wait_and_is_never_a_success() {
    let site = Site::new(SILENT, ALONE);
    for caller in [Caller::Anyone, Caller::Pacemaker, Caller::PicketGate] {
        assert_eq!(site.look(caller, ""), Found::Absent);
    }
    assert_eq!(site.pings(), 3 * 2 * 2, "each address as often as dead_check_trialcount says");
    // The original says "fenced" here.
    assert_eq!(site.run(Caller::Pacemaker, "action=off"), (Exit::Failed, String::new()));
    assert_eq!(site.run(Caller::Pacemaker, "action=reboot"), (Exit::Failed, String::new()));
    assert_eq!(site.run(Caller::PicketGate, "action=off").0, Exit::Success);
}

#[test]
fn one_reply_of_all_that_were_asked_for_is_no_silence() {
    for (replies_at, expected) in [(1, Found::Delay(25)), (5, Found::Delay(25)), (6, Found::Absent)] {
        // The second address replies to its Nth packet only; all others are lost.
        let lossy = format!(
            "[ $ip = 192.0.2.2 ] || exit 1; [ $(grep -c 192.0.2.2 \"${{0%/*}}/pinged\") -ge {replies_at} ]"
        );
        let site = Site::new(&lossy, ALONE);
        assert_eq!(site.look(Caller::Pacemaker, "dead_check_trialcount=5"), expected, "{replies_at}");
    }
}

#[test]
fn what_cannot_be_asked_is_not_silent() {
    for ping in ["exit 2", "kill -9 $$", "[ $ip = 192.0.2.2 ] && exit 2; exit 1"] {
        assert_eq!(Site::new(ping, ALONE).look(Caller::Pacemaker, ""), Found::Delay(25), "{ping}");
    }
    let site = Site::new(SILENT, ALONE);
    assert_eq!(site.look(Caller::Pacemaker, "ping_path=/nonexistent/ping"), Found::Delay(25));
    assert_eq!(site.run(Caller::Anyone, "action=monitor\nping_path=/nonexistent/ping").0, Exit::Failed);
    assert_eq!(site.run(Caller::Anyone, "action=monitor").0, Exit::Success);
}

#[test]
fn under_pacemaker_a_standby_waits_and_the_active_node_does_not() {
    let site = Site::new(REPLIES, ALONE);
    assert_eq!(site.look(Caller::Pacemaker, ""), Found::Delay(25));
    assert_eq!(site.look(Caller::Pacemaker, "standby_wait_time=7"), Found::Delay(7));
    assert_eq!(site.look(Caller::Pacemaker, "standby_check_command=true"), Found::Delay(0));
    assert_eq!(site.look(Caller::Pacemaker, "standby_check_command=kill -9 $$"), Found::Delay(25));
    assert_eq!(site.look(Caller::Pacemaker, "run_standby_wait=no"), Found::Delay(0));
    assert_eq!(site.look(Caller::Pacemaker, "run_dead_check=no"), Found::Delay(25));
    assert_eq!(site.look(Caller::Pacemaker, "run_quorum_check=yes"), Found::Delay(35));
    assert_eq!(site.look(Caller::Anyone, ""), Found::Delay(25), "by hand as under Pacemaker");
}

#[test]
fn a_member_needs_no_head_start() {
    let site = Site::new(REPLIES, TOGETHER);
    assert_eq!(site.look(Caller::Pacemaker, ""), Found::Delay(0));
    assert_eq!(site.look(Caller::Pacemaker, "run_online_check=No"), Found::Delay(25));
    // Not a member; nobody knows; another machine's name in it.
    for crm_node in ["echo n1", "exit 1", "echo n1 n22", "echo n2; exit 70"] {
        assert_eq!(Site::new(REPLIES, crm_node).look(Caller::Pacemaker, ""), Found::Delay(25), "{crm_node}");
    }
}

#[test]
fn under_picket_the_permit_arbitrates_so_the_wait_is_zero_unless_given() {
    let site = Site::new(REPLIES, ALONE);
    site.status(r#""state":"UNKNOWN","witness_hears":false,"holds":["v1"],"failed":false"#);
    assert_eq!(site.look(Caller::PicketGate, ""), Found::Delay(0));
    assert_eq!(site.look(Caller::PicketGate, "standby_check_command="), Found::Delay(0));
    assert_eq!(site.look(Caller::PicketGate, "standby_wait_time=3"), Found::Delay(3));
    assert_eq!(site.run(Caller::PicketGate, "action=off").0, Exit::Success);
}

#[test]
fn under_picket_a_healthy_holder_stops_the_fence() {
    let site = Site::new(REPLIES, ALONE);
    site.status(r#""state":"ALIVE","witness_hears":true,"holds":["v1"],"failed":false"#);
    assert_eq!(site.look(Caller::PicketGate, ""), Found::Abort);
    assert_eq!(site.run(Caller::PicketGate, "action=off").0, Exit::GateAbort);
    assert_eq!(site.look(Caller::PicketGate, "run_online_check=no"), Found::Delay(0));
    assert_eq!(site.look(Caller::Pacemaker, ""), Found::Delay(25), "Pacemaker has no ABORT");
    for member in [
        r#""state":"ALIVE","witness_hears":true,"holds":["v1"],"failed":true"#,
        r#""state":"ALIVE","witness_hears":true,"holds":[],"failed":false"#,
        r#""state":"ALIVE","witness_hears":false,"holds":["v1"],"failed":false"#,
        r#""state":"ALIVE","witness_hears":null,"holds":["v1"],"failed":false"#,
        r#""state":"SUSPECT","witness_hears":true,"holds":["v1"],"failed":false"#,
    ] {
        site.status(member);
        assert_eq!(site.look(Caller::PicketGate, ""), Found::Delay(0), "{member}");
    }
}

#[test]
fn a_status_that_makes_no_sense_stops_nothing() {
    let site = Site::new(REPLIES, ALONE);
    assert_eq!(site.look(Caller::PicketGate, ""), Found::Delay(0), "no status");
    for status in ["", "garbage", "{}", r#"{"schema":2,"members":[]}"#, r#"{"schema":1,"members":[]}"#] {
        fs::write(site.0.path().join("status"), status).unwrap();
        assert_eq!(site.look(Caller::PicketGate, ""), Found::Delay(0), "{status}");
    }
}

#[test]
fn no_quorum_is_no_success() {
    for crm_node in ["echo 0", "echo 1", "echo ?", "exit 1"] {
        let site = Site::new(REPLIES, crm_node);
        let more = "action=off\nrun_quorum_check=yes\nquorum_check_wait_time=0\nstandby_wait_time=0";
        assert_eq!(site.run(Caller::Pacemaker, more), (Exit::Failed, String::new()), "{crm_node}");
    }
    let sources = |script: &str| {
        let site = Site::new(REPLIES, script);
        let crm_node = site.0.path().join("crm_node").display().to_string();
        asked::Sources { status_command: String::new(), crm_node }.crm_quorum()
    };
    assert_eq!((sources("echo 1"), sources("echo 0")), (Answer::Yes, Answer::No));
    assert!(matches!((sources("echo 2"), sources("exit 1")), (Answer::Unknown(_), Answer::Unknown(_))));
}

#[test]
fn what_is_missing_is_said_and_the_next_level_is_not_kept_waiting() {
    let site = Site::new(REPLIES, ALONE);
    for more in [
        "dead_check_target=",
        "dead_check_target=n2.example.org",
        "dead_check_target=192.0.2.1%",
        "standby_check_command=",
        "hostlist=",
        "dead_check_trialcount=x",
    ] {
        for action in ["off", "monitor", "validate-all"] {
            let refused = site.run(Caller::Pacemaker, &format!("action={action}\n{more}"));
            assert_eq!(refused, (Exit::Failed, String::new()), "{action} {more}");
        }
    }
    assert_eq!(site.pings(), 0);
    assert_eq!(site.run(Caller::Pacemaker, "action=list"), (Exit::Success, "n1,\nn2,\n".into()));
    assert_eq!(site.run(Caller::Pacemaker, "action=validate-all").0, Exit::Success);
    for action in ["on", "status"] {
        assert_eq!(site.run(Caller::PicketGate, &format!("action={action}")).0, Exit::Failed);
    }
}

#[test]
fn an_address_may_name_its_interface() {
    let site = Site::new("exit 0", ALONE);
    assert_eq!(site.look(Caller::PicketGate, "dead_check_target=fe80::1%eth0"), Found::Delay(0));
    let pinged = fs::read_to_string(site.0.path().join("pinged")).unwrap();
    assert_eq!(pinged, "-n -q -c 1 -W 1 -I eth0 -- fe80::1\n");
}
