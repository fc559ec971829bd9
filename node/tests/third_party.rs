//! The daemon's fencer and its tests of devices with agents that others wrote: Debian's `fence_ipmilan` against
//! `ipmi_sim`, `fence_dummy` and `fence_virsh`. The machine is a process, and the controller's power is a script that
//! kills and starts it. `./tests/run interop` installs what this needs and runs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by them

use core::time::Duration;
use picket_core::ids::NodeId;
use picket_core::time::Instant;
use picket_core::topology::{DeviceKind, DeviceOrder, DeviceVerdict, OrderId, PowerAction};
use picket_node::config::{ActionMap, FenceDevice, TestDepth};
use picket_node::fencer::check::{Found, check};
use picket_node::fencer::{Ended, carry_out};
use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const PASSWORD: &str = "s3cret";

/// The power of the machine. `$1` is the directory, `$2` get or set, `$4` the wanted power.
const CHASSIS: &str = r#"#!/bin/sh
cd "$1" || exit 1
alive() { grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$(cat pid)/status"; }
case "$2 $3" in
"get power") alive && echo power:1 || echo power:0 ;;
"set power")
  [ -e deaf ] && exit 0
  if [ "$4" = 0 ]; then kill -9 "$(cat pid)"; elif ! alive; then
    sleep 1000 >/dev/null 2>&1 </dev/null &
    echo $! >pid
  fi ;;
esac
"#;

struct Site {
    dir: tempfile::TempDir,
    port: u16,
    bmc: Child,
    machine: Child,
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.bmc.kill();
        let _ = self.bmc.wait();
        let _ = self.machine.kill();
        let _ = self.machine.wait();
        let _ = Command::new("kill").arg("-9").arg(self.pid().to_string()).status();
    }
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display().to_string();
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let chassis = dir.path().join("chassis");
        fs::write(&chassis, CHASSIS).unwrap();
        fs::set_permissions(&chassis, fs::Permissions::from_mode(0o755)).unwrap();
        let auths = ["callback", "user", "operator", "admin"]
            .map(|who| format!("allowed_auths_{who} none md2 md5 straight\n"))
            .concat();
        let lan = format!(
            "name \"bmc\"\nset_working_mc 0x20\nstartlan 1\naddr 127.0.0.1 {port}\npriv_limit admin\n{auths}\
             guid a123456789abcdefa123456789abcdef\nendlan\nchassis_control \"{at}/chassis {at}\"\n\
             user 2 true \"admin\" \"{PASSWORD}\" admin 10 none md2 md5 straight\n"
        );
        fs::write(dir.path().join("lan"), lan).unwrap();
        let emulator =
            "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\nmc_enable 0x20\n";
        fs::write(dir.path().join("emu"), emulator).unwrap();
        let machine = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        fs::write(dir.path().join("pid"), machine.id().to_string()).unwrap();
        let bmc = Command::new("ipmi_sim")
            .args(["-n", "-c", &format!("{at}/lan"), "-f", &format!("{at}/emu"), "-s", &at])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("ipmi_sim (Debian: openipmi)");
        Self { dir, port, bmc, machine }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn pid(&self) -> u32 {
        fs::read_to_string(self.path("pid")).unwrap_or_default().trim().parse().unwrap_or(u32::MAX)
    }

    /// Whether the machine runs: seen at the process itself, not asked from anybody.
    fn runs(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
    }

    fn ipmi(&self, password: &str) -> FenceDevice {
        let secret = self.path(&format!("password-{password}"));
        let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&secret);
        std::io::Write::write_all(&mut file.unwrap(), password.as_bytes()).unwrap();
        let mut device = agent("/usr/sbin/fence_ipmilan");
        let port = self.port.to_string();
        let options = [
            ("ip", "127.0.0.1"),
            ("ipport", &port),
            ("username", "admin"),
            ("lanplus", "1"),
            ("cipher", "3"),
        ];
        device.options.extend(options.map(|(name, value)| (name.to_owned(), value.to_owned())));
        device.options.insert("power_timeout".to_owned(), "3".to_owned());
        device.secrets.insert("password".to_owned(), secret);
        device
    }
}

fn agent(path: &str) -> FenceDevice {
    assert!(Path::new(path).exists(), "{path} (Debian: fence-agents)");
    FenceDevice {
        agent: Some(path.into()),
        args: Vec::new(),
        kind: DeviceKind::Power,
        timeout: Duration::from_secs(60),
        retries: 0,
        delay: Duration::ZERO,
        options: BTreeMap::from([("port".to_owned(), "n2".to_owned())]),
        secrets: BTreeMap::new(),
        test: TestDepth::Full,
        actions: ActionMap::default(),
    }
}

async fn order(device: &FenceDevice, action: PowerAction) -> Ended {
    let order = DeviceOrder {
        order: OrderId(1),
        target: NodeId(2),
        level: 0,
        device: 0,
        action,
        start_before: Instant::NEVER,
        delay: Duration::ZERO,
        timeout: device.timeout,
    };
    carry_out(device, "n2", order).await
}

async fn tested(device: &FenceDevice, heard: bool) -> Found {
    check(device, "n2", || heard, Duration::from_millis(10)).await
}

#[tokio::test]
#[ignore = "needs ipmi_sim and fence-agents: ./tests/run interop"]
async fn fence_ipmilan_is_tested_switches_off_and_on() {
    let site = Site::new();
    let device = site.ipmi(PASSWORD);
    let found = tested(&device, true).await;
    assert_eq!((found.passed, found.state), (true, "ON"), "{found:?}");
    assert!(site.runs(), "a test did something");
    let ended = order(&device, PowerAction::Off).await;
    assert_eq!((&ended.verdict, site.runs()), (&DeviceVerdict::ConfirmedOff, false), "{}", ended.text);
    assert!(!ended.text.contains(PASSWORD), "{}", ended.text);
    assert_eq!(tested(&device, false).await.state, "OFF");
    assert!(!tested(&device, true).await.passed, "off, and heard: another machine's plug");
    let ended = order(&device, PowerAction::On).await;
    assert_eq!((&ended.verdict, site.runs()), (&DeviceVerdict::GatePassed, true), "{}", ended.text);
}

