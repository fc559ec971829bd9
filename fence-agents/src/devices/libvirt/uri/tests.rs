use super::*;

#[test]
fn uris_are_read_as_libvirt_reads_them() {
    let remote = |text: &str| Uri::parse(text).unwrap().remote;
    assert_eq!(remote("qemu:///system"), "qemu:///system");
    assert_eq!(remote("qemu+ssh://root@h:22/system"), "qemu:///system");
    assert_eq!(remote("xen://h/?name=xen:///system"), "xen:///system");
    let transport = |text: &str| Uri::parse(text).unwrap().transport;
    let sockets = ["/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock"].map(PathBuf::from);
    assert_eq!(transport("qemu:///system"), Transport::Unix(sockets.to_vec()));
    assert_eq!(transport("test+unix:///default?socket=/x"), Transport::Unix(vec!["/x".into()]));
    let tls = |host: &str, port, pki: Option<&str>| Transport::Tls {
        host: host.into(),
        port,
        pki: pki.map(PathBuf::from),
    };
    assert_eq!(transport("qemu://h/system"), tls("h", TLS_PORT, None));
    assert_eq!(transport("qemu+tls://[fd00::1]:9/system?pkipath=/p"), tls("fd00::1", 9, Some("/p")));
    let ssh =
        Transport::Ssh { host: "h".into(), user: Some("u".into()), port: Some(7), key: Some("/k".into()) };
    assert_eq!(transport("qemu+ssh://u@h:7/system?keyfile=/k&no_tty=1"), ssh);
}

#[test]
fn what_is_not_understood_is_refused_with_its_cure() {
    for (text, word) in [
        ("", "no libvirt URI"),
        ("qemu", "no libvirt URI"),
        ("QEMU:///system", "no libvirt URI"),
        ("qemu://h", "no path"),
        ("qemu+tcp://h/system", "tls or ssh"),
        ("qemu+ext://h/system", "only unix, tls and ssh"),
        ("qemu+unix://h/system", "leave out the host"),
        ("qemu+ssh:///system", "host is missing"),
        ("qemu+tls:///system", "host is missing"),
        ("qemu://h/system?no_verify=1", "always verified"),
        ("qemu://h/system?command=/x", "not known here"),
        ("qemu://h:x/system", "no port"),
        ("qemu://[fd00::1/system", "does not end"),
        ("qemu+ssh://-oProxyCommand=x/system", "no such host"),
        ("qemu+ssh://-u@h/system", "no such host"),
        ("qemu+ssh://h/system;reboot", "character"),
        ("qemu+ssh://h/$(x)", "character"),
        ("qemu:///session", "socket="),
        ("qemu:///system extra", "character"),
    ] {
        let refused = Uri::parse(text).unwrap_err();
        assert!(refused.contains(word), "{text}: {refused}");
    }
}
