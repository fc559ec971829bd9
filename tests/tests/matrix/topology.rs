//! Levels of fence devices on real machines: gate, controller, person; dual feeds, retries, delay, deadlines.

use super::controller::{Controller, LOGIN};
use super::lab::{LIMIT, Lab, Outcome, play, program, two};
use core::time::Duration;
use picket::demo::Fault;
use picket::demo::cluster::{ClusterSpec, FenceLevel, LossAction, PICKETD, View, Watchdog};
use picket::demo::machine::MachineSpec;
use picket_proto::v1::{ConfirmRequest, FenceEntry, FenceHistoryRequest, FenceRequest, outcome};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::Status;

/// A device that notes when it was asked what, and then does as its first word says. The others: the file, the agent
/// of the machine's power switch.
const DEVICE: &str = r#"#!/bin/sh
input=$(cat)
action=$(printf '%s\n' "$input" | sed -n 's/^action=//p')
echo "$1 $action $(date +%s%N)" >>"$2"
case $1 in
hangs) sleep 1000 ;;
feed-a) printf '%s\n' "$input" | "$3" ;;
feed-b) [ "$action" = outlet-off ] ;;
esac
"#;

/// The pause before the second feed.
const DELAY: Duration = Duration::from_millis(300);

fn script(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    path.display().to_string()
}

fn agent(dir: &Path, name: &str) -> String {
    let link = dir.join(name);
    symlink(program(), &link).expect("a link");
    link.display().to_string()
}

fn each(lines: impl Fn(&str) -> String) -> FenceLevel {
    FenceLevel::Lines(["n1", "n2"].map(|name| (name.to_owned(), lines(name))).into())
}

/// Nothing but a device proves anything here.
fn by_device_only(fence: Vec<FenceLevel>) -> ClusterSpec {
    ClusterSpec { fence, watchdog: Watchdog::None, loss_action: LossAction::Freeze, ..two() }
}

/// What the node did, the oldest first.
async fn history(
    lab: &Lab,
    node: &str,
    target: &str,
) -> Result<Vec<FenceEntry>, Box<dyn Error + Send + Sync>> {
    let mut daemon = lab.daemon(node).await?;
    let request = FenceHistoryRequest { node: target.to_owned(), entries_max: 0 };
    let mut entries = daemon.calls().fence_history(request).await?.into_inner().entries;
    entries.reverse();
    Ok(entries)
}

fn outcomes(entries: &[FenceEntry]) -> Vec<(u32, String, String)> {
    entries.iter().map(|entry| (entry.level, entry.device.clone(), entry.outcome.clone())).collect()
}

fn row(level: u32, device: &str, outcome: &str) -> (u32, String, String) {
    (level, device.to_owned(), outcome.to_owned())
}

#[test]
fn a_device_that_hangs_is_tried_again_and_left_then_both_feeds_go_off_and_one_on() {
    play(async {
        let dir = tempfile::tempdir()?;
        let (device, switch) =
            (script(dir.path(), "device", DEVICE), agent(dir.path(), "fence_picket_process"));
        let notes = dir.path().join("notes");
        let file = notes.display();
        let first = each(|_| {
            format!(
                "agent = {device:?}\nargs = [\"hangs\", \"{file}\"]\ntimeout = \"300ms\"\nretries = 1\ntest = \"none\""
            )
        });
        let second = each(|name| {
            format!(
                "[[fence.{name}.level.device]]\nagent = {device:?}\nargs = [\"feed-a\", \"{file}\", {switch:?}]\n\
                 test = \"none\"\noptions = {{ socket_path = \"SWITCH\" }}\n\
                 [[fence.{name}.level.device]]\nagent = {device:?}\nargs = [\"feed-b\", \"{file}\"]\ntest = \"none\"\n\
                 delay = \"{}ms\"\nactions = {{ off = \"outlet-off\", on = \"none\" }}",
                DELAY.as_millis()
            )
        });
        let lab = Lab::start(by_device_only(vec![first, second])).await?;
        let fault = Fault::now();
        lab.cluster.machine(&lab.holder)?.power_off().await?;
        assert_eq!(lab.takeover(fault).await?, "FENCED");
        // It is powered on again after the fence.
        lab.cluster.wait_healthy(LIMIT).await?;
        let told = fs::read_to_string(&notes)?;
        let told: Vec<Vec<&str>> = told.lines().map(|line| line.split(' ').collect()).collect();
        let asked: Vec<String> = told.iter().map(|words| words[..2].join(" ")).collect();
        assert_eq!(asked, ["hangs off", "hangs off", "feed-a off", "feed-b outlet-off", "feed-a on"]);
        let at = |line: usize| told[line][2].parse::<u128>().expect("nanoseconds");
        assert!(at(3) - at(2) >= DELAY.as_nanos(), "no delay before the second feed: {told:?}");
        let entries = history(&lab, &lab.other, &lab.holder).await?;
        let hung = row(1, "1", "UNKNOWN");
        let expected = [
            hung.clone(),
            hung,
            row(2, "1", "CONFIRMED_OFF"),
            row(2, "2", "CONFIRMED_OFF"),
            row(2, "1", "ON"),
        ];
        // The device that is not to power on has an entry of its own, which says so.
        assert!(outcomes(&entries).starts_with(&expected[..4]), "{entries:?}");
        assert!(outcomes(&entries)[4..].contains(&expected[4]), "{entries:?}");
        several_requests(&lab, &notes).await?;
        let holder = lab.holder.clone();
        lab.judge(&holder).await
    });
}

