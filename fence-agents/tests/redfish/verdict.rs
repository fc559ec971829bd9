//! What the controller does with orders, and what is made of it.

use crate::agent::{PROMPT, run};
use crate::service::{RESET, Reply, SYSTEM, Service, UUID, error, plain};
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};

fn act(service: &Service, action: &str, more: &str) -> crate::agent::Done {
    run("redfish", &format!("{}{PROMPT}action={action}\n{more}", service.options()))
}

#[test]
fn a_controller_that_behaves_is_obeyed() {
    let service = Service::good(None);
    assert_eq!(act(&service, "status", "").verdict(), (Some(0), "Status: ON"));
    assert_eq!(act(&service, "off", "").verdict(), (Some(0), "Success: Powered OFF"));
    assert_eq!(act(&service, "status", "").verdict(), (Some(2), "Status: OFF"));
    assert_eq!(act(&service, "off", "").verdict(), (Some(0), "Success: Already OFF"));
    assert_eq!(act(&service, "on", "").verdict(), (Some(0), "Success: Powered ON"));
    assert_eq!(act(&service, "reboot", "").verdict(), (Some(0), "Success: Rebooted"));
    assert_eq!(service.model().orders(), ["ForceOff", "On", "ForceOff", "On"]);
    assert_eq!(act(&service, "monitor", "").verdict(), (Some(0), ""));
    assert_eq!(act(&service, "list-status", "").verdict(), (Some(0), &*format!("1,{UUID},ON")));
}

#[test]
fn an_order_that_is_taken_and_not_carried_out_is_no_success() {
    let service = Service::good(None);
    service.model().obeys = false;
    for action in ["off", "reboot"] {
        let done = act(&service, action, "");
        assert!(done.why().contains("Timed out waiting to power OFF: 1 is ON"), "{done:?}");
    }
    assert_eq!(service.model().power, "On");
}

#[test]
fn power_in_between_is_not_off() {
    for word in ["PoweringOff", "PoweringOn", "Paused", "off", ""] {
        let service = Service::start(None, move |_, model| {
            if model.power == "Off" {
                model.power = word;
            }
            None
        });
        let done = act(&service, "off", "");
        assert!(done.why().contains("UNKNOWN"), "{word}: {done:?}");
        assert_eq!(act(&service, "status", "").code, Some(1), "{word}");
    }
}

#[test]
fn power_that_comes_back_is_seen_and_ordered_off_again() {
    let service = Service::good(None);
    assert_eq!(act(&service, "off", "").verdict(), (Some(0), "Success: Powered OFF"));
    service.model().power = "On";
    assert_eq!(act(&service, "status", "").verdict(), (Some(0), "Status: ON"));
    assert_eq!(act(&service, "off", "").verdict(), (Some(0), "Success: Powered OFF"));
    assert_eq!(service.model().orders(), ["ForceOff", "ForceOff"]);
}

#[test]
fn power_that_comes_back_at_once_is_never_taken_for_off() {
    // The order is carried out, but whoever looks finds it on again.
    let service = Service::start(None, |asked, model| {
        if asked.is("GET", SYSTEM) {
            model.power = "On";
        }
        None
    });
    assert!(act(&service, "off", "").why().contains("1 is ON"));
}

#[test]
fn a_slow_power_off_is_waited_for() {
    let looks = AtomicUsize::new(0);
    let service = Service::start(None, move |asked, model| {
        let slow = asked.is("GET", SYSTEM) && model.power == "Off";
        (slow && looks.fetch_add(1, Ordering::Relaxed) < 4).then(|| {
            let mut system = model.system();
            system["PowerState"] = json!("PoweringOff");
            plain(200, system)
        })
    });
    let done = act(&service, "off", "power_timeout=30");
    assert_eq!(done.verdict(), (Some(0), "Success: Powered OFF"));
    assert_eq!(service.model().orders(), ["ForceOff"]);
}

#[test]
fn an_etag_is_given_where_it_is_asked_for() {
    let service = Service::start(None, |asked, _| {
        let seen = asked.header("if-match") == Some("\"7\"");
        (asked.is("POST", RESET) && !seen).then(|| error(412, "give the ETag"))
    });
    assert_eq!(act(&service, "off", "").verdict(), (Some(0), "Success: Powered OFF"));
    let stubborn =
        Service::start(None, |asked, _| asked.is("POST", RESET).then(|| error(412, "never enough")));
    let done = act(&stubborn, "off", "");
    assert!(done.why().contains("Timed out") && done.err.contains("never enough"), "{done:?}");
}

/// A controller that answers orders with a task, which then is as `task` says.
fn with_task(obeys: bool, task: serde_json::Value, in_body: bool) -> Service {
    let at = "/redfish/v1/TaskService/TaskMonitors/9";
    let service = Service::start(None, move |asked, model| {
        if asked.is("POST", RESET) {
            let _ = model.behaved(asked);
            let document = json!({"@odata.id": "/redfish/v1/TaskService/Tasks/9", "TaskMonitor": at});
            return Some(if in_body {
                plain(202, document)
            } else {
                Reply::Json(202, vec![("Location", at.to_owned())], json!({}))
            });
        }
        asked.is("GET", at).then(|| plain(200, task.clone()))
    });
    service.model().obeys = obeys;
    service
}

