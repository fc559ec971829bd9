use super::*;

fn system(power: &str) -> String {
    format!(
        "{{\"@odata.id\":\"/redfish/v1/Systems/1\",\"@odata.type\":\"#ComputerSystem.v1_13_0.ComputerSystem\",\"Id\":\"1\",\
         \"Name\":\"node\",\"UUID\":\"AB-cd\",\"SerialNumber\":\"S1\",\"PowerState\":{power}}}"
    )
}

fn power(document: &str) -> Result<State, String> {
    let system: System = read(document.as_bytes())?;
    system.identified("/redfish/v1/Systems/1", None, None)?;
    Ok(system.power())
}

#[test]
fn only_off_is_off() {
    assert_eq!(power(&system("\"On\"")), Ok(State::On));
    assert_eq!(power(&system("\"Off\"")), Ok(State::Off));
    for word in
        ["\"PoweringOff\"", "\"PoweringOn\"", "\"Paused\"", "\"off\"", "\"OFF\"", "\"Off \"", "\"\"", "null"]
    {
        assert!(matches!(power(&system(word)), Ok(State::Unknown(_))), "{word}");
    }
    for word in ["0", "false", "[\"Off\"]", "{}"] {
        assert!(power(&system(word)).is_err(), "{word}");
    }
    let list = "[\"/redfish/v1/Systems/1\",\"#ComputerSystem.v1.x\",\"1\",null,null,null,null,null,\"Off\"]";
    assert!(power(list).is_err(), "a list is no document");
    let mut torn = system("\"Off\",\"Oem\":\"x\"").into_bytes();
    let at = torn.windows(3).position(|three| three == b"\"x\"").unwrap();
    torn[at + 1] = 0xb1;
    assert!(read::<System>(&torn).is_err(), "what is not read must be text too");
    let twice = system("\"On\",\"PowerState\":\"Off\"");
    assert!(power(&twice).is_err(), "two answers are none");
    let whole = system("\"Off\"");
    for end in 0..whole.len() {
        assert!(power(&whole[..end]).is_err(), "cut off after {end} bytes");
    }
}

#[test]
fn another_machine_is_not_the_one_asked_for() {
    let ours: System = read(system("\"Off\"").as_bytes()).unwrap();
    let is = |path, uuid, serial| ours.identified(path, uuid, serial).is_ok();
    assert!(is("/redfish/v1/Systems/1/", Some("ab-CD"), Some("s1")));
    assert!(!is("/redfish/v1/Systems/2", None, None));
    assert!(!is("/redfish/v1/Systems/1", Some("ab-ce"), None));
    assert!(!is("/redfish/v1/Systems/1", None, Some("S2")));
    for document in [
        "{\"PowerState\":\"Off\"}".to_owned(),
        system("\"Off\"").replace("#ComputerSystem.", "#Chassis."),
        system("\"Off\"").replace("Systems/1", "Systems/11"),
    ] {
        assert!(power(&document).is_err(), "{document}");
    }
    let nameless: System = read(system("\"Off\"").replace("\"UUID\"", "\"X\"").as_bytes()).unwrap();
    assert!(nameless.identified("/redfish/v1/Systems/1", Some("AB-cd"), None).is_err());
}

#[test]
fn a_system_has_many_names_but_not_the_empty_one() {
    let ours: System = read(system("\"On\"").replace("\"S1\"", "\"\"").as_bytes()).unwrap();
    assert!(["1", "NODE", "ab-cd"].iter().all(|name| ours.is_called(name)));
    assert!(!ours.is_called("") && !ours.is_called("2"));
}

#[test]
fn a_task_is_done_failed_or_running() {
    let outcome = |document: &str| read::<Task>(document.as_bytes()).unwrap().outcome();
    assert_eq!(outcome("{\"TaskState\":\"Completed\",\"TaskStatus\":\"OK\"}"), TaskOutcome::Done);
    assert_eq!(outcome("{\"TaskState\":\"Running\"}"), TaskOutcome::Running);
    assert_eq!(outcome("{\"TaskState\":\"SomethingNew\"}"), TaskOutcome::Running);
    for bad in ["Exception", "Killed", "Cancelled", "Completed\",\"TaskStatus\":\"Critical"] {
        let document = format!("{{\"TaskState\":\"{bad}\",\"Messages\":[{{\"Message\":\"no\\npower\"}}]}}");
        let TaskOutcome::Failed(why) = outcome(&document) else { panic!("{bad}") };
        assert!(why.contains("no power"), "{why}");
    }
}

#[test]
fn paths_stay_at_the_device_and_texts_on_a_line() {
    for path in ["/redfish/v1", "/a?b=c"] {
        assert!(is_local_path(path), "{path}");
    }
    for path in ["", "redfish", "//evil/x", "https://evil/x", "/a b", "/a\r\nHost: x", "/ä"] {
        assert!(!is_local_path(path), "{path}");
    }
    assert_eq!(shown("a\r\n\u{1b}[31m b"), "a [31m b");
    assert_eq!(shown(&"x".repeat(1000)).len(), 200);
    assert_eq!(
        complaint(b"{\"error\":{\"message\":\"m\",\"@Message.ExtendedInfo\":[{\"Message\":\"e\"}]}}"),
        ": e"
    );
    assert_eq!(complaint(b"<html>"), "");
}