/// Three operators ask for the same fence at once: one fence.
async fn several_requests(lab: &Lab, notes: &Path) -> Outcome {
    let target = lab.other.clone();
    fs::write(notes, "")?;
    let mut asking = JoinSet::new();
    for number in 1..=3 {
        let mut daemon = lab.daemon(&lab.holder).await?;
        let request = FenceRequest {
            node: target.clone(),
            action: String::new(),
            reason: format!("operator {number}"),
        };
        asking.spawn(async move {
            // The node that is asked has just started, and may have promised before to spare the other.
            loop {
                let told = daemon.calls().fence(request.clone()).await?.into_inner();
                match &told.result {
                    Some(outcome::Result::Refused(refused)) if refused.word == "QUARANTINED" => {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    _ => return Ok::<_, Status>(told),
                }
            }
        });
    }
    // One of them is told that it is done. The others may have to wait for its end.
    let mut done = false;
    while !done {
        let told = asking.join_next().await.ok_or("nobody was told that it is done")??;
        let answer = told.map_err(|status| status.to_string())?;
        done = matches!(answer.result, Some(outcome::Result::Done(_)));
    }
    asking.shutdown().await;
    let back = |view: &View| view.in_service("v1").as_deref() == Some(lab.holder.as_str());
    lab.cluster.wait_for("the takeover by whom they asked", LIMIT, back).await?;
    lab.cluster.wait_healthy(LIMIT).await?;
    let told = fs::read_to_string(notes)?;
    let offs = told.lines().filter(|line| line.starts_with("feed-a off ")).count();
    assert_eq!(offs, 1, "several requests were several fences:\n{told}");
    Ok(())
}

#[test]
fn gate_then_controller_then_person() {
    play(async {
        let dir = tempfile::tempdir()?;
        let (ipmi, gate) =
            (agent(dir.path(), "fence_picket_ipmi"), agent(dir.path(), "fence_picket_stonith_helper"));
        let password = dir.path().join("password");
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&password);
        std::io::Write::write_all(&mut file?, LOGIN.1.as_bytes())?;
        let controllers: BTreeMap<&str, Controller> =
            ["n1", "n2"].map(|name| (name, Controller::start())).into();
        let helper = each(|name| {
            format!(
                "kind = \"gate\"\nagent = {gate:?}\noptions = {{ hostlist = \"{name}\", run_dead_check = \"no\", \
                 standby_check_command = \"false\", standby_wait_time = \"0.2\", run_online_check = \"no\" }}"
            )
        });
        let bmc = each(|name| {
            let port = controllers[name].port;
            format!(
                "agent = {ipmi:?}\ntimeout = \"10s\"\nsecrets = {{ password = {password:?} }}\n\
                 options = {{ ip = \"127.0.0.1\", ipport = \"{port}\", username = \"{}\", power_timeout = \"1\" }}",
                LOGIN.0
            )
        });
        let lab = Lab::start(by_device_only(vec![helper, bmc, FenceLevel::Meatware])).await?;
        for (name, controller) in &controllers {
            controller.connect(MachineSpec::new(*name, lab.cluster.dir().join(name)).power_socket());
        }
        // A daemon that hangs: the machine runs, so only the controller can end it.
        let fault = Fault::now();
        lab.cluster.machine(&lab.holder)?.freeze(PICKETD).await?;
        assert_eq!(lab.takeover(fault).await?, "FENCED");
        lab.cluster.wait_healthy(LIMIT).await?;
        assert_eq!(controllers[lab.holder.as_str()].ordered(), ["off", "on"]);
        let entries = history(&lab, &lab.other, &lab.holder).await?;
        assert_eq!(
            outcomes(&entries)[..2],
            [row(1, "1", "GATE_PASSED"), row(2, "1", "CONFIRMED_OFF")],
            "{entries:?}"
        );
        assert!(entries[0].text.contains("DELAY 200ms"), "the standby did not wait: {entries:?}");
        by_a_person(lab, &controllers).await
    });
}

/// Now the other one hangs, and its controller accepts the order and does nothing.
async fn by_a_person(lab: Lab, controllers: &BTreeMap<&str, Controller>) -> Outcome {
    let (target, by) = (lab.other.clone(), lab.holder.clone());
    controllers[target.as_str()].deafen();
    let machine = lab.cluster.machine(&target)?;
    machine.freeze(PICKETD).await?;
    let pending =
        |view: &View| view.node(&by)?.pending.iter().find(|pending| pending.target == target).cloned();
    let asked = lab.cluster.wait_for("a request to confirm", LIMIT, |view| pending(view).is_some()).await?;
    assert_ne!(asked.in_service("v1").as_deref(), Some(by.as_str()), "it took over before anybody was sure");
    machine.power_off().await?;
    let unheard = |view: &View| pending(view).is_some_and(|pending| pending.heard_by.is_empty());
    let view = lab.cluster.wait_for("nobody hears it", LIMIT, unheard).await?;
    let challenge = pending(&view).expect("just seen").challenge;
    let mut daemon = lab.daemon(&by).await?;
    daemon.calls().confirm(ConfirmRequest { node: target.clone(), challenge }).await?;
    let took = |view: &View| view.in_service("v1").as_deref() == Some(by.as_str());
    lab.cluster.wait_for("the takeover", LIMIT, took).await?;
    // It is written beside what goes on.
    let confirmed = async {
        loop {
            let entries = history(&lab, &by, &target).await?;
            if entries.iter().any(|entry| entry.manual && entry.outcome == "CONFIRMED_OFF") {
                return Ok::<_, Box<dyn Error + Send + Sync>>(entries);
            }
        }
    };
    let entries =
        timeout(LIMIT, confirmed).await.map_err(|_| "the history does not tell who confirmed")??;
    assert_eq!(outcomes(&entries)[..2], [row(1, "1", "GATE_PASSED"), row(2, "1", "FAILED")], "{entries:?}");
    lab.judge(&by).await
}
