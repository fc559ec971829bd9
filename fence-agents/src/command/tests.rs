use super::*;

fn run_as(called: &str, words: &[&str], stdin: &str) -> (Exit, String) {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let mut out = Vec::new();
    let call = Call {
        called,
        words: &words,
        stdin: &mut stdin.as_bytes(),
        out: &mut out,
        variable: &|_| None,
        system_log: false,
    };
    (run(call).unwrap(), String::from_utf8(out).unwrap())
}

#[test]
fn the_name_or_the_first_word_chooses_the_agent() {
    let by_name = run_as("fence_picket_process", &["-o", "metadata"], "");
    let by_word = run_as("picket-fence", &["process", "-o", "metadata"], "");
    let by_agent_name = run_as("anything", &["fence_picket_process", "-o", "metadata"], "");
    let by_stdin = run_as("fence_picket_process", &[], "action=metadata\n");
    assert!(by_name.1.contains("name=\"fence_picket_process\""));
    assert!(by_name == by_word && by_word == by_agent_name && by_agent_name == by_stdin);
    assert_eq!(by_name.0, Exit::Success);
}

#[test]
fn what_is_unknown_fails() {
    for (name, words) in [
        ("fence_picket_nonsense", &[][..]),
        ("picket-fence", &["nonsense"]),
        ("picket-fence", &[]),
        ("picket-fence", &["describe", "nonsense"]),
        ("picket-fence", &["link"]),
        ("picket-fence", &["process", "-o", "nonsense"]),
        ("picket-fence", &["process", "--nonsense"]),
    ] {
        assert_eq!(run_as(name, words, "").0, Exit::Failed, "{name} {words:?}");
    }
    assert_eq!(run_as("fence_picket_process", &[], "action=nonsense").0, Exit::Failed);
    assert_eq!(run_as("fence_picket_process", &[], "action=off\nport=n1").0, Exit::Failed, "no socket_path");
}

#[test]
fn list_and_describe_show_every_device() {
    let (exit, text) = run_as("picket-fence", &["list"], "");
    assert_eq!(exit, Exit::Success);
    for kind in DEVICES {
        assert!(text.contains(&kind.agent_name()));
        let (exit, text) = run_as("picket-fence", &["describe", kind.name], "");
        assert!(exit == Exit::Success && text.contains("--power-timeout"));
    }
}

#[test]
fn the_manual_page_is_the_one_of_the_agent() {
    for kind in DEVICES {
        let by_verb = run_as("picket-fence", &["manual", kind.name], "");
        let by_action = run_as(&kind.agent_name(), &["-o", "manpage"], "");
        assert!(by_verb == by_action && by_verb.1.starts_with(".TH FENCE_PICKET_"));
    }
}

#[test]
fn in_an_external_folder_it_is_a_plugin() {
    let (exit, text) = run_as("/usr/lib/stonith/plugins/external/picket-process", &["getconfignames"], "");
    assert_eq!((exit, text.as_str()), (Exit::Success, "socket_path\n"));
    assert_eq!(run_as("/x/external/picket-nonsense", &["getconfignames"], "").0, Exit::Failed);
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("external");
    std::fs::create_dir(&folder).unwrap();
    let program = Path::new("/usr/sbin/picket-fence");
    assert_eq!(link(program, &folder, &mut Vec::new()).unwrap(), Exit::Success);
    assert_eq!(folder.join("picket-stonith-helper").read_link().unwrap(), program);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), DEVICES.len());
}

#[test]
fn agents_and_plugins_are_linked_in_one_go() {
    let dir = tempfile::tempdir().unwrap();
    let [agents, plugins, both] = ["sbin", "plugins/external", "both"].map(|name| dir.path().join(name));
    for folder in [&agents, &plugins, &both.join("external")] {
        std::fs::create_dir_all(folder).unwrap();
    }
    let words =
        ["link".to_owned()].into_iter().chain([&agents, &plugins, &both].map(|d| d.display().to_string()));
    let words: Vec<String> = words.collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(run_as("picket-fence", &words, "").0, Exit::Success);
    for link in [
        "sbin/fence_picket_ipmi",
        "plugins/external/picket-ipmi",
        "both/fence_picket_ipmi",
        "both/external/picket-ipmi",
    ] {
        assert!(dir.path().join(link).read_link().is_ok(), "{link}");
    }
    assert!(!agents.join("external").exists() && !plugins.join("fence_picket_ipmi").exists());
    std::fs::write(dir.path().join("file"), "").unwrap();
    let bad = dir.path().join("file").display().to_string();
    assert_eq!(
        run_as("picket-fence", &["link", &bad, words[1]], "").0,
        Exit::Failed,
        "one of two is not enough"
    );
}

#[test]
fn validate_all_checks_without_a_device() {
    let good = "action=validate-all\nport=n1\nsocket_path=/nonexistent";
    assert_eq!(run_as("fence_picket_process", &[], good).0, Exit::Success);
    for bad in ["power_timeout=x", "port=a,b", "delay=-1"] {
        assert_eq!(run_as("fence_picket_process", &[], &format!("{good}\n{bad}")).0, Exit::Failed, "{bad}");
    }
}

#[test]
fn links_are_made_once_and_nothing_else_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let program = Path::new("/usr/sbin/picket-fence");
    let mut out = Vec::new();
    assert_eq!(link(program, dir.path(), &mut out).unwrap(), Exit::Success);
    assert_eq!(dir.path().join("fence_picket_process").read_link().unwrap(), program);
    assert_eq!(dir.path().join(CONFIRM_NAME).read_link().unwrap(), program);
    assert_eq!(link(program, dir.path(), &mut out).unwrap(), Exit::Success, "again is fine");
    assert_eq!(link(Path::new("/elsewhere"), dir.path(), &mut out).unwrap(), Exit::Failed);
    assert_eq!(dir.path().join(CONFIRM_NAME).read_link().unwrap(), program);
}
