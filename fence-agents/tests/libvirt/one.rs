//! One hypervisor.

use crate::agent::{Done, HASTY, PROMPT, run};
use crate::daemon::{
    AUTH_LIST, AUTH_POLKIT, BY_NAME, CREATE, DESTROY, Daemon, GET_STATE, IS_PERSISTENT, OPEN, RUNNING, Reply,
    SHUT_OFF, UUID_TEXT, framed, words,
};
use std::time::Duration;

fn act(daemon: &Daemon, action: &str, more: &str) -> Done {
    run("libvirt", &format!("uri={}\nplug=n2\n{PROMPT}action={action}\n{more}", daemon.uri()))
}

#[test]
fn a_daemon_that_behaves_is_obeyed() {
    let daemon = Daemon::good();
    assert_eq!(act(&daemon, "status", "").verdict(), (Some(0), "Status: ON"));
    assert_eq!(act(&daemon, "off", "").verdict(), (Some(0), "Success: Powered OFF"));
    assert_eq!(act(&daemon, "status", "").verdict(), (Some(2), "Status: OFF"));
    assert_eq!(act(&daemon, "off", "").verdict(), (Some(0), "Success: Already OFF"));
    assert_eq!(act(&daemon, "on", "").verdict(), (Some(0), "Success: Powered ON"));
    assert_eq!(act(&daemon, "reboot", "").verdict(), (Some(0), "Success: Rebooted"));
    assert_eq!(daemon.model().count(DESTROY), 2);
    assert_eq!(daemon.model().state("n2"), Some(RUNNING));
    assert_eq!(act(&daemon, "monitor", "").verdict(), (Some(0), ""));
    assert_eq!(act(&daemon, "list-status", "").verdict(), (Some(0), &*format!("n2,{UUID_TEXT},ON")));
    let by_uuid = format!("plug={UUID_TEXT}");
    assert_eq!(act(&daemon, "off", &by_uuid).verdict(), (Some(0), "Success: Powered OFF"));
}

#[test]
fn an_order_that_is_taken_and_not_carried_out_is_no_success() {
    let daemon = Daemon::good();
    daemon.model().obeys = false;
    for action in ["off", "reboot"] {
        assert!(act(&daemon, action, "").why().contains("n2 is ON"));
    }
}

/// Something starts the domain again after it was destroyed.
#[test]
fn power_that_comes_back_by_itself_is_never_off_for_long() {
    // At once: it is destroyed again as long as there is time, and never called off.
    let at_once = Daemon::start(|procedure, _, model| {
        (procedure == DESTROY).then(|| model.set("n2", RUNNING)).map(|()| Reply::Done(Vec::new()))
    });
    assert!(act(&at_once, "off", "").why().contains("n2 is ON"));
    // After it was seen off, which was true: the next status tells.
    let later = Daemon::start(|procedure, _, model| {
        let seen_off = procedure == GET_STATE && model.state("n2") == Some(SHUT_OFF);
        seen_off.then(|| {
            model.set("n2", RUNNING);
            Reply::Done(words(&[SHUT_OFF, 1]))
        })
    });
    assert_eq!(act(&later, "off", "").verdict(), (Some(0), "Success: Powered OFF"));
    assert_eq!(act(&later, "status", "").verdict(), (Some(0), "Status: ON"));
}

#[test]
fn only_shut_off_is_off() {
    for (state, word) in
        [(4, "in shutdown"), (6, "crashed"), (7, "pmsuspended"), (0, "not known"), (8, "not known")]
    {
        let daemon = Daemon::good();
        daemon.model().obeys = false;
        daemon.model().set("n2", state);
        assert!(act(&daemon, "status", "").why().contains(word));
        for action in ["off", "reboot", "on"] {
            assert!(act(&daemon, action, "").why().contains(word), "{action}");
        }
        assert!(daemon.model().count(DESTROY) > 0, "{word}: it must be destroyed, whatever it does");
        assert_eq!(daemon.model().count(CREATE), 0, "{word}");
    }
}

