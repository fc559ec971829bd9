use super::*;

fn info(id: &str, state: &str) -> String {
    format!(
        "Id:             {id}\nName:           n2\nUUID:           4c4c4544-0051-3510-8052-b4c04f4a3332\nOS Type:        hvm\n\
         State:          {state}\nCPU(s):         1\nMax memory:     65536 KiB\nPersistent:     yes\nSecurity model: none\n"
    )
}

#[test]
fn the_state_is_read_with_its_number() {
    for (id, state, activity) in [
        ("3", "running", Activity::Runs),
        ("3", "idle", Activity::Runs),
        ("3", "paused", Activity::Runs),
        ("-", "shut off", Activity::ShutOff),
    ] {
        let domain = parse(&info(id, state)).unwrap();
        assert_eq!((domain.name.as_str(), domain.activity), ("n2", activity), "{state}");
        assert_eq!(domain.persistent, Some(true));
    }
    for (id, state) in [
        ("3", "in shutdown"),
        ("3", "pmsuspended"),
        ("3", "crashed"),
        ("-", "crashed"),
        ("3", "shut off"),
        ("-", "running"),
        ("-", "no state"),
        ("-", ""),
        ("-", "Shut off"),
        ("-", "ausgeschaltet"),
    ] {
        let domain = parse(&info(id, state)).unwrap();
        assert!(matches!(domain.activity, Activity::Between(_)), "{id} {state}");
    }
}

#[test]
fn half_of_it_or_twice_is_no_answer() {
    let whole = info("-", "shut off");
    for missing in ["Id", "Name", "UUID", "State", "Persistent"] {
        let without: Vec<&str> = whole.lines().filter(|line| !line.starts_with(missing)).collect();
        assert!(parse(&without.join("\n")).unwrap_err().contains(missing));
        let line = whole.lines().find(|line| line.starts_with(missing)).unwrap();
        assert!(parse(&format!("{whole}{line}\n")).unwrap_err().contains("twice"));
    }
    for bad in ["", "error: no domain", "State: shut off"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
    assert!(parse(&whole.replace("4c4c4544-", "")).is_err());
    for id in ["x", "-1", "+3", ""] {
        assert!(parse(&whole.replace("Id:             -", &format!("Id: {id}"))).is_err(), "{id:?}");
    }
    assert!(parse(whole.trim_end()).is_err(), "it may have been cut off");
}

#[test]
fn nobody_is_absent_by_a_list_that_is_cut_off() {
    assert_eq!(listed("n1\nn2\n\n").unwrap(), ["n1", "n2"]);
    assert_eq!(listed("").unwrap(), [""; 0]);
    for cut in ["n1\nn", "n1\nn2", "n"] {
        assert!(listed(cut).unwrap_err().contains("cut short"), "{cut:?}");
    }
}

#[test]
fn what_another_host_says_of_a_name_drives_no_terminal() {
    let whole = info("-", "shut off").replace("n2", "n3\u{1b}[2J\u{9b}31m");
    let told = about(&Plug::new("n2"), &whole).unwrap_err();
    assert!(told.contains("n3") && !told.contains(char::is_control), "{told:?}");
}