#[tokio::test]
#[ignore = "needs ipmi_sim and fence-agents: ./tests/run interop"]
async fn no_failure_of_fence_ipmilan_is_taken_for_off() {
    let mut site = Site::new();
    fs::write(site.path("deaf"), "").unwrap();
    let ended = order(&site.ipmi(PASSWORD), PowerAction::Off).await;
    assert_eq!((&ended.verdict, site.runs()), (&DeviceVerdict::Failed, true), "deaf: {}", ended.text);
    fs::remove_file(site.path("deaf")).unwrap();
    let wrong = site.ipmi("wrong");
    let ended = order(&wrong, PowerAction::Off).await;
    assert_eq!((&ended.verdict, site.runs()), (&DeviceVerdict::Failed, true), "login: {}", ended.text);
    assert!(!tested(&wrong, true).await.passed);
    site.bmc.kill().unwrap();
    site.bmc.wait().unwrap();
    let device = FenceDevice { timeout: Duration::from_secs(10), ..site.ipmi(PASSWORD) };
    let ended = order(&device, PowerAction::Off).await;
    let is_no_proof = matches!(ended.verdict, DeviceVerdict::Failed | DeviceVerdict::Unknown);
    assert!(is_no_proof && site.runs(), "no controller: {ended:?}");
    assert!(!tested(&device, true).await.passed);
}

#[tokio::test]
#[ignore = "needs fence-agents: ./tests/run interop"]
async fn other_agents_of_debian_are_spoken_to() {
    let dir = tempfile::tempdir().unwrap();
    let mut dummy = agent("/usr/sbin/fence_dummy");
    dummy.options.insert("status_file".to_owned(), dir.path().join("status").display().to_string());
    assert_eq!(order(&dummy, PowerAction::On).await.verdict, DeviceVerdict::GatePassed);
    assert_eq!(tested(&dummy, true).await.state, "ON");
    assert_eq!(order(&dummy, PowerAction::Off).await.verdict, DeviceVerdict::ConfirmedOff);
    assert_eq!(tested(&dummy, false).await.state, "OFF");
    // Nobody serves ssh at this address: nothing is off because of it.
    let mut virsh = agent("/usr/sbin/fence_virsh");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let options = [("ip", "127.0.0.1"), ("ipport", &free), ("username", "nobody"), ("login_timeout", "3")];
    virsh.options.extend(options.map(|(name, value)| (name.to_owned(), value.to_owned())));
    virsh.options.insert("password".to_owned(), "none".to_owned());
    assert_eq!(order(&virsh, PowerAction::Off).await.verdict, DeviceVerdict::Failed);
    assert!(!tested(&virsh, true).await.passed);
}

/// Runs its last word as the other side's shell would.
const SSH: &str = "#!/bin/sh\nfor last; do :; done\nPATH=DIR:$PATH exec sh -c \"$last\"\n";

/// A domain that is a process, whose number is in a file.
const VIRSH: &str = r#"#!/bin/sh
cd DIR || exit 1
alive() { grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$(cat pid)/status"; }
case "$*" in
'domstate n2') alive && echo running || echo 'shut off' ;;
'destroy n2') [ -e deaf ] || kill -9 "$(cat pid)" ;;
'start n2') sleep 1000 >/dev/null 2>&1 </dev/null & echo $! >pid ;;
*) echo "error: $*" >&2; exit 1 ;;
esac
"#;

#[tokio::test]
#[ignore = "needs fence-agents: ./tests/run interop"]
async fn fence_virsh_switches_off_and_on_and_no_failure_of_it_is_off() {
    let mut site = Site::new();
    let at = site.dir.path().display().to_string();
    for (name, text) in [("ssh", SSH), ("virsh", VIRSH), ("key", "")] {
        fs::write(site.path(name), text.replace("DIR", &at)).unwrap();
        fs::set_permissions(site.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut virsh = agent("/usr/sbin/fence_virsh");
    let (ssh, key) = (format!("{at}/ssh"), format!("{at}/key"));
    let options =
        [("ip", "hyper"), ("username", "root"), ("secure", "1"), ("ssh_path", &ssh), ("identity_file", &key)];
    virsh.options.extend(options.map(|(name, value)| (name.to_owned(), value.to_owned())));
    virsh.options.insert("power_timeout".to_owned(), "3".to_owned());
    let found = tested(&virsh, true).await;
    assert_eq!((found.passed, found.state, site.runs()), (true, "ON", true), "{found:?}");
    fs::write(site.path("deaf"), "").unwrap();
    let ended = order(&virsh, PowerAction::Off).await;
    assert_eq!((&ended.verdict, site.runs()), (&DeviceVerdict::Failed, true), "deaf: {}", ended.text);
    fs::remove_file(site.path("deaf")).unwrap();
    let ended = order(&virsh, PowerAction::Off).await;
    assert_eq!((&ended.verdict, site.runs()), (&DeviceVerdict::ConfirmedOff, false), "{}", ended.text);
    site.machine.wait().unwrap();
    // What is started here is a descendant of the agent, and ends with it as all that agents leave behind.
    let ended = order(&virsh, PowerAction::On).await;
    assert_eq!(ended.verdict, DeviceVerdict::GatePassed, "{}", ended.text);
}
