//! `ipmi` beside `ipmitool` and `fence_ipmilan`.

#[path = "../../tests/bmc/mod.rs"]
mod bmc;

use crate::{Plan, Subject};
use bmc::server::Server;
use bmc::{Config, Obeys};
use std::io::Write;
use std::time::Duration;

fn login(server: &Server) -> String {
    let address = server.address;
    format!("ip={}\nipport={}\nusername=admin\npassword=secret\n", address.ip(), address.port())
}

fn ours(name: &'static str, server: &Server, options: &str) -> Subject {
    Subject::ours(name, "ipmi", &format!("{}{options}", login(server)))
}

fn ipmilan(name: &'static str, server: &Server, options: &str) -> Subject {
    Subject::theirs(name, "fence_ipmilan", &format!("{}lanplus=1 cipher=3 {options}", login(server)))
}

fn ipmitool(name: &'static str, server: &Server, words: &str) -> Subject {
    let (ip, port) = (server.address.ip(), server.address.port());
    let line = format!("-I lanplus -C 3 -H {ip} -p {port} -U admin -P secret {words}");
    let words = line.split(' ').map(str::to_owned).collect();
    Subject { words, ..Subject::theirs(name, "ipmitool", "") }
}

pub(crate) fn measure(plan: &Plan) {
    let server = Server::start(Config::default());
    let subjects = [
        Subject::ours("picket", "ipmi", "action=metadata"),
        Subject::theirs("fence_ipmilan", "fence_ipmilan", "action=metadata"),
    ];
    plan.compare("metadata", &subjects, || {});
    let subjects = [
        ours("picket, suite 3", &server, "cipher=3 action=status"),
        ours("picket, suite 17", &server, "action=status"),
        ipmitool("ipmitool -C 3", &server, "chassis power status"),
        ipmilan("fence_ipmilan, suite 3", &server, "action=status"),
    ];
    plan.compare("IPMI: status", &subjects, || {});
    let subjects = [
        ours("picket, suite 3", &server, "cipher=3 action=off"),
        ours("picket, suite 17", &server, "action=off"),
        ipmilan("fence_ipmilan, suite 3", &server, "action=off"),
        ipmilan("fence_ipmilan, power_wait=0", &server, "action=off power_wait=0"),
    ];
    plan.compare_slow("IPMI: off, seen off", &subjects, || server.with(|bmc| bmc.power = true));
    match memory_kib() {
        Some(kib) => println!("memory, at most: {:.1} MiB", kib as f64 / 1024.0),
        None => println!("memory: not known here"),
    }
}

/// The most memory that the agent had while it waits for a machine that does not go off.
fn memory_kib() -> Option<u64> {
    let server = Server::start(Config { obeys: Obeys::Never, ..Config::default() });
    let subject = ours("", &server, "action=off");
    let mut child = subject.command().spawn().unwrap();
    child.stdin.take().unwrap().write_all(subject.input.as_bytes()).unwrap();
    assert!(server.wait_until(Duration::from_secs(20), |bmc| bmc.looks >= 4), "it does not look");
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
