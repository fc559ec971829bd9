//! Several hypervisors that a domain may be on.

use crate::agent::{Done, PROMPT, run};
use crate::daemon::{BY_NAME, CREATE, DESTROY, Daemon, GET_STATE, Guest, RUNNING, Reply, SHUT_OFF};

fn act(daemons: &[&Daemon], action: &str, more: &str) -> Done {
    let uris: Vec<String> = daemons.iter().map(|daemon| daemon.uri()).collect();
    run("libvirt", &format!("uri={}\nplug=n2\n{PROMPT}action={action}\n{more}", uris.join(",")))
}

fn with(state: Option<u32>) -> Daemon {
    let daemon = Daemon::good();
    daemon.model().guests.clear();
    if let Some(state) = state {
        daemon.model().set("n2", state);
    }
    daemon
}

#[test]
fn a_domain_is_found_and_destroyed_wherever_it_runs() {
    for states in [[Some(RUNNING), None], [None, Some(RUNNING)], [Some(SHUT_OFF), Some(RUNNING)]] {
        let (a, b) = (with(states[0]), with(states[1]));
        assert_eq!(act(&[&a, &b], "status", "").verdict(), (Some(0), "Status: ON"), "{states:?}");
        assert_eq!(act(&[&a, &b], "off", "").verdict(), (Some(0), "Success: Powered OFF"), "{states:?}");
        assert_eq!(a.model().count(DESTROY) + b.model().count(DESTROY), 1, "{states:?}");
        assert_eq!(act(&[&a, &b], "status", "").verdict(), (Some(2), "Status: OFF"), "{states:?}");
        assert_eq!(act(&[&a, &b], "on", "").verdict(), (Some(0), "Success: Powered ON"), "{states:?}");
        let running = [&a, &b].iter().filter(|host| host.model().state("n2") == Some(RUNNING)).count();
        assert_eq!(running, 1, "{states:?}");
    }
    let (a, b) = (with(Some(RUNNING)), with(Some(RUNNING)));
    assert_eq!(act(&[&a, &b], "off", "").code, Some(0), "a migration that was broken off leaves two");
    assert_eq!((a.model().state("n2"), b.model().state("n2")), (Some(SHUT_OFF), Some(SHUT_OFF)));
}

#[test]
fn with_one_that_does_not_answer_off_is_not_known_and_on_is_not_done() {
    let dead = with(None);
    dead.model().alive = false;
    let runs = with(Some(RUNNING));
    for hosts in [[&dead, &runs], [&runs, &dead]] {
        runs.model().set("n2", RUNNING);
        assert_eq!(act(&hosts, "status", "").verdict(), (Some(0), "Status: ON"));
        let done = act(&hosts, "off", "");
        assert!(done.why().contains("UNKNOWN"), "{done:?}");
        assert_eq!(runs.model().state("n2"), Some(SHUT_OFF), "what can be destroyed is destroyed");
        assert_eq!(act(&hosts, "status", "").code, Some(1));
        let done = act(&hosts, "on", "");
        assert!(!done.why().is_empty(), "{done:?}");
        assert_eq!(runs.model().count(CREATE), 0, "it may run where nobody could look");
        assert_eq!(act(&hosts, "monitor", "").code, Some(1));
    }
}

#[test]
fn a_migration_while_we_look_is_not_missed() {
    // Absent at B when first asked; then it arrives there, and A keeps the definition only.
    let a = with(Some(SHUT_OFF));
    let b = Daemon::start(|procedure, _, model| {
        let first = procedure == BY_NAME && model.count(BY_NAME) == 1;
        if !first {
            model.set("n2", RUNNING);
        }
        first.then_some(Reply::No(42, "Domain not found"))
    });
    b.model().guests.clear();
    assert_eq!(act(&[&a, &b], "status", "").verdict(), (Some(0), "Status: ON"));
}

#[test]
fn two_machines_of_one_name_are_told_apart() {
    let (a, b) = (with(Some(RUNNING)), with(None));
    b.model().guests.insert("n2".into(), Guest { uuid: [9; 16], state: SHUT_OFF, persistent: true });
    for action in ["status", "off", "on", "monitor"] {
        let done = act(&[&a, &b], action, "");
        assert!(done.why().contains("two machines of one name") && done.why().contains("UUID"), "{done:?}");
    }
    assert_eq!(a.model().count(DESTROY) + b.model().count(DESTROY), 0);
    let by_uuid = format!("plug={}", crate::daemon::UUID_TEXT);
    assert_eq!(act(&[&a, &b], "off", &by_uuid).verdict(), (Some(0), "Success: Powered OFF"));
}

#[test]
fn a_state_that_one_of_them_cannot_tell_is_not_off() {
    let a = with(Some(SHUT_OFF));
    let b = Daemon::start(|procedure, _, model| {
        model.obeys = false;
        (procedure == GET_STATE).then_some(Reply::No(1, "internal error"))
    });
    for action in ["status", "off"] {
        assert!(act(&[&a, &b], action, "").why().contains("internal error"), "{action}");
    }
}

#[test]
fn hypervisors_that_cannot_be_meant_are_refused() {
    for (uri, word) in [
        ("uri=qemu+tcp://h/system", "tls or ssh"),
        ("uri=qemu:///system\nip=h", "all of them into uri"),
        ("uri=nonsense", "no libvirt URI"),
    ] {
        let done = run("libvirt", &format!("{uri}\nplug=n2\naction=off\n{PROMPT}"));
        assert!(done.why().contains(word), "{done:?}");
    }
    let many = vec!["qemu:///system"; 17].join(",");
    let done = run("libvirt", &format!("uri={many}\nplug=n2\naction=off\n{PROMPT}"));
    assert!(done.why().contains("at most 16"), "{done:?}");
}
