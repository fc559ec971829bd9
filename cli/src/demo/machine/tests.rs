//! Machines of real processes. The supervisor is this test program, started again with the one
//! ignored test that is no test.

use super::control::{PowerState, ProgramState};
use super::*;
use core::time::Duration;
use picket_fence::agent::{self, Surroundings};
use picket_fence::deadline::Deadline;
use picket_fence::exit::Exit;
use picket_fence::power::{self, Command, PowerError, Reply, Request};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(10);
/// Says to the ignored tests what they are for.
const ROLE: &str = "PICKET_TEST_ROLE";

async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(LIMIT, work).await.expect("still waiting")
}

#[test]
#[ignore = "is the supervisor of the other tests"]
fn role_supervisor() {
    if std::env::var_os(ROLE).is_some() {
        supervisor_main().unwrap();
    }
}

#[test]
#[ignore = "is the demo that dies in one of the other tests"]
fn role_starter() {
    let Some(dir) = std::env::var_os(ROLE) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let _machine = Machine::start(&launcher(), daemonizing("n1", Path::new(&dir))).await.unwrap();
        fs::write(Path::new(&dir).join("started"), "").unwrap();
        std::future::pending::<()>().await;
    });
}

fn ignored(test: &str) -> [String; 4] {
    [format!("demo::machine::tests::{test}"), "--exact".into(), "--ignored".into(), "--nocapture".into()]
}

fn launcher() -> Launcher {
    let mut launcher = Launcher::this_program(ignored("role_supervisor")).unwrap();
    launcher.env.push((ROLE.into(), "supervisor".into()));
    launcher
}

fn sleeper(name: &str) -> ProgramSpec {
    ProgramSpec::new(name, ["sleep", "1000"])
}

/// A program that leaves a process in a session of its own, whose parents are gone.
fn daemonizing(name: &str, dir: &Path) -> MachineSpec {
    let script = "(setsid sh -c 'echo $$ > pid.new; mv pid.new pid; exec sleep 1000' &) ; exec sleep 1000";
    MachineSpec::new(name, dir).with_program(ProgramSpec::new("daemonizer", ["sh", "-c", script]))
}

async fn start(spec: MachineSpec) -> Machine {
    within(Machine::start(&launcher(), spec)).await.unwrap()
}

/// Waits for a file to appear. Looking again and again is enough for a test.
async fn appears(path: &Path) -> String {
    within(async {
        loop {
            if let Ok(text) = fs::read_to_string(path) {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
}

fn process(pid: i32) -> OwnedFd {
    pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).expect("must still run")
}

async fn daemon(dir: &Path) -> OwnedFd {
    process(appears(&dir.join("state/pid")).await.trim().parse().unwrap())
}

async fn ends(process: OwnedFd) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let waiting = move || {
        let limit = Timespec::try_from(LIMIT).unwrap();
        poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit)).unwrap()
    };
    assert_eq!(tokio::task::spawn_blocking(waiting).await.unwrap(), 1, "still runs");
}

fn has_ended(process: &OwnedFd) -> bool {
    rustix::process::pidfd_send_signal(process, Signal::CONT).is_err()
}

async fn ask(socket: std::path::PathBuf, command: Command) -> Result<Reply, PowerError> {
    let request = Request { command, machine: Some("n1".into()) };
    let asking = move || power::ask(&socket, &request, Deadline::after(LIMIT), Deadline::after(LIMIT));
    tokio::task::spawn_blocking(asking).await.unwrap()
}

fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn off_means_that_also_a_daemon_in_its_own_session_is_gone() {
    let dir = dir();
    let machine = start(daemonizing("n1", dir.path())).await;
    let daemon = daemon(dir.path()).await;
    assert!(!has_ended(&daemon));
    let reply = ask(machine.spec().power_socket(), Command::Off).await.unwrap();
    assert_eq!(reply, Reply::Off);
    assert!(has_ended(&daemon), "off was said while a process was left");
    assert_eq!(machine.status().await.unwrap().power, PowerState::Off);
}

