//! A daemon behind TLS, which looks at our certificate too.

use crate::agent::{Done, PROMPT, run};
use crate::daemon::Daemon;
use crate::identity::{Authority, Identity};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

const NOW: (i32, i32) = (2020, 4000);

/// A folder as `pkipath` wants it.
fn pki(authority: &Authority, own: &Identity) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("cacert.pem"), authority.pem()).unwrap();
    fs::write(dir.path().join("clientcert.pem"), own.certificate_pem()).unwrap();
    let key = dir.path().join("clientkey.pem");
    fs::write(&key, own.key_pem()).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    dir
}

fn act(daemon: &Daemon, pki: &TempDir, action: &str) -> Done {
    let uri = format!("uri=qemu://127.0.0.1:{}/system?pkipath={}", daemon.port, pki.path().display());
    run("libvirt", &format!("{uri}\nplug=n2\n{PROMPT}action={action}"))
}

#[test]
fn both_sides_show_who_they_are() {
    let ours = Authority::new("ours");
    let pki = pki(&ours, &ours.issue("fencer", NOW));
    let config = ours.issue("127.0.0.1", NOW).server_for_clients_of(&ours);
    let daemon = Daemon::behind_tls(&config, &[1]);
    assert_eq!(act(&daemon, &pki, "reboot").verdict(), (Some(0), "Success: Rebooted"));
    assert_eq!(act(&daemon, &pki, "status").verdict(), (Some(0), "Status: ON"));
}

#[test]
fn a_daemon_that_does_not_take_our_certificate_is_told() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let server = ours.issue("127.0.0.1", NOW);
    let stranger = pki(&ours, &theirs.issue("stranger", NOW));
    let daemon = Daemon::behind_tls(&server.server_for_clients_of(&ours), &[1]);
    let done = act(&daemon, &stranger, "status");
    assert!(done.why().contains("tls_cert_file") || done.why().contains("certificate of ours"), "{done:?}");
    assert!(daemon.model().called.is_empty());
    let known = pki(&ours, &ours.issue("fencer", NOW));
    for welcome in [&[][..], &[0], b"\x02"] {
        let daemon = Daemon::behind_tls(&server.server_for_clients_of(&ours), welcome);
        assert!(act(&daemon, &known, "status").why().contains("tls_allowed_dn_list"), "{welcome:?}");
    }
}

#[test]
fn a_daemon_that_we_do_not_believe_is_told_nothing() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let pki = pki(&ours, &ours.issue("fencer", NOW));
    for (server, word) in [
        (theirs.issue("127.0.0.1", NOW), "no authority"),
        (ours.issue("127.0.0.1", (2000, 2001)), "has expired"),
        (ours.issue("other.example", NOW), "not made out to 127.0.0.1"),
    ] {
        let daemon = Daemon::behind_tls(&server.server_for_clients_of(&ours), &[1]);
        let done = act(&daemon, &pki, "off");
        assert!(done.why().contains(word), "{done:?}");
        assert!(daemon.model().called.is_empty(), "{word}");
    }
}
