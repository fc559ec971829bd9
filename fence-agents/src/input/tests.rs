use super::*;
use crate::caller::{Caller, PACEMAKER_FENCER, ROLE_GATE};
use crate::devices::ipmi;
use crate::devices::process::KIND;
use crate::timing::Timing;

fn lines(text: &str) -> Options {
    Options::from_lines(&KIND, text)
}

fn flags(words: &[&str]) -> Result<Options, InputError> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    Options::from_flags(&KIND, &words)
}

#[test]
fn old_and_new_names_and_both_spellings_are_one_option_and_the_last_wins() {
    for (text, plug) in [
        ("port=a", "a"),
        ("plug=a", "a"),
        ("port=a\nplug=b", "b"),
        ("plug=b\nport=a", "a"),
        ("port=\"a\"", "a"),
        (" plug = a ", "a"),
        ("# plug=x\n\nplug=a\n#plug=y", "a"),
        ("port=a\nnodename=n9", "a"),
        ("nodename=n9", "n9"),
        ("port=\nnodename=n9", "n9"),
    ] {
        assert_eq!(lines(text).plugs().unwrap(), [plug], "{text:?}");
    }
    for key in ["power_timeout", "power-timeout"] {
        assert_eq!(lines(&format!("{key}=7")).seconds("power_timeout").unwrap(), Duration::from_secs(7));
    }
    assert_eq!(lines("plug=a, b").plugs().unwrap(), ["a", "b"]);
    assert_eq!(lines("plug=a b\nplug_separator=;").plugs().unwrap(), ["a b"]);
    assert_eq!(lines("").plugs(), Err(InputError::Missing("plug")));
}

#[test]
fn unknown_keys_are_ignored_and_their_values_never_shown() {
    let options = lines("passwd=secret\nnodename=n1\nplug=n1");
    assert_eq!(options.ignored, ["passwd"]);
    assert!(!format!("{options:?}").contains("n1"));
}

#[test]
fn the_rest_of_a_password_with_a_line_break_is_never_shown() {
    for text in ["password=first\nsecond", "password=first\n\nsec=ond\nsecond", "kg=first\nsecond=", "second"]
    {
        let options = Options::from_lines(&ipmi::KIND, &format!("{text}\nplug=n1\nunknown=1"));
        let (unknown, lines) = options.ignored.split_last().unwrap();
        assert_eq!(unknown, "unknown", "{text:?}: what follows an option is told again");
        assert!(
            !lines.is_empty() && lines.iter().all(|line| line.starts_with("line ")),
            "{text:?}: {lines:?}"
        );
        assert_eq!(options.plugs().unwrap(), ["n1"], "{text:?}");
    }
}

#[test]
fn flags_in_every_form() {
    for words in [
        &["-o", "off", "-n", "n1"][..],
        &["-ooff", "-nn1"],
        &["--action=off", "--plug=n1"],
        &["--action", "off", "--port", "n1"],
        &["--act=off", "--plug", "n1"],
        &["-vqo", "off", "--plug=n1"],
        &["--action=on", "--action=off", "--nodename=x", "--plug=n1"],
    ] {
        let options = flags(words).unwrap();
        assert_eq!(options.get("action"), Some("off"), "{words:?}");
        assert_eq!(options.plugs().unwrap(), ["n1"], "{words:?}");
    }
    assert_eq!(flags(&["--plug-sep=;"]).unwrap().get("plug_separator"), Some(";"));
}

#[test]
fn wrong_flags_are_errors_that_say_why() {
    assert_eq!(flags(&["--nonsense"]).unwrap_err(), InputError::UnknownFlag("--nonsense".into()));
    assert_eq!(flags(&["-Z"]).unwrap_err(), InputError::UnknownFlag("-Z".into()));
    assert_eq!(flags(&["-o"]).unwrap_err(), InputError::NoValue("-o".into()));
    assert_eq!(flags(&["--plug"]).unwrap_err(), InputError::NoValue("--plug".into()));
    assert_eq!(flags(&["--quiet=1"]).unwrap_err(), InputError::UnwantedValue("--quiet".into()));
    assert!(matches!(flags(&["--p=1"]).unwrap_err(), InputError::Ambiguous { .. }));
}

#[test]
fn all_findings_are_reported_together() {
    let found = lines("power_timeout=x\nretry_on=-1\nquiet=perhaps\nmethod=kick").check(true);
    let missing = |found: &[InputError], name| found.contains(&InputError::Missing(name));
    assert_eq!(found.len(), 6, "{found:?}");
    assert!(missing(&found, "socket_path") && missing(&found, "plug"));
    assert!(lines("socket_path=/x\nplug=a\nmethod=CYCLE").check(true).is_empty());
    assert!(lines("").check(false).is_empty());
}

#[test]
fn seconds_have_bounds() {
    for wrong in ["-1", "nan", "inf", "1e9", "1m", ""] {
        let read = lines(&format!("delay={wrong}")).seconds("delay");
        assert_eq!(read.is_ok(), wrong.is_empty(), "{wrong:?}: {read:?}");
    }
    assert_eq!(lines("delay=0.5").seconds("delay").unwrap(), Duration::from_millis(500));
    assert_eq!(lines("delay=3s").seconds("delay").unwrap(), Duration::from_secs(3));
}

#[test]
fn under_pacemaker_its_timeout_is_the_only_one() {
    let limited =
        |text: &str, service: Option<&str>| {
            let caller = Caller::of_environment(|name| {
                if name == "PCMK_service" { service.map(str::to_owned) } else { None }
            });
            let timing = Timing::read(&lines(text), caller).unwrap();
            let calls = timing.call();
            let all =
                [timing.power(), calls.login, calls.call].map(|deadline| deadline.remaining().is_some());
            assert!(all.iter().all(|one| *one == all[0]), "{text}: {all:?}");
            all[0]
        };
    assert!(limited("", None));
    assert!(limited("", Some("crm_resource")));
    assert!(!limited("", Some(PACEMAKER_FENCER)));
    assert!(limited("disable_timeout=0", Some(PACEMAKER_FENCER)));
    assert!(!limited("disable_timeout=true", None));
    assert!(!limited("power_timeout=0\nlogin_timeout=0\nshell_timeout=0", None));
}

#[test]
fn only_the_exact_role_opens_a_gate() {
    let of =
        |role: &str| Caller::of_environment(|name| (name == "PICKET_FENCE_ROLE").then(|| role.to_owned()));
    assert_eq!(of(ROLE_GATE), Caller::PicketGate);
    for other in ["", "Gate", "power", "gate "] {
        assert_eq!(of(other), Caller::Anyone, "{other:?}");
    }
}

#[test]
fn defaults_are_those_of_the_interface() {
    let options = lines("");
    for (name, default) in [
        ("action", "reboot"),
        ("power_timeout", "20"),
        ("power_wait", "0"),
        ("login_timeout", "5"),
        ("shell_timeout", "3"),
        ("retry_on", "1"),
        ("delay", "0"),
        ("method", "onoff"),
        ("plug_separator", ","),
    ] {
        assert_eq!(options.get(name), Some(default), "{name}");
    }
}