#[tokio::test]
async fn off_is_idempotent_and_every_boot_is_a_new_one() {
    let dir = dir();
    let machine = start(MachineSpec::new("n1", dir.path()).with_program(sleeper("a"))).await;
    let switch = machine.spec().power_socket();
    let first = machine.boot_id().unwrap();
    assert_eq!(ask(switch.clone(), Command::Status).await.unwrap(), Reply::On(first));
    assert_eq!(ask(switch.clone(), Command::On).await.unwrap(), Reply::On(first), "on is no reboot");
    for _ in 0..2 {
        assert_eq!(ask(switch.clone(), Command::Off).await.unwrap(), Reply::Off);
    }
    assert_eq!(ask(switch.clone(), Command::Status).await.unwrap(), Reply::Off);
    let Reply::On(second) = ask(switch.clone(), Command::On).await.unwrap() else { panic!("not on") };
    let Reply::On(third) = ask(switch, Command::Reboot).await.unwrap() else { panic!("not on") };
    assert_eq!(machine.boot_id().unwrap(), third);
    assert!(first != second && second != third && first != third);
    assert_eq!(machine.status().await.unwrap().boots, 3);
}

#[tokio::test]
async fn power_on_empties_the_run_directory_and_keeps_the_disk() {
    let dir = dir();
    let machine = start(MachineSpec::new("n1", dir.path())).await;
    let (run, state) = (machine.spec().run_dir(), machine.spec().state_dir());
    fs::create_dir(run.join("sub")).unwrap();
    fs::write(run.join("sub/grant"), "x").unwrap();
    fs::write(state.join("epoch"), "7").unwrap();
    machine.reboot().await.unwrap();
    assert!(!run.join("sub").exists());
    assert_eq!(fs::read_to_string(state.join("epoch")).unwrap(), "7");
}

#[tokio::test]
async fn a_switch_asked_for_another_machine_does_nothing() {
    let dir = dir();
    let machine = start(MachineSpec::new("n2", dir.path())).await;
    let reply = ask(machine.spec().power_socket(), Command::Off).await.unwrap();
    assert!(matches!(reply, Reply::Error(ref why) if why.contains("n2") && why.contains("n1")), "{reply}");
    assert_eq!(machine.status().await.unwrap().power, PowerState::On);
}

#[tokio::test]
async fn a_killed_program_is_started_again_within_the_same_boot_a_stopped_one_is_not() {
    let dir = dir();
    let spec = MachineSpec::new("n1", dir.path()).with_program(sleeper("a").restarted_after_ms(20));
    let machine = start(spec.with_program(sleeper("b"))).await;
    let boot = machine.boot_id().unwrap();
    machine.kill("a").await.unwrap();
    machine.kill("b").await.unwrap();
    let status = within(machine.until(|status| {
        status.program("a").unwrap().starts == 2 && status.program("b").unwrap().state == ProgramState::Ended
    }))
    .await
    .unwrap();
    assert_eq!(status.program("a").unwrap().state, ProgramState::Running);
    assert_eq!(machine.boot_id().unwrap(), boot);
    machine.stop("a").await.unwrap();
    within(machine.until(|status| status.program("a").unwrap().state == ProgramState::Ended)).await.unwrap();
    machine.start_program("a").await.unwrap();
    assert_eq!(machine.status().await.unwrap().program("a").unwrap().starts, 3);
    assert!(machine.kill("no-such").await.is_err());
}

/// The state letter of a process: `T` is stopped, `S` sleeps.
fn letter(pid: i32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().trim().chars().next().unwrap()
}

