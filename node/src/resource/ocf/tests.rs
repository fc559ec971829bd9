use super::super::act::act;
use super::super::act::tests::place;
use super::super::plan::tests::rules_within;
use super::super::tree::{Outcome, Verb};
use super::Agent;
use super::metadata::Metadata;
use crate::config::{Resource, ResourceKind};
use core::time::Duration;
use picket_host::process::{Captured, Descendants, Finished, Outcome as Ended, Remains};
use picket_host::secrets::{read_secret, write_new_secret};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// Long enough that only a bug reaches it.
const FAR: Duration = Duration::from_secs(60);

/// Exits as its parameters say, and writes down what it was called with.
const AGENT: &str = r#"#!/bin/sh
if [ "$1" = meta-data ]; then
cat <<END
<?xml version="1.0"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">
<resource-agent name="Scripted" version="1.0">
<parameters>
<parameter name="dir" required="1"><content type="string"/></parameter>
<parameter name="rc_start"/><parameter name="rc_stop"/><parameter name="rc_monitor"/>
<parameter name="rc_promote"/><parameter name="rc_demote"/>
</parameters>
<actions>
<action name="start" timeout="35s"/><action name="stop" timeout="45"/><action name="monitor" timeout="15s" interval="5s"/>
<action name="promote"/><action name="demote"/><action name="meta-data" timeout="5s"/>
</actions>
</resource-agent>
END
exit 0
fi
echo "$1" >> "$OCF_RESKEY_dir/calls"
env | sort > "$OCF_RESKEY_dir/env-$1"
echo "said by $1" >&2
eval "exit \${OCF_RESKEY_rc_$1:-0}"
"#;

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let agents = dir.path().join("resource.d/test");
        std::fs::create_dir_all(&agents).unwrap();
        let path = agents.join("Scripted");
        std::fs::write(&path, AGENT).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    fn agent(&self, promotable: bool, codes: &[(&str, i32)]) -> Agent {
        let mut parameters: BTreeMap<String, String> =
            codes.iter().map(|(action, code)| (format!("rc_{action}"), code.to_string())).collect();
        parameters.insert("dir".to_owned(), self.dir.path().display().to_string());
        Agent {
            root: self.dir.path().to_owned(),
            provider: "test".to_owned(),
            name: "Scripted".to_owned(),
            parameters,
            secrets: BTreeMap::new(),
            promotable,
        }
    }

    fn calls(&self) -> Vec<String> {
        let path = self.dir.path().join("calls");
        let calls = std::fs::read_to_string(&path).unwrap_or_default();
        let _ = std::fs::remove_file(path);
        calls.lines().map(str::to_owned).collect()
    }
}

fn resource(agent: Agent) -> Resource {
    Resource { id: agent.title(), kind: ResourceKind::Ocf(agent), rules: rules_within(FAR, "app", &[]) }
}

async fn run(agent: Agent, verb: Verb) -> Outcome {
    act(resource(agent), place(), verb, FAR, core::future::pending(), Remains::default()).await
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::NotRunning => "not running",
        Outcome::Failed(_) => "failed",
        Outcome::Unfit(_) => "unfit",
        Outcome::Unknown(_) => "unknown",
    }
}

#[tokio::test]
async fn every_exit_status_means_what_the_standard_says() {
    let table: [(i32, [&str; 3]); 13] = [
        (0, ["done", "done", "done"]),
        (1, ["failed", "failed", "failed"]),
        (2, ["unfit", "unfit", "unfit"]),
        (3, ["unfit", "unfit", "unfit"]),
        (4, ["unfit", "unfit", "unfit"]),
        (5, ["unfit", "unfit", "unfit"]),
        (6, ["unfit", "unfit", "unfit"]),
        (7, ["not running", "failed", "done"]),
        (8, ["done", "failed", "failed"]),
        (9, ["failed", "failed", "failed"]),
        (127, ["failed", "failed", "failed"]),
        (190, ["done", "failed", "failed"]),
        (191, ["done", "failed", "failed"]),
    ];
    let bench = Bench::new();
    for (code, expected) in table {
        let mut seen = Vec::new();
        for (verb, action) in [(Verb::Monitor, "monitor"), (Verb::Start, "start"), (Verb::Stop, "stop")] {
            seen.push(word(&run(bench.agent(false, &[(action, code)]), verb).await));
        }
        assert_eq!(seen, expected, "exit status {code}");
    }
    let outcome = run(bench.agent(false, &[("stop", 1)]), Verb::Stop).await;
    assert_eq!(outcome, Outcome::Failed("stop exited with 1 (failed): said by stop".to_owned()));
}

