use super::*;
use crate::devices::{meatware, process, stonith_helper, xen};
use std::collections::BTreeMap;

fn called(kind: &'static DeviceKind, words: &[&str], environment: &[(&str, &str)]) -> (Exit, String) {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let environment: BTreeMap<String, String> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut out = Vec::new();
    let plugin = Plugin {
        words: &words,
        variable: &|name| environment.get(name).cloned(),
        out: &mut out,
        system_log: false,
    };
    (run(kind, plugin).unwrap(), String::from_utf8(out).unwrap())
}

#[test]
fn the_folder_makes_the_interface() {
    assert_eq!(plugin_name("/usr/lib/stonith/plugins/external/picket-xen"), Some("picket-xen"));
    assert_eq!(plugin_name("external/xen0"), Some("xen0"));
    for other in ["/usr/sbin/fence_picket_xen", "external", "/external/x/y", "fence_picket_xen", ""] {
        assert_eq!(plugin_name(other), None, "{other}");
    }
}

#[test]
fn our_names_and_those_of_the_plugins_that_are_replaced() {
    for (plugin, device) in [
        ("picket-xen", "xen"),
        ("picket_xen", "xen"),
        ("xen0", "xen"),
        ("stonith-helper", "stonith_helper"),
        ("picket-stonith-helper", "stonith_helper"),
        ("picket-meatware", "meatware"),
        ("picket-process", "process"),
    ] {
        assert_eq!(find(plugin).map(|kind| kind.name), Some(device), "{plugin}");
    }
    assert!(find("xen").is_none() && find("process").is_none() && find("picket-nothing").is_none());
    let (names, count): (std::collections::BTreeSet<_>, usize) = (
        DEVICES.iter().flat_map(|kind| kind.external_names).collect(),
        DEVICES.iter().map(|kind| kind.external_names.len()).sum(),
    );
    assert_eq!(names.len(), count, "one plugin, one device");
}

#[test]
fn every_device_describes_itself() {
    for kind in DEVICES {
        for word in
            ["getinfo-devid", "getinfo-devname", "getinfo-devdescr", "getinfo-devurl", "getconfignames"]
        {
            let (exit, text) = called(kind, &[word], &[]);
            assert_eq!(exit, Exit::Success);
            assert!(word == "getconfignames" || !text.trim().is_empty(), "{} {word}", kind.name);
        }
        let (exit, xml) = called(kind, &["getinfo-xml"], &[]);
        assert!(exit == Exit::Success && xml.starts_with("<parameters>"), "{xml}");
        assert!(!xml.contains("name=\"action\"") && xml.contains("name=\"power_timeout\""));
        for (theirs, _) in kind.external_options {
            assert!(xml.contains(&format!("name=\"{theirs}\"")), "{}: {theirs}", kind.name);
        }
        for (theirs, ours) in kind.external_options {
            assert!(kind.all_options().any(|spec| spec.name == *ours), "{}: {theirs} is {ours}", kind.name);
        }
    }
}

#[test]
fn required_options_are_the_config_names() {
    assert_eq!(called(&process::KIND, &["getconfignames"], &[]).1, "socket_path\n");
    assert_eq!(called(&stonith_helper::KIND, &["getconfignames"], &[]).1, "hostlist\n");
}

#[test]
fn hosts_are_those_configured_and_no_other_is_touched() {
    let hosts = [("hostlist", "n1,n2:/etc/xen/two.cfg n3:dom3"), ("xl_path", "/nonexistent/xl")];
    assert_eq!(called(&xen::KIND, &["gethosts"], &hosts), (Exit::Success, "n1\nn2\nn3\n".into()));
    assert_eq!(called(&xen::KIND, &["off", "n4"], &hosts), (Exit::Failed, String::new()));
    assert_eq!(
        configured(&xen::KIND, &|name| hosts.iter().find(|h| h.0 == name).map(|h| h.1.to_owned()))[2],
        ("n3".to_owned(), "dom3".to_owned())
    );
}

#[test]
fn the_operation_decides_and_not_the_environment() {
    // With `action=metadata` or `help` in the environment an off would end with 0.
    let environment =
        [("action", "metadata"), ("help", "1"), ("version", "1"), ("socket_path", "/nonexistent/s")];
    let with = |more: &[(&'static str, &'static str)]| [&environment[..], more].concat();
    let quick = with(&[("power_timeout", "0.05"), ("login_timeout", "0.05"), ("shell_timeout", "0.05")]);
    for words in [&["off", "n1"][..], &["reset", "n1"], &["on", "n1"], &["status"]] {
        assert_eq!(called(&process::KIND, words, &quick), (Exit::Failed, String::new()), "{words:?}");
    }
}

#[test]
fn wrong_words_fail() {
    for words in
        [&[][..], &["off"], &["on"], &["reset"], &["cycle", "n1"], &["off", "n1", "n2"], &["metadata"]]
    {
        assert_eq!(called(&process::KIND, words, &[("socket_path", "/x")]).0, Exit::Failed, "{words:?}");
    }
}

#[test]
fn the_gate_is_none_here_either() {
    let environment = [
        ("hostlist", "n1"),
        ("run_dead_check", "no"),
        ("run_standby_wait", "no"),
        ("PICKET_FENCE_ROLE", "gate"),
    ];
    assert_eq!(called(&stonith_helper::KIND, &["reset", "n1"], &environment).0, Exit::Failed);
    assert_eq!(called(&stonith_helper::KIND, &["status"], &environment).0, Exit::Success);
}

#[test]
fn a_person_is_asked_here_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool").display().to_string();
    let audit = dir.path().join("audit").display().to_string();
    let environment =
        [("hostlist", "n1"), ("spool_dir", &*spool), ("audit_file", &*audit), ("power_timeout", "0.05")];
    assert_eq!(called(&meatware::KIND, &["reset", "n1"], &environment), (Exit::Failed, String::new()));
    assert!(std::fs::read_to_string(&audit).unwrap().contains("event=requested node=n1"));
}