async fn becomes(pid: i32, wanted: char) {
    within(async {
        while letter(pid) != wanted {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_frozen_program_stands_still_goes_on_and_dies_with_the_machine() {
    let dir = dir();
    let machine = start(MachineSpec::new("n1", dir.path()).with_program(sleeper("a"))).await;
    machine.freeze("a").await.unwrap();
    let status = machine.status().await.unwrap();
    let program = status.program("a").unwrap();
    assert_eq!(program.state, ProgramState::Frozen);
    let pid = program.pid.unwrap();
    becomes(pid, 'T').await;
    machine.thaw("a").await.unwrap();
    becomes(pid, 'S').await;
    machine.freeze("a").await.unwrap();
    let process = process(pid);
    machine.power_off().await.unwrap();
    assert!(has_ended(&process));
}

#[tokio::test]
async fn a_pause_stops_everything_but_what_was_frozen_before_stays_so() {
    let dir = dir();
    let machine = start(daemonizing("n1", dir.path()).with_program(sleeper("a"))).await;
    let daemon: i32 = appears(&dir.path().join("state/pid")).await.trim().parse().unwrap();
    let frozen = machine.status().await.unwrap().program("a").unwrap().pid.unwrap();
    machine.freeze("a").await.unwrap();
    becomes(frozen, 'T').await;
    machine.pause().await.unwrap();
    becomes(daemon, 'T').await;
    machine.resume().await.unwrap();
    becomes(daemon, 'S').await;
    assert_eq!(letter(frozen), 'T');
    assert!(machine.resume().await.is_err(), "not paused any more");
}

struct Client(BufReader<UnixStream>);

impl Client {
    async fn of(socket: std::path::PathBuf) -> Self {
        Self(BufReader::new(UnixStream::connect(socket).await.unwrap()))
    }

    async fn say(&mut self, line: &str) -> String {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).await.unwrap();
        self.hear().await
    }

    async fn hear(&mut self) -> String {
        let mut answer = String::new();
        within(self.0.read_line(&mut answer)).await.unwrap();
        answer.trim_end().to_owned()
    }
}

fn with_watchdog(dir: &Path, after_bite: AfterBite) -> MachineSpec {
    let watchdog = WatchdogSpec { after_bite, ..WatchdogSpec::default() };
    MachineSpec { watchdog, ..daemonizing("n1", dir) }
}

#[tokio::test]
async fn a_watchdog_that_is_not_petted_kills_the_machine_and_powers_it_on_again() {
    let dir = dir();
    let machine = start(with_watchdog(dir.path(), AfterBite::PowerOn { delay_ms: 10 })).await;
    let (first, daemon) = (machine.boot_id().unwrap(), daemon(dir.path()).await);
    let mut client = Client::of(machine.spec().watchdog_socket()).await;
    assert_eq!(client.say("measure 50").await, "effective 50");
    assert_eq!(client.say("pet 50").await, "ok 50");
    let mut second = Client::of(machine.spec().watchdog_socket()).await;
    assert_eq!(second.hear().await, "error busy");
    let status = within(machine.until(|status| status.boots == 2)).await.unwrap();
    assert_eq!((status.bites, status.power, status.watchdog_armed), (1, PowerState::On, false));
    assert!(has_ended(&daemon));
    assert_ne!(machine.boot_id().unwrap(), first);
}

#[tokio::test]
async fn a_lost_client_leaves_the_watchdog_armed_and_off_stays_off_if_so_configured() {
    let dir = dir();
    let machine = start(with_watchdog(dir.path(), AfterBite::StayOff)).await;
    let mut client = Client::of(machine.spec().watchdog_socket()).await;
    client.say("pet 50").await;
    drop(client);
    let status = within(machine.until(|status| status.power == PowerState::Off)).await.unwrap();
    assert_eq!((status.bites, status.boots), (1, 1));
}

#[tokio::test]
async fn the_magic_close_lets_the_machine_live() {
    let dir = dir();
    let machine = start(with_watchdog(dir.path(), AfterBite::StayOff)).await;
    let mut client = Client::of(machine.spec().watchdog_socket()).await;
    client.say("pet 3600000").await;
    assert!(machine.status().await.unwrap().watchdog_armed);
    client.say("V").await;
    drop(client);
    within(async {
        while machine.status().await.unwrap().watchdog_armed {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(machine.status().await.unwrap().power, PowerState::On);
}

async fn fence(spec: &MachineSpec, action: &str, more: &str) -> (Exit, String) {
    let socket = spec.power_socket();
    let text = format!("action={action}\nsocket_path={}\nport={}\n{more}\n", socket.display(), spec.name);
    tokio::task::spawn_blocking(move || {
        let kind = picket_fence::registry::find("process").unwrap();
        let mut out = Vec::new();
        let around = Surroundings {
            words: &[],
            stdin: &mut text.as_bytes(),
            out: &mut out,
            caller: picket_fence::caller::Caller::Anyone,
            system_log: false,
        };
        let exit = agent::run(kind, around).unwrap();
        (exit, String::from_utf8(out).unwrap())
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn the_fence_agent_switches_it_and_a_dead_switch_is_never_off() {
    let dir = dir();
    let machine = start(daemonizing("n1", dir.path())).await;
    let spec = machine.spec();
    let daemon = daemon(dir.path()).await;
    assert_eq!(fence(spec, "status", "").await, (Exit::Success, "Status: ON\n".into()));
    let quick = "login_timeout=0.05\nshell_timeout=0.05\npower_timeout=0.1";
    machine.switch_answers(false).await.unwrap();
    for action in ["off", "reboot", "status", "monitor"] {
        assert_eq!(fence(spec, action, quick).await, (Exit::Failed, String::new()), "{action}");
    }
    assert!(!has_ended(&daemon));
    machine.switch_answers(true).await.unwrap();
    assert_eq!(fence(spec, "off", "").await, (Exit::Success, "Success: Powered OFF\n".into()));
    assert!(has_ended(&daemon));
    assert_eq!(fence(spec, "off", "").await, (Exit::Success, "Success: Already OFF\n".into()));
    assert_eq!(fence(spec, "status", "").await, (Exit::StatusOff, "Status: OFF\n".into()));
    assert_eq!(fence(spec, "list-status", "").await, (Exit::Success, "n1,,OFF\n".into()));
    assert_eq!(fence(spec, "reboot", "").await, (Exit::Success, "Success: Rebooted\n".into()));
    assert_eq!(fence(spec, "monitor", "").await, (Exit::Success, String::new()));
    assert_eq!(machine.status().await.unwrap().boots, 2);
}

#[tokio::test]
async fn fate_is_played_by_words_at_the_control_socket() {
    let dir = dir();
    let machine = start(daemonizing("n1", dir.path())).await;
    let socket = machine.spec().control_socket();
    let daemon = daemon(dir.path()).await;
    let play = crate::demo::play_fate;
    assert_eq!(play(&socket, "explode").await, Err("not a control command: \"explode\"".to_owned()));
    assert_eq!(play(&socket, "off").await, Ok(String::new()));
    assert!(has_ended(&daemon));
    assert!(play(&socket, "status").await.unwrap().contains("off"));
    let nowhere = play(&dir.path().join("nobody"), "off").await.unwrap_err();
    assert!(nowhere.contains("nobody"), "{nowhere}");
}

#[tokio::test]
async fn everything_dies_with_the_process_that_started_the_machine() {
    let dir = dir();
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(ignored("role_starter")).env(ROLE, dir.path()).stdout(std::process::Stdio::null());
    let mut starter = command.spawn().unwrap();
    appears(&dir.path().join("started")).await;
    let daemon = daemon(dir.path()).await;
    let starter_pid = Pid::from_raw(starter.id().try_into().unwrap()).unwrap();
    kill_process(starter_pid, Signal::KILL).unwrap();
    starter.wait().unwrap();
    ends(daemon).await;
}

#[tokio::test]
async fn the_end_of_a_machine_leaves_nothing() {
    let dir = dir();
    let machine = start(daemonizing("n1", dir.path())).await;
    let daemon = daemon(dir.path()).await;
    assert!(within(machine.end()).await.unwrap().success());
    assert!(has_ended(&daemon));
}

#[tokio::test]
async fn a_wrong_description_is_refused_with_the_reason() {
    let dir = dir();
    let twice = MachineSpec::new("n1", dir.path()).with_program(sleeper("a")).with_program(sleeper("a"));
    for spec in [
        twice,
        MachineSpec::new("n 1", dir.path()),
        MachineSpec::new("n1", "relative"),
        MachineSpec::new("n1", format!("/tmp/{}", "x".repeat(100))),
        MachineSpec::new("n1", dir.path()).with_program(ProgramSpec::new("a", Vec::<String>::new())),
    ] {
        let refused = Machine::start(&launcher(), spec).await;
        assert!(matches!(refused, Err(MachineError::Spec(_))), "{refused:?}");
    }
}

#[test]
fn control_commands_are_read_as_they_are_written() {
    use super::control::Command;
    let name = || "picketd".to_owned();
    for command in [
        Command::Status,
        Command::Change(7),
        Command::On,
        Command::Off,
        Command::Reboot,
        Command::Freeze(name()),
        Command::Thaw(name()),
        Command::Kill(name()),
        Command::Stop(name()),
        Command::Start(name()),
        Command::Pause,
        Command::Resume,
        Command::Switch { answers: true },
        Command::Switch { answers: false },
    ] {
        assert_eq!(command.to_string().parse::<Command>().unwrap(), command);
    }
    assert!("freeze".parse::<Command>().is_err());
}
