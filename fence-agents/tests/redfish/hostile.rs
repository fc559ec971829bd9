//! Answers that no controller should give.

use crate::agent::{Done, HASTY, PROMPT, run};
use crate::service::{RESET, Reply, SYSTEM, Service, plain, written};
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::sync::Arc;
use std::time::Duration;

fn act(service: &Service, action: &str, more: &str) -> Done {
    run("redfish", &format!("{}{PROMPT}action={action}\n{more}", service.options()))
}

fn off() -> Value {
    json!({"@odata.id": SYSTEM, "@odata.type": "#ComputerSystem.v1_0_0.ComputerSystem", "PowerState": "Off"})
}

/// Answers about a machine that is off, each spoilt in some way.
fn spoilt() -> Vec<(&'static str, Vec<u8>)> {
    let whole = written(200, &[], &off());
    let body = off().to_string();
    let mut cut = whole.clone();
    cut.truncate(whole.len() - 1);
    let with = |head: &str, body: &str| format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}").into_bytes();
    let huge = format!("{}{body}", " ".repeat(2 << 20));
    vec![
        ("nothing", Vec::new()),
        ("cut by a byte", cut),
        ("cut in its head", whole[..20].to_vec()),
        ("garbage", (0..4096_u32).map(|i| (i * 7919 % 251) as u8).collect()),
        ("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        ("half a document", with("Content-Length: 20", &body[..20])),
        (
            "a document in a document",
            with(&format!("Content-Length: {}", body.len() + 2), &format!("[{body}]")),
        ),
        ("huge, and said so", with("Content-Length: 99999999999", &body)),
        ("huge, and not said", with("Connection: close", &huge)),
        ("a negative length", with("Content-Length: -1", &body)),
        ("two lengths", with(&format!("Content-Length: 2\r\nContent-Length: {}", body.len()), &body)),
        ("an unknown encoding", with("Transfer-Encoding: gzip", &body)),
        ("a piece without end", with("Transfer-Encoding: chunked", &format!("{:x}\r\n{body}", body.len()))),
        ("an endless head", with(&"X: y\r\n".repeat(40_000), &body)),
        ("an error with the document", written(500, &[], &off())),
        ("no content", written(204, &[], &Value::Null)),
        ("partial content", written(206, &[], &off())),
        (
            "two power states",
            with("Connection: close", &body.replace("\"Off\"", "\"On\",\"PowerState\":\"Off\"")),
        ),
        ("web page", with("Content-Type: text/html\r\nContent-Length: 16", "<html>Off</html>")),
    ]
}

#[test]
fn a_spoilt_answer_is_never_off() {
    for (what, bytes) in spoilt() {
        let service =
            Service::start(None, move |asked, _| asked.is("GET", SYSTEM).then(|| Reply::Raw(bytes.clone())));
        for action in ["status", "off", "reboot"] {
            let done = act(&service, action, "");
            assert!(!done.why().is_empty(), "{what}: {done:?}");
        }
        assert!(service.model().orders().is_empty(), "{what}: ordered without knowing the machine");
    }
}

#[test]
fn a_spoilt_answer_to_an_order_is_not_its_success() {
    for (what, bytes) in spoilt() {
        // It says anything, and does nothing.
        let service =
            Service::start(None, move |asked, _| asked.is("POST", RESET).then(|| Reply::Raw(bytes.clone())));
        let done = act(&service, "off", "");
        assert!(done.why().contains("1 is ON"), "{what}: {done:?}");
    }
}

#[test]
fn one_byte_now_and_then_does_not_hold_us_up() {
    for (bytes, pause) in [(written(200, &[], &off()), 100), (b"HTTP/1.1 200 OK\r\nX: ".repeat(1000), 1)] {
        let service = Service::start(None, move |asked, _| {
            asked.is("GET", SYSTEM).then(|| Reply::Drip(bytes.clone(), Duration::from_millis(pause)))
        });
        let done = act(&service, "status", HASTY);
        assert!(done.why().contains("did not answer in time"), "{done:?}");
    }
    let silent = Service::start(None, |_, _| Some(Reply::Silence));
    assert!(act(&silent, "off", HASTY).why().contains("did not answer in time"));
}