#[test]
fn a_domain_that_is_not_there_is_not_off() {
    let daemon = Daemon::good();
    for plug in ["plug=n3", "plug=4c4c4544-0051-3510-8052-000000000000"] {
        for action in ["status", "off", "reboot", "on", "monitor"] {
            assert!(act(&daemon, action, plug).why().contains("not off"), "{plug} {action}");
        }
    }
    assert_eq!(daemon.model().count(DESTROY), 0);
    assert_eq!(daemon.model().count(CREATE), 0);
}

#[test]
fn a_domain_that_was_only_created_is_destroyed_and_not_called_off() {
    let daemon = Daemon::good();
    daemon.model().guests.get_mut("n2").unwrap().persistent = false;
    assert!(act(&daemon, "monitor", "").why().contains("virsh define"), "told before it is needed");
    assert!(act(&daemon, "off", "").why().contains("not off"));
    assert_eq!(daemon.model().state("n2"), None, "it was destroyed all the same");
}

#[test]
fn an_error_of_the_daemon_is_told() {
    for (code, definite, word) in [(38, false, "out of memory"), (88, true, "give this user the right")] {
        let daemon = Daemon::start(move |procedure, _, _| {
            (procedure == DESTROY).then_some(Reply::No(code, "out of memory"))
        });
        let done = act(&daemon, "off", if definite { "power_timeout=600" } else { "" });
        assert!(done.err.contains(word) && !done.why().is_empty(), "{done:?}");
    }
    for procedure in [BY_NAME, GET_STATE, IS_PERSISTENT, OPEN, AUTH_LIST] {
        let daemon =
            Daemon::start(move |called, _, _| (called == procedure).then_some(Reply::No(1, "it broke")));
        assert!(act(&daemon, "status", "").why().contains("it broke"), "{procedure}");
    }
}

#[test]
fn who_we_are_is_shown_as_the_daemon_wants_it() {
    let polkit = Daemon::good();
    polkit.model().way = 2;
    assert_eq!(act(&polkit, "status", "").code, Some(0));
    assert_eq!(polkit.model().count(AUTH_POLKIT), 1);
    let strict = Daemon::start(|called, _, _| (called == AUTH_POLKIT).then_some(Reply::No(79, "cancelled")));
    strict.model().way = 2;
    assert!(act(&strict, "status", "").why().contains("run as root"));
    let sasl = Daemon::good();
    sasl.model().way = 1;
    let done = act(&sasl, "off", "power_timeout=600");
    assert!(done.why().contains("SASL") && sasl.model().count(OPEN) == 0, "{done:?}");
}

/// Spoilt forms of the answer that `n2` is shut off.
fn spoilt(procedure: u32) -> Vec<(&'static str, Reply)> {
    let off = words(&[SHUT_OFF, 1]);
    let good = [0x2000_8086, 1, procedure, 1, 0, 0];
    let but = |at: usize, value: u32| {
        let mut head = good;
        head[at] = value;
        Reply::Head(head, words(&[SHUT_OFF, 1]))
    };
    let whole = framed([0x2000_8086, 1, procedure, 1, 99, 0], &off);
    vec![
        ("nothing", Reply::Raw(Vec::new())),
        ("cut by a byte", Reply::Raw(whole[..whole.len() - 1].to_vec())),
        ("cut in its head", Reply::Raw(whole[..10].to_vec())),
        ("a huge length", Reply::Raw([words(&[u32::MAX]), whole[4..].to_vec()].concat())),
        ("a length that does not come", Reply::Raw([words(&[4_000_000]), whole[4..].to_vec()].concat())),
        ("a length below the head's", Reply::Raw([words(&[8]), whole[4..].to_vec()].concat())),
        ("garbage", Reply::Raw((0..4096_u32).map(|i| (i * 7919 % 251) as u8).collect())),
        ("another protocol", Reply::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())),
        ("another program", but(0, 0x2000_8087)),
        ("another version", but(1, 2)),
        ("another procedure", but(2, procedure + 1)),
        ("a call", but(3, 0)),
        ("an answer with files", but(3, 5)),
        ("the answer before", but(4, u32::MAX)),
        ("the answer to come", but(4, 1)),
        ("neither done nor refused", but(5, 2)),
        ("half a result", Reply::Done(words(&[SHUT_OFF]))),
        ("a result and more", Reply::Done(words(&[SHUT_OFF, 1, 0]))),
        ("no result", Reply::Done(Vec::new())),
        ("events without end", Reply::AfterEvents(1000, off)),
    ]
}

