//! `virsh` by ssh: stand-ins for both, at the boundary of the process. What a real ssh and a real virsh
//! do is seen in the lane with the real parts.

use crate::agent::{Done, PROMPT, run};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

const UUID: &str = "4c4c4544-0051-3510-8052-b4c04f4a3332";

/// Runs its last word as the other side's shell would, and writes down all of them.
const SSH: &str =
    "#!/bin/sh\nprintf '%s\\n' \"$@\" >>DIR/ssh.words\nfor last; do :; done\nexec sh -c \"$last\"\n";

/// A domain whose state is in a file.
const VIRSH: &str = r#"#!/bin/sh
[ "$LC_ALL" = C ] && [ "$1" = -q ] && [ "$2" = -c ] && [ "$3" = qemu:///system ] || exit 9
shift 3
[ ! -e DIR/broken ] || { cat DIR/broken >&2; exit 1; }
case "$*" in
'list --all --name') echo n1; [ -e DIR/state ] && echo n2; echo ;;
'list --all --uuid') [ -e DIR/state ] && echo UUID; echo ;;
'dominfo --domain n2' | 'dominfo --domain UUID')
  state=$(cat DIR/state); id=3; [ "$state" != 'shut off' ] || id=-
  printf 'Id:             %s\nName:           n2\nUUID:           UUID\nState:          %s\nPersistent:     yes\n' "$id" "$state" ;;
'destroy --domain UUID') [ -e DIR/deaf ] || echo 'shut off' >DIR/state ;;
'start --domain UUID') echo running >DIR/state ;;
*) echo "error: $*" >&2; exit 1 ;;
esac
"#;

fn host(state: Option<&str>) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("ssh", SSH), ("virsh", VIRSH)] {
        let path = dir.path().join(name);
        let text = text.replace("DIR", &dir.path().to_string_lossy()).replace("UUID", UUID);
        let text = text.replace(&format!("\n{UUID}:"), "\nUUID:").replace(&format!("\\n{UUID}:"), "\\nUUID:");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
    if let Some(state) = state {
        fs::write(dir.path().join("state"), state).unwrap();
    }
    dir
}

fn act(host: &TempDir, action: &str, more: &str) -> Done {
    let at = |name: &str| host.path().join(name).display().to_string();
    let paths =
        format!("ssh_path={}\nvirsh_path={}\nidentity_file=/etc/key\nip=hyper-a\n", at("ssh"), at("virsh"));
    run("libvirt", &format!("{paths}plug=n2\n{PROMPT}action={action}\n{more}"))
}

fn state(host: &Path) -> String {
    fs::read_to_string(host.join("state")).unwrap().trim().to_owned()
}

#[test]
fn virsh_that_behaves_is_obeyed() {
    let host = host(Some("running"));
    assert_eq!(act(&host, "status", "").verdict(), (Some(0), "Status: ON"));
    assert_eq!(act(&host, "off", "").verdict(), (Some(0), "Success: Powered OFF"));
    assert_eq!(act(&host, "status", "").verdict(), (Some(2), "Status: OFF"));
    assert_eq!(act(&host, "reboot", "").verdict(), (Some(0), "Success: Rebooted"));
    assert_eq!(act(&host, "off", &format!("plug={UUID}")).verdict(), (Some(0), "Success: Powered OFF"));
    let words = fs::read_to_string(host.path().join("ssh.words")).unwrap();
    for expected in ["BatchMode=yes", "/etc/key", "root", "hyper-a", "22"] {
        assert!(words.lines().any(|word| word == expected), "{expected}: {words}");
    }
}

#[test]
fn what_virsh_says_is_off_only_if_it_is_shut_off() {
    for said in ["in shutdown", "pmsuspended", "crashed", "no state", "", "Shut off"] {
        let host = host(Some(said));
        fs::write(host.path().join("deaf"), "").unwrap();
        for action in ["status", "off"] {
            assert_eq!(act(&host, action, "").verdict(), (Some(1), ""), "{said}");
        }
    }
    let absent = host(None);
    for action in ["status", "off", "on"] {
        assert!(act(&absent, action, "").why().contains("not off"), "{action}");
    }
    let broken = host(Some("shut off"));
    fs::write(broken.path().join("broken"), "error: failed to connect to the hypervisor").unwrap();
    assert!(act(&broken, "status", "").why().contains("failed to connect"));
    let deaf = host(Some("running"));
    fs::write(deaf.path().join("deaf"), "").unwrap();
    assert!(act(&deaf, "off", "").why().contains("n2 is ON"));
    assert_eq!(state(deaf.path()), "running");
}

#[test]
fn an_ssh_that_does_not_connect_is_told() {
    let host = host(Some("shut off"));
    fs::write(host.path().join("ssh"), "#!/bin/sh\necho 'Permission denied (publickey).' >&2\nexit 255\n")
        .unwrap();
    let done = act(&host, "status", "");
    assert!(done.why().contains("Permission denied") && done.why().contains("identity_file"), "{done:?}");
}

#[test]
fn no_name_is_read_by_the_remote_shell() {
    let host = host(Some("running"));
    let mark = host.path().join("mark");
    for plug in ["$(touch MARK)", "`touch MARK`", "x; touch MARK", "x' ; touch MARK ; '", "--help"] {
        let plug = plug.replace("MARK", &mark.to_string_lossy());
        assert_eq!(act(&host, "off", &format!("plug={plug}")).code, Some(1), "{plug}");
    }
    assert!(!mark.exists(), "a name was run as a command");
}
