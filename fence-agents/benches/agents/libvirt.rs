//! `libvirt` by a daemon's socket and by ssh, beside `fence_virsh` by ssh.
//!
//! The ssh is a stand-in that runs the command here, the `virsh` one that has its domain in a file: what is measured is
//! what the agents add.

#[path = "../../tests/libvirt/daemon.rs"]
#[allow(dead_code)] // a part of it
mod daemon;

use crate::{Plan, Subject};
use daemon::{Daemon, RUNNING, UUID_TEXT};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Runs its last word as the other side's shell would.
const SSH: &str = "#!/bin/sh\nfor last; do :; done\nexec sh -c \"$last\"\n";

const VIRSH: &str = r#"#!/bin/sh
[ "$1" != -q ] || shift 3
state=$(cat DIR/state); id=3; [ "$state" != 'shut off' ] || id=-
case "$*" in
'list --all --name') echo n2 ;;
'dominfo '*)
  printf 'Id:             %s\nName:           n2\nUUID:           UUID\nState:          %s\nPersistent:     yes\n' "$id" "$state" ;;
'domstate n2') echo "$state" ;;
'destroy '*) echo 'shut off' >DIR/state ;;
*) echo "error: $*" >&2; exit 1 ;;
esac
"#;

fn tool(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    let text = text
        .replace("DIR", &dir.to_string_lossy())
        .replace("           UUID", &format!("           {UUID_TEXT}"));
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

pub(crate) fn measure(plan: &Plan) {
    let daemon = Daemon::good();
    let dir = tempfile::tempdir().unwrap();
    let (ssh, virsh) = (tool(dir.path(), "ssh", SSH), tool(dir.path(), "virsh", VIRSH));
    let key = dir.path().join("key");
    fs::write(&key, "").unwrap();
    let common = format!("ssh_path={ssh} identity_file={} ip=hyper username=root plug=n2", key.display());
    let by_socket = |name, action: &str| {
        Subject::ours(name, "libvirt", &format!("uri={} plug=n2 action={action}", daemon.uri()))
    };
    let by_ssh = |name, action: &str| {
        Subject::ours(name, "libvirt", &format!("{common} virsh_path={virsh} action={action}"))
    };
    let theirs = |name, options: &str| {
        let path = Some(dir.path().display().to_string());
        Subject { path, ..Subject::theirs(name, "fence_virsh", &format!("{common} secure=1 {options}")) }
    };
    let on = || {
        daemon.model().set("n2", RUNNING);
        fs::write(dir.path().join("state"), "running\n").unwrap();
    };
    let subjects = [
        by_ssh("picket, ssh", "status"),
        by_socket("picket, socket", "status"),
        theirs("fence_virsh, ssh", "action=status"),
    ];
    plan.compare("\nlibvirt: status", &subjects, on);
    let subjects = [
        by_ssh("picket, ssh", "off"),
        by_socket("picket, socket", "off"),
        theirs("fence_virsh, ssh", "action=off"),
        theirs("fence_virsh, power_wait=0", "action=off power_wait=0"),
    ];
    plan.compare_slow("libvirt: off, seen off", &subjects, on);
}