#[test]
fn a_spoilt_answer_is_never_off() {
    for (what, reply) in spoilt(GET_STATE) {
        let daemon = Daemon::start(move |procedure, _, _| (procedure == GET_STATE).then(|| reply.clone()));
        for action in ["status", "off", "reboot"] {
            assert!(!act(&daemon, action, "").why().is_empty(), "{what}");
        }
    }
}

#[test]
fn a_spoilt_answer_to_any_call_is_never_a_success() {
    for procedure in [AUTH_LIST, OPEN, BY_NAME, IS_PERSISTENT, DESTROY] {
        for (what, reply) in spoilt(procedure) {
            let empty =
                matches!((&reply, procedure), (Reply::Done(result), DESTROY | OPEN) if result.len() <= 12);
            let daemon = Daemon::start(move |called, _, model| {
                model.obeys = false;
                (called == procedure).then(|| reply.clone())
            });
            let done = act(&daemon, "off", "power_timeout=0.05");
            assert!(empty || done.code == Some(1), "{procedure} {what}: {done:?}");
            assert!(!done.out.contains("Success"), "{procedure} {what}: {done:?}");
        }
    }
}

#[test]
fn events_in_between_are_passed_over() {
    let daemon = Daemon::start(|procedure, arguments, model| match model.behaved(procedure, arguments) {
        Reply::Done(result) => Some(Reply::AfterEvents(5, result)),
        other => Some(other),
    });
    assert_eq!(act(&daemon, "reboot", "").verdict(), (Some(0), "Success: Rebooted"));
}

#[test]
fn another_domain_is_not_the_one_asked_for() {
    let daemon = Daemon::start(|procedure, _, model| {
        model.set("n3", SHUT_OFF);
        (procedure == BY_NAME).then(|| Reply::Done(model.identity("n3")))
    });
    for action in ["status", "off"] {
        assert!(act(&daemon, action, "").why().contains("answers about n3"), "{action}");
    }
    assert_eq!(daemon.model().count(DESTROY), 0);
}

#[test]
fn silence_and_drips_end_in_time() {
    for procedure in [AUTH_LIST, GET_STATE, DESTROY] {
        let daemon = Daemon::start(move |called, _, _| (called == procedure).then_some(Reply::Silence));
        let done = act(&daemon, "off", HASTY);
        assert!(!done.why().is_empty() && done.err.contains("in time"), "{procedure}: {done:?}");
        let slow = Daemon::start(move |called, _, _| {
            let drip = Reply::Drip(words(&[SHUT_OFF, 1]), Duration::from_millis(100));
            (called == procedure).then_some(drip)
        });
        assert_eq!(act(&slow, "off", HASTY).code, Some(1), "{procedure}");
    }
}

#[test]
fn a_daemon_that_dies_in_the_middle_proves_nothing() {
    let daemon = Daemon::start(|procedure, _, model| {
        if procedure == DESTROY {
            let _ = model.behaved(procedure, &[0, 0, 0, 2, b'n', b'2', 0, 0]);
            return Some(Reply::Death);
        }
        None
    });
    let done = act(&daemon, "off", "");
    assert!(done.why().contains("UNKNOWN"), "{done:?}");
    assert_eq!(daemon.model().state("n2"), Some(SHUT_OFF), "it was off, but nobody saw it");
}

#[test]
fn nobody_there_is_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let uri = format!("uri=qemu:///system?socket={}\nplug=n2\n{PROMPT}", dir.path().join("none").display());
    for action in ["status", "off"] {
        let done = run("libvirt", &format!("{uri}action={action}"));
        assert!(done.why().contains("start libvirtd"), "{done:?}");
    }
}