#[test]
fn a_tasks_success_proves_nothing_and_its_failure_ends_the_waiting() {
    let done = json!({"TaskState": "Completed", "TaskStatus": "OK"});
    for in_body in [false, true] {
        let service = with_task(true, done.clone(), in_body);
        assert_eq!(act(&service, "off", "").verdict(), (Some(0), "Success: Powered OFF"));
        let liar = with_task(false, done.clone(), in_body);
        assert!(act(&liar, "off", "").why().contains("1 is ON"));
        let failed = json!({"TaskState": "Exception", "Messages": [{"Message": "the relay is stuck"}]});
        let failing = with_task(false, failed, in_body);
        let ended = act(&failing, "off", "power_timeout=600");
        assert!(ended.why().contains("the relay is stuck"), "{ended:?}");
    }
    let running = with_task(false, json!({"TaskState": "Running"}), false);
    assert!(act(&running, "off", "").why().contains("Timed out"));
    let asks = running.model().count("GET", "/redfish/v1/TaskService/TaskMonitors/9");
    assert!(asks > 0, "the task was asked {asks} times");
}

#[test]
fn a_refusal_names_its_cause_and_its_cure() {
    let refusing = |status, path| {
        Service::start(None, move |asked, _| (asked.path == path).then(|| error(status, "says the bmc")))
    };
    for (status, cure) in [(403, "role"), (404, "systems_uri"), (405, "cannot"), (501, "cannot")] {
        let service = refusing(status, RESET);
        let done = act(&service, "off", "power_timeout=600");
        let why = done.why();
        assert!(why.contains(&format!("{status}")) && why.contains("says the bmc"), "{why}");
        assert!(why.contains(cure), "{why}");
        assert_eq!(service.model().orders().len(), 1, "a definite no is not asked again");
        let done = act(&refusing(status, SYSTEM), "status", "");
        assert!(done.why().contains(cure) && done.why().contains("says the bmc"), "{done:?}");
    }
    for (status, cure) in [(500, "restart"), (503, "busy"), (429, "busy"), (400, "does not take")] {
        let done = act(&refusing(status, SYSTEM), "status", "");
        assert!(done.why().contains(cure), "{done:?}");
        let done = act(&refusing(status, RESET), "off", "");
        assert!(done.why().contains("1 is ON") && done.err.contains(cure), "{done:?}");
    }
}

#[test]
fn a_busy_controller_is_asked_again() {
    let tries = AtomicUsize::new(0);
    let service = Service::start(None, move |asked, _| {
        let busy = asked.is("POST", RESET) && tries.fetch_add(1, Ordering::Relaxed) < 3;
        busy.then(|| error(503, "busy"))
    });
    let done = act(&service, "off", "power_timeout=30");
    assert_eq!(done.verdict(), (Some(0), "Success: Powered OFF"));
    assert_eq!(service.model().orders().len(), 4);
}

#[test]
fn another_machine_is_not_ordered_off() {
    for (option, text) in [
        ("uuid=4c4c4544-0051-3510-8052-000000000000", "another machine"),
        ("serial=S2", "another machine"),
        ("plug=3", "no system is called 3"),
        ("systems_uri=/redfish/v1/Systems/3", "404"),
    ] {
        let service = Service::good(None);
        for action in ["off", "status", "monitor"] {
            let done = act(&service, action, option);
            assert!(done.why().contains(text), "{option}: {done:?}");
        }
        assert!(service.model().orders().is_empty(), "{option}");
    }
    // The node's own name, which callers send along, needs not be known to a controller with one machine.
    let service = Service::good(None);
    assert_eq!(act(&service, "off", "plug=node-b\nnodename=node-b").code, Some(0));
    // Neither need any other name be given.
    for action in ["monitor", "reboot"] {
        assert_eq!(act(&service, action, "plug=").code, Some(0), "{action}");
    }
    let sibling = Service::start(None, |asked, model| {
        asked.is("GET", SYSTEM).then(|| {
            let mut system = model.system();
            system["@odata.id"] = json!("/redfish/v1/Systems/2");
            system["PowerState"] = json!("Off");
            plain(200, system)
        })
    });
    assert!(act(&sibling, "off", "").why().contains("answers about"));
}

#[test]
fn only_what_is_on_offer_is_asked_for() {
    let service = Service::start(None, |asked, model| {
        asked.is("GET", SYSTEM).then(|| {
            let mut system = model.system();
            system["Actions"]["#ComputerSystem.Reset"]["ResetType@Redfish.AllowableValues"] =
                json!(["On", "GracefulShutdown"]);
            plain(200, system)
        })
    });
    for action in ["off", "monitor"] {
        assert!(act(&service, action, "").why().contains("does not offer ForceOff"), "{action}");
    }
    assert!(service.model().orders().is_empty());
}
