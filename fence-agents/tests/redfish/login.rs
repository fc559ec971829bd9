//! Logging in, sessions, and that none stays behind, also when the agent is ended in the middle.

use crate::agent::{Done, PROMPT, run, start, until};
use crate::service::{RESET, Reply, SESSIONS, SYSTEM, Service, error, plain};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::time::Duration;

fn act(service: &Service, action: &str, more: &str) -> Done {
    run("redfish", &format!("{}{PROMPT}action={action}\n{more}", service.options()))
}

#[test]
fn a_wrong_password_is_tried_once_and_told() {
    for (auth, tries) in [("basic", 1), ("session", 1), ("auto", 1)] {
        for wrong in ["password=other", "username=other"] {
            let service = Service::good(None);
            for action in ["status", "off", "monitor"] {
                service.model().asked.clear();
                let done = act(&service, action, &format!("auth={auth}\n{wrong}\npower_timeout=600"));
                assert!(done.why().contains("check username and password"), "{auth}: {done:?}");
                let model = service.model();
                // The service root is there for everybody, and looks at no login.
                let asked = model.asked.iter().filter(|asked| asked.path != "/redfish/v1");
                let basic = asked.filter(|asked| asked.header("authorization").is_some()).count();
                let logins = basic + model.count("POST", SESSIONS);
                assert_eq!(logins, tries, "{auth} {action}: a locked account helps nobody");
            }
        }
    }
}

#[test]
fn sessions_are_closed_and_used_where_basic_is_switched_off() {
    let service = Service::good(None);
    service.model().takes_basic = false;
    for auth in ["auto", "session"] {
        assert_eq!(
            act(&service, "reboot", &format!("auth={auth}")).verdict(),
            (Some(0), "Success: Rebooted")
        );
        let model = service.model();
        assert!(model.sessions.is_empty(), "left behind: {:?}", model.sessions);
    }
    assert_eq!(service.model().sessions_made, 2, "one session a run");
    let done = act(&service, "status", "auth=basic");
    assert!(done.why().contains("check username and password"), "{done:?}");
}

#[test]
fn a_session_that_ends_early_is_opened_again() {
    let service = Service::start(None, |asked, model| {
        if asked.is("POST", RESET) && model.sessions_made == 1 {
            model.sessions.clear();
        }
        None
    });
    assert_eq!(act(&service, "off", "auth=session").verdict(), (Some(0), "Success: Powered OFF"));
    {
        let model = service.model();
        assert_eq!((model.sessions_made, model.sessions.len()), (2, 0));
    }
    let forgetful = Service::start(None, |asked, model| {
        if !asked.is("POST", SESSIONS) {
            model.sessions.clear();
        }
        None
    });
    assert_eq!(act(&forgetful, "status", "auth=session").code, Some(1));
}

#[test]
fn a_full_house_is_told() {
    let service = Service::good(None);
    service.model().sessions_max = 0;
    let done = act(&service, "status", "auth=session");
    assert!(done.why().contains("no session free") && done.why().contains("auth=basic"), "{done:?}");
    let busy = Service::start(None, |asked, _| asked.is("POST", SESSIONS).then(|| error(503, "starting")));
    assert!(act(&busy, "status", "auth=session").why().contains("busy"));
}

#[test]
fn a_service_without_sessions_names_the_cure() {
    for (status, words) in [(404, "auth=basic"), (405, "auth=basic"), (403, "Login privilege")] {
        let service =
            Service::start(None, move |asked, _| asked.is("POST", SESSIONS).then(|| error(status, "no")));
        let done = act(&service, "off", "auth=session\npower_timeout=600");
        assert!(done.why().contains(words), "{done:?}");
    }
    let tokenless =
        Service::start(None, |asked, _| asked.is("POST", SESSIONS).then(|| plain(201, json!({}))));
    assert!(act(&tokenless, "status", "auth=session").why().contains("auth=basic"));
}

fn ended_in_the_middle(signal: Signal, at: (&'static str, &'static str)) -> (Done, usize, usize, bool) {
    let service = Service::start(None, move |asked, model| {
        if !asked.is(at.0, at.1) {
            return None;
        }
        if at.1 == SESSIONS {
            // The login is answered, but only after a while: the session may exist when we are ended.
            let Reply::Json(status, headers, document) = model.behaved(asked) else { return None };
            let whole = crate::service::written(status, &headers, &document);
            return Some(Reply::Late(whole, Duration::from_millis(200)));
        }
        Some(Reply::Silence)
    });
    let options = "login_timeout=60\nshell_timeout=60\nauth=session\naction=off";
    let running = start("redfish", &format!("{}{options}", service.options()));
    until("the agent asks", || service.model().count(at.0, at.1) > 0);
    kill_process(Pid::from_raw(running.id().cast_signed()).unwrap(), signal).unwrap();
    let done = running.end();
    let model = service.model();
    (done, model.sessions_made, model.sessions.len(), model.power == "Off")
}

#[test]
fn an_agent_that_is_ended_in_the_middle_closes_its_session() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        for at in [("GET", SYSTEM), ("POST", RESET), ("POST", SESSIONS)] {
            let (done, made, left, off) = ended_in_the_middle(signal, at);
            assert_eq!((made, left), (1, 0), "{signal:?} {at:?}: {done:?}");
            // The end of the run and the signal may cross; what is said is true all the same.
            let whole = done.verdict() == (Some(0), "Success: Powered OFF") && off;
            let killed = done.signal == Some(signal.as_raw()) && (done.out.is_empty() || off);
            assert!(whole || killed, "{at:?}: {done:?}");
            assert!(killed || at.1 == SESSIONS, "{at:?}: it did not see the signal: {done:?}");
        }
    }
}