#[test]
fn nobody_there_is_unknown() {
    // Bound and not listening: nobody else can get this port meanwhile.
    let closed = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&closed, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = SocketAddrV4::try_from(getsockname(&closed).unwrap()).unwrap().port();
    let base = format!("ipport={port}\nusername=u\npassword=p\nplug=1\nssl=0\n{HASTY}");
    let done = run("redfish", &format!("{base}ip=127.0.0.1\naction=off"));
    assert!(done.why().contains("connection refused") && done.why().contains("ip and ipport"), "{done:?}");
    let done = run("redfish", &format!("{base}ip=no-such-host.invalid\naction=status"));
    assert!(done.why().contains("no-such-host.invalid"), "{done:?}");
    // Accepts, and says nothing, not even TLS.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = mute.local_addr().unwrap().port();
    let tls = format!("ip=127.0.0.1\nipport={port}\nusername=u\npassword=p\nplug=1\nssl_insecure=1\n{HASTY}");
    let done = run("redfish", &format!("{tls}action=status"));
    assert!(done.why().contains("in time"), "{done:?}");
}

#[test]
fn a_redirect_to_another_host_gets_no_password() {
    let elsewhere = Arc::new(Service::good(None));
    let to = format!("http://127.0.0.1:{}{SYSTEM}", elsewhere.address.port());
    for status in [301, 302, 303, 307, 308] {
        let to = to.clone();
        let service = Service::start(None, move |asked, _| {
            (asked.path == SYSTEM || asked.path == RESET)
                .then(|| Reply::Json(status, vec![("Location", to.clone())], json!({})))
        });
        let done = act(&service, "off", "");
        assert!(done.why().contains("not followed"), "{done:?}");
    }
    assert!(elsewhere.model().asked.is_empty(), "it was asked");
    // On the same host, a slash more is followed.
    let service = Service::start(None, |asked, _| {
        let to = vec![("Location", "/redfish/v1/".to_owned())];
        asked.is("GET", "/redfish/v1").then(|| Reply::Json(301, to, json!({})))
    });
    assert_eq!(act(&service, "status", "").code, Some(0));
    let circle = Service::start(None, |asked, _| {
        asked.is("GET", SYSTEM).then(|| Reply::Json(302, vec![("Location", SYSTEM.to_owned())], json!({})))
    });
    assert!(act(&circle, "status", "").why().contains("circle"));
}

#[test]
fn a_late_answer_is_not_taken_for_another() {
    // Everything is answered twice; the second copy must not answer the next question.
    let service = Service::start(None, |asked, model| match model.behaved(asked) {
        Reply::Json(status, _, document) if status != 204 => Some(Reply::Twice(status, document)),
        other => Some(other),
    });
    assert_eq!(act(&service, "off", "").verdict(), (Some(0), "Success: Powered OFF"));
    assert_eq!(act(&service, "on", "").verdict(), (Some(0), "Success: Powered ON"));
    service.model().obeys = false;
    assert!(act(&service, "off", "").why().contains("1 is ON"));
}

#[test]
fn a_controller_that_closes_without_a_word_is_obeyed_all_the_same() {
    let service = Service::start(None, |asked, model| match model.behaved(asked) {
        Reply::Json(status, _, document) => Some(Reply::ThenClose(status, document)),
        other => Some(other),
    });
    assert_eq!(act(&service, "reboot", "").verdict(), (Some(0), "Success: Rebooted"));
    assert_eq!(service.model().orders(), ["ForceOff", "On"]);
}

#[test]
fn a_controller_that_dies_in_the_middle_proves_nothing() {
    let at_the_order = Service::start(None, |asked, _| asked.is("POST", RESET).then_some(Reply::Death));
    assert!(act(&at_the_order, "off", "").why().contains("UNKNOWN"));
    let after_it = Service::start(None, |asked, model| {
        (asked.is("GET", SYSTEM) && !model.orders().is_empty()).then_some(Reply::Death)
    });
    let done = act(&after_it, "reboot", "");
    assert!(done.why().contains("UNKNOWN") && done.why().contains("refused"), "{done:?}");
}

#[test]
fn references_that_lead_away_are_not_followed() {
    for away in ["http://192.0.2.1/x", "//192.0.2.1/x", "x", "/a b", "/x\r\nHost: y"] {
        let service = Service::start(None, move |asked, model| {
            asked.is("GET", SYSTEM).then(|| {
                let mut system = model.system();
                system["Actions"]["#ComputerSystem.Reset"]["target"] = json!(away);
                plain(200, system)
            })
        });
        assert!(act(&service, "off", "").why().contains("no path on it"), "{away}");
    }
}