#[tokio::test]
async fn an_agent_is_told_what_agents_are_told() {
    let bench = Bench::new();
    run(bench.agent(false, &[]), Verb::Start).await;
    let env = std::fs::read_to_string(bench.dir.path().join("env-start")).unwrap();
    let root = format!("OCF_ROOT={}", bench.dir.path().display());
    for line in [
        root.as_str(),
        "OCF_RA_VERSION_MAJOR=1",
        "OCF_RESOURCE_INSTANCE=app",
        "OCF_RESOURCE_TYPE=Scripted",
        "OCF_RESOURCE_PROVIDER=test",
        "OCF_RESKEY_CRM_meta_name=start",
        "OCF_RESKEY_CRM_meta_on_node=n1",
        "PICKET_VOLUME=v1",
    ] {
        assert!(env.lines().any(|has| has == line), "{line} is not in\n{env}");
    }
    let timeout = env.lines().find_map(|line| line.strip_prefix("OCF_RESKEY_CRM_meta_timeout=")).unwrap();
    assert!((50_000..=60_000).contains(&timeout.parse::<u64>().unwrap()), "{timeout}");
}

#[tokio::test]
async fn a_secret_reaches_the_agent_and_nobody_else() {
    let bench = Bench::new();
    let file = bench.dir.path().join("secret");
    std::fs::write(&file, "s3cr3t w0rd\n").unwrap();
    let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o600);
    let mut agent = bench.agent(false, &[("start", 1)]);
    agent.secrets.insert("password".to_owned(), file.clone());
    // It tells everything that it was told.
    let path = agent.path();
    let talks = AGENT.replace("said by $1", "\u{1b}told $OCF_RESKEY_password and s3cr3t w0rd in $*");
    std::fs::write(&path, talks).unwrap();
    let outcome = run(agent.clone(), Verb::Start).await;
    let told = "start exited with 1 (failed): told <secret> and <secret> in start";
    assert_eq!(outcome, Outcome::Failed(told.to_owned()));
    let env = std::fs::read_to_string(bench.dir.path().join("env-start")).unwrap();
    assert!(env.lines().any(|line| line == "OCF_RESKEY_password=s3cr3t w0rd"), "{env}");
    assert!(!format!("{agent:?}").contains("s3cr3t"));
    assert_eq!(agent.untold(), []);
    // One that others can read is not used, and the agent is not called without it.
    mode(0o640);
    bench.calls();
    let outcome = run(agent.clone(), Verb::Start).await;
    let Outcome::Unfit(text) = outcome else { panic!("{outcome:?}") };
    assert!(text.contains("mode is 0640") && !text.contains("s3cr3t"), "{text}");
    let looked = run(agent.clone(), Verb::Monitor).await;
    assert!(matches!(&looked, Outcome::Unknown(text) if text.contains("mode is 0640")), "{looked:?}");
    assert_eq!(bench.calls(), [""; 0]);
    mode(0o600);
    std::fs::write(&file, "two\nlines\n").unwrap();
    let told = vec![("password".to_owned(), format!("{}: not one line of text", file.display()))];
    assert_eq!(agent.untold(), told);
}

#[tokio::test]
async fn a_promotable_one_is_promoted_with_its_start_and_demoted_with_its_stop() {
    let bench = Bench::new();
    assert_eq!(run(bench.agent(true, &[]), Verb::Start).await, Outcome::Done);
    assert_eq!(bench.calls(), ["start", "promote"]);
    assert_eq!(word(&run(bench.agent(true, &[("start", 1)]), Verb::Start).await), "failed");
    assert_eq!(bench.calls(), ["start"]);
    assert_eq!(word(&run(bench.agent(true, &[("promote", 1)]), Verb::Start).await), "failed");
    let unfit = run(bench.agent(true, &[("promote", 5)]), Verb::Start).await;
    assert_eq!(word(&unfit), "failed", "what was started is there, whatever a promotion needs");
    bench.calls();
    assert_eq!(run(bench.agent(true, &[("monitor", 8)]), Verb::Monitor).await, Outcome::Done);
    assert_eq!(word(&run(bench.agent(true, &[("monitor", 0)]), Verb::Monitor).await), "failed");
    bench.calls();
    for (seen, expected) in [
        (8, vec!["monitor", "demote", "stop"]),
        (9, vec!["monitor", "demote", "stop"]),
        (1, vec!["monitor", "demote", "stop"]),
        (0, vec!["monitor", "stop"]),
        (7, vec!["monitor", "stop"]),
    ] {
        assert_eq!(run(bench.agent(true, &[("monitor", seen)]), Verb::Stop).await, Outcome::Done);
        assert_eq!(bench.calls(), expected, "monitor exits with {seen}");
    }
    let outcome = run(bench.agent(true, &[("monitor", 8), ("demote", 1)]), Verb::Stop).await;
    assert_eq!((word(&outcome), bench.calls()), ("failed", vec!["monitor".to_owned(), "demote".to_owned()]));
}

