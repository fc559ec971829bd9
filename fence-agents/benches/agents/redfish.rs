//! `redfish` beside `fence_redfish`, both over TLS.

#[path = "../../tests/redfish/identity.rs"]
mod identity;
#[path = "../../tests/redfish/service.rs"]
#[allow(dead_code)] // a part of it
mod service;

use crate::{Plan, Subject};
use identity::Authority;
use rustls::version::{TLS12, TLS13};
use service::Service;

pub(crate) fn measure(plan: &Plan) {
    let shown = Authority::new("authority").issue("127.0.0.1", (2020, 2040));
    let service = Service::good(Some(shown.server(&[&TLS12, &TLS13])));
    let login = service.tls_options();
    let ours = |name, options: &str| {
        Subject::ours(name, "redfish", &format!("{login}ssl_fingerprint={} {options}", shown.fingerprint()))
    };
    let theirs = |name, options: &str| {
        Subject::theirs(
            name,
            "fence_redfish",
            &format!("{login}ssl=1 ssl_insecure=1 systems_uri={} {options}", service::SYSTEM),
        )
    };
    let subjects =
        [ours("picket, pinned", "action=status"), theirs("fence_redfish, not checked", "action=status")];
    plan.compare("\nRedfish: status", &subjects, || {});
    let subjects = [
        ours("picket, pinned", "action=off"),
        theirs("fence_redfish, not checked", "action=off"),
        theirs("fence_redfish, power_wait=0", "action=off power_wait=0"),
    ];
    plan.compare_slow("Redfish: off, seen off", &subjects, || service.model().power = "On");
}