#[test]
fn an_agents_words_about_itself_are_understood() {
    let bench = Bench::new();
    let metadata = Metadata::read(&bench.agent(false, &[])).unwrap();
    assert_eq!((metadata.parameters["dir"], metadata.parameters["rc_stop"]), (true, false));
    assert_eq!(metadata.actions["start"], Some(Duration::from_secs(35)));
    assert_eq!(
        (metadata.actions["stop"], metadata.actions["promote"]),
        (Some(Duration::from_secs(45)), None)
    );
    assert!(Metadata::parse("no xml").unwrap_err().starts_with("meta-data is no XML"));
    let told = Metadata::parse("<?xml version=\u{1b}[2J?>").unwrap_err();
    assert!(!told.contains(char::is_control), "it would drive a terminal: {told:?}");
    assert!(Metadata::parse("<html/>").unwrap_err().contains("html"));
    let mut other = bench.agent(false, &[]);
    other.name = "Missing".to_owned();
    assert!(Metadata::read(&other).unwrap_err().contains("Missing"));
}

#[test]
fn a_secret_that_is_told_in_pieces_is_told_to_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    write_new_secret(&file, b"s3cr3t w0rd").unwrap();
    let hidden = [read_secret(&file).unwrap()];
    for told in ["s3cr3t w0rd", "s3c\0r3t w0rd", "s3cr3t\u{1b} w0\u{8}rd", "s3cr3t\tw0rd s3cr3t \tw0rd"] {
        let captured = |text: &str| Captured { bytes: text.as_bytes().to_vec(), dropped_bytes: 0 };
        let finished = Finished {
            outcome: Ended::Exited { code: 1 },
            descendants: Descendants::Gone,
            stdout: captured(""),
            stderr: captured(told),
            took: Duration::ZERO,
        };
        let outcome = Bench::new().agent(false, &[]).judge("start", &finished, &hidden);
        assert!(!format!("{outcome:?}").contains("s3cr3t w0rd"), "{told:?}: {outcome:?}");
    }
}

/// An agent that is installed here.
fn installed(provider: &str, name: &str, parameters: &[(&str, String)], promotable: bool) -> Agent {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let agent = Agent {
        root: PathBuf::from(super::ROOT),
        provider: provider.to_owned(),
        name: name.to_owned(),
        parameters,
        secrets: BTreeMap::new(),
        promotable,
    };
    assert!(agent.path().is_file(), "{} is not installed", agent.path().display());
    let metadata = Metadata::read(&agent).unwrap();
    for name in agent.parameters.keys() {
        assert!(metadata.parameters.contains_key(name), "{name}");
    }
    agent
}

async fn whole_life(agent: Agent) {
    assert_eq!(run(agent.clone(), Verb::Monitor).await, Outcome::NotRunning);
    for _ in 0..2 {
        assert_eq!(run(agent.clone(), Verb::Start).await, Outcome::Done, "a start of what runs is done");
        assert_eq!(run(agent.clone(), Verb::Monitor).await, Outcome::Done);
    }
    for _ in 0..2 {
        assert_eq!(run(agent.clone(), Verb::Stop).await, Outcome::Done, "a stop of what is stopped is done");
        assert_eq!(run(agent.clone(), Verb::Monitor).await, Outcome::NotRunning);
    }
}

#[tokio::test]
#[ignore = "needs the package resource-agents: ./tests/run resources"]
async fn real_agents_of_heartbeat_live_and_die() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("dummy.state").display().to_string();
    whole_life(installed("heartbeat", "Dummy", &[("state", state)], false)).await;
}

#[tokio::test]
#[ignore = "needs the package pacemaker-resource-agents: ./tests/run resources"]
async fn real_agents_of_pacemaker_live_and_die() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("dummy.state").display().to_string();
    whole_life(installed("pacemaker", "Dummy", &[("state", state.clone())], false)).await;
    // One that says that it failed, on the machine that it is told; and runs.
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned();
    let fails = installed("pacemaker", "Dummy", &[("state", state), ("fail_start_on", host)], false);
    assert_eq!(word(&run(fails.clone(), Verb::Start).await), "failed");
    assert_eq!(
        run(fails.clone(), Verb::Monitor).await,
        Outcome::Done,
        "so it is stopped after a start that failed"
    );
    assert_eq!(run(fails, Verb::Stop).await, Outcome::Done);
}

#[tokio::test]
#[ignore = "needs the package pacemaker-resource-agents: ./tests/run resources"]
async fn a_real_promotable_agent_is_promoted_and_demoted() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("stateful.state").display().to_string();
    let agent = installed("pacemaker", "Stateful", &[("state", state)], true);
    // A start of what is promoted is none of an agent's duties: this one answers 8. Nobody here asks for it.
    for (verb, expected) in [
        (Verb::Monitor, Outcome::NotRunning),
        (Verb::Start, Outcome::Done),
        (Verb::Monitor, Outcome::Done),
        (Verb::Stop, Outcome::Done),
        (Verb::Monitor, Outcome::NotRunning),
        (Verb::Stop, Outcome::Done),
    ] {
        assert_eq!(run(agent.clone(), verb).await, expected, "{verb:?}");
    }
    // Started by somebody who does not promote: it runs, and is not what it should be.
    assert_eq!(run(Agent { promotable: false, ..agent.clone() }, Verb::Start).await, Outcome::Done);
    let outcome = run(agent.clone(), Verb::Monitor).await;
    assert!(matches!(&outcome, Outcome::Failed(text) if text.contains("is not promoted")), "{outcome:?}");
    assert_eq!(run(agent.clone(), Verb::Stop).await, Outcome::Done);
    assert_eq!(run(agent, Verb::Monitor).await, Outcome::NotRunning);
}

#[test]
#[ignore = "needs the packages resource-agents and drbd-utils: ./tests/run resources"]
fn real_agents_of_replicated_volumes_say_what_they_can_do() {
    let pgsql = Metadata::read(&installed("heartbeat", "pgsql", &[], true)).unwrap();
    let drbd =
        Metadata::read(&installed("linbit", "drbd", &[("drbd_resource", "r0".to_owned())], true)).unwrap();
    for (of, known) in [(&pgsql, "pgdata"), (&drbd, "drbd_resource")] {
        for action in ["start", "stop", "monitor", "promote", "demote"] {
            assert!(of.actions.contains_key(action), "{action}");
            assert_ne!(of.actions[action], None, "{action} advises a timeout");
        }
        assert!(of.parameters.contains_key(known), "{known}");
    }
    assert!(drbd.parameters["drbd_resource"], "it must be told");
}

#[tokio::test]
#[ignore = "needs the package resource-agents, root and a network namespace: ./tests/run resources"]
async fn a_real_address_comes_and_goes() {
    let parameters =
        [("ip", "192.0.2.77".to_owned()), ("cidr_netmask", "32".to_owned()), ("nic", "lo".to_owned())];
    let agent = installed("heartbeat", "IPaddr2", &parameters, false);
    let is_there = || {
        let shown =
            std::process::Command::new("ip").args(["-o", "addr", "show", "dev", "lo"]).output().unwrap();
        String::from_utf8_lossy(&shown.stdout).contains("192.0.2.77")
    };
    assert!(!is_there());
    assert_eq!(run(agent.clone(), Verb::Start).await, Outcome::Done);
    assert!(is_there());
    whole_life_from_running(agent).await;
    assert!(!is_there());
}

async fn whole_life_from_running(agent: Agent) {
    assert_eq!(run(agent.clone(), Verb::Monitor).await, Outcome::Done);
    assert_eq!(run(agent.clone(), Verb::Stop).await, Outcome::Done);
    whole_life(agent).await;
}

#[tokio::test]
#[ignore = "needs the package resource-agents, root and a mount namespace: ./tests/run resources"]
async fn a_real_file_system_comes_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    let (image, at) = (dir.path().join("image"), dir.path().join("at"));
    std::fs::create_dir(&at).unwrap();
    let made =
        std::process::Command::new("mke2fs").args(["-q", "-t", "ext4"]).arg(&image).arg("16M").status();
    assert!(made.unwrap().success());
    let parameters = [
        ("device", image.display().to_string()),
        ("directory", at.display().to_string()),
        ("fstype", "ext4".to_owned()),
        ("options", "loop".to_owned()),
    ];
    whole_life(installed("heartbeat", "Filesystem", &parameters, false)).await;
}
