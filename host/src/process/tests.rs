use super::control::control_socket;
use super::{
    Alarm, Captured, Control, Descendants, Finished, Interest, KILL_WAIT_MAX, Leftovers, Outcome, Program,
    Remains, SendFlags, run, watch, watch_until_end,
};
use crate::clock::{boottime, pause};
use crate::sys::supervisor::KIND_MAIN;
use core::time::Duration;
use rustix::net::RecvFlags;
use std::fs;
use std::path::Path;

/// Long enough that only a bug reaches it.
const FAR: Duration = Duration::from_secs(60);
/// Long enough for a shell to start what it starts on a busy machine.
const SOON: Duration = Duration::from_millis(700);

fn shell(script: &str) -> Program {
    Program::new("/bin/sh").args(["-c", script]).env("PATH", "/usr/bin:/bin")
}

async fn run_for(program: Program, within: Duration) -> Finished {
    run(program, boottime() + within).await
}

fn is_there(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

/// The process ids that a script wrote, one a line.
fn pids(file: &Path, expected: usize) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let pids: Vec<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(pids.len(), expected, "the script did not get as far as the test needs: {text:?}");
    pids
}

/// Waits for a condition that an event outside of our reach brings about.
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let give_up = boottime() + FAR;
    while !condition() {
        assert!(boottime() < give_up, "{what} did not happen");
        pause(Duration::from_millis(2), "a process outside of our tree tells nobody of its end");
    }
}

#[tokio::test]
async fn exit_codes_output_and_input_come_through() {
    let program = shell("cat; echo to-err >&2; exit 3").stdin("to-out");
    let finished = run_for(program, FAR).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 3 });
    assert_eq!(finished.descendants, Descendants::Gone);
    assert_eq!(finished.stdout.text(), "to-out");
    assert_eq!(finished.stderr.text(), "to-err\n");
}

#[tokio::test]
async fn a_signal_is_told_apart_from_an_exit() {
    let finished = run_for(shell("kill -9 $$"), FAR).await;
    assert_eq!(finished.outcome, Outcome::Signaled { signal: 9 });
}

#[tokio::test]
async fn what_is_not_there_is_not_started_and_says_which() {
    let finished = run_for(Program::new("/nonexistent/agent"), FAR).await;
    let Outcome::NotStarted { reason } = finished.outcome else { panic!("{finished:?}") };
    assert!(reason.contains("/nonexistent/agent"), "{reason}");
    assert!(reason.contains("No such file"), "{reason}");
}

#[tokio::test]
async fn the_environment_holds_only_what_was_given() {
    let finished = run_for(Program::new("/usr/bin/env").env("ONLY", "this"), FAR).await;
    assert_eq!(finished.stdout.text(), "ONLY=this\n");
}

#[tokio::test]
#[allow(unsafe_code)] // as a shell does for its background jobs
async fn the_program_has_no_descriptor_but_three_and_default_signals() {
    // SAFETY: no handler is installed; nothing in these tests relies on this signal.
    unsafe { libc::signal(libc::SIGQUIT, libc::SIG_IGN) };
    let finished =
        run_for(shell("ls -l /proc/self/fd | wc -l; grep -E 'Sig(Blk|Ign)' /proc/self/status"), FAR).await;
    // A headline, three descriptors and the one that ls reads.
    let text = finished.stdout.text();
    assert_eq!(text.lines().next(), Some("5"), "{text}");
    for line in text.lines().skip(1) {
        let set = u64::from_str_radix(line.split_whitespace().nth(1).unwrap_or("none"), 16).unwrap();
        // Signals from 32 on are the C library's own business.
        assert_eq!(set & 0x7fff_ffff, 0, "{text}");
    }
}

#[tokio::test]
async fn output_beyond_the_cap_is_read_and_counted() {
    let program = shell("head -c 3000000 /dev/zero; echo end >&2").output_cap_bytes(1000);
    let finished = run_for(program, FAR).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 0 });
    assert_eq!(finished.stdout, Captured { bytes: vec![0; 1000], dropped_bytes: 2_999_000 });
    assert_eq!(finished.stderr.text(), "end\n");
}

#[tokio::test]
async fn input_that_nobody_reads_holds_nobody_up() {
    let finished = run_for(shell("exit 0").stdin(vec![b'x'; 5_000_000]), FAR).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 0 });
    let finished = run_for(shell("sleep 100").stdin(vec![b'x'; 5_000_000]), SOON).await;
    assert_eq!(finished.outcome, Outcome::TimedOut { all_gone: true }, "{finished:?}");
}

#[tokio::test]
async fn a_program_that_ignores_sigterm_dies_at_the_deadline() {
    let finished = run_for(shell("trap '' TERM HUP INT; echo here; while :; do sleep 100; done"), SOON).await;
    assert_eq!(finished.outcome, Outcome::TimedOut { all_gone: true }, "{finished:?}");
    assert_eq!(finished.descendants, Descendants::Gone);
    assert_eq!(finished.stdout.text(), "here\n");
    assert!(finished.took >= SOON);
}

#[tokio::test]
async fn a_deadline_that_has_passed_kills_at_once() {
    let finished = run(shell("sleep 100"), Duration::ZERO).await;
    assert!(matches!(finished.outcome, Outcome::TimedOut { .. }), "{finished:?}");
}

#[tokio::test]
async fn double_forks_into_own_sessions_die_at_the_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("pids");
    let script = format!(
        "(setsid sh -c '(setsid sh -c \"echo \\$\\$ >>{0}; sleep 100\" & ) ; echo $$ >>{0}; sleep 100' & )\n\
         echo $$ >>{0}; sleep 100",
        list.display()
    );
    let finished = run_for(shell(&script), SOON).await;
    assert_eq!(finished.outcome, Outcome::TimedOut { all_gone: true }, "{finished:?}");
    for pid in pids(&list, 3) {
        assert!(!is_there(&pid), "process {pid} survived");
    }
}

#[tokio::test]
async fn what_outlives_the_program_is_killed_and_its_open_pipe_holds_nobody_up() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("pids");
    let script = format!(
        "(setsid sh -c 'echo $$ >>{0}; sleep 100' & ); until [ -s {0} ]; do :; done; echo done; exit 7",
        list.display()
    );
    let finished = run_for(shell(&script), FAR).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 7 });
    assert_eq!(finished.descendants, Descendants::Gone);
    assert_eq!(finished.stdout.text(), "done\n");
    assert!(pids(&list, 1).iter().all(|pid| !is_there(pid)));
}

#[tokio::test]
async fn leftovers_may_stay_when_that_is_the_purpose() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("pids");
    let script = format!(
        "(setsid sh -c 'echo $$ >{0}; exec sleep 100' & ); until [ -s {0} ]; do :; done; echo up",
        list.display()
    );
    let finished = run_for(shell(&script).leftovers(Leftovers::Leave), FAR).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 0 });
    assert_eq!(finished.descendants, Descendants::LeftAlone);
    assert_eq!(finished.stdout.text(), "up\n");
    let left = pids(&list, 1).remove(0);
    assert!(is_there(&left), "the service should have stayed");
    let pid = rustix::process::Pid::from_raw(left.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn leftovers_die_when_the_program_itself_timed_out() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("pids");
    let script = format!("(setsid sh -c 'echo $$ >>{0}; sleep 100' & ); sleep 100", list.display());
    let finished = run_for(shell(&script).leftovers(Leftovers::Leave), SOON).await;
    assert_eq!(finished.outcome, Outcome::TimedOut { all_gone: true }, "{finished:?}");
    assert!(pids(&list, 1).iter().all(|pid| !is_there(pid)));
}

#[tokio::test]
async fn leftovers_die_when_the_program_itself_failed() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("pids");
    let script = format!(
        "(setsid sh -c 'echo $$ >{0}; exec sleep 100' & ); until [ -s {0} ]; do :; done; exit 1",
        list.display()
    );
    let finished = run_for(shell(&script).leftovers(Leftovers::Leave), FAR).await;
    assert_eq!(finished.outcome, Outcome::Exited { code: 1 });
    assert_eq!(finished.descendants, Descendants::Gone);
    assert!(pids(&list, 1).iter().all(|pid| !is_there(pid)));
}

/// A program that stops its supervisor: it is killed when that goes on, as one that sleeps in the kernel would be.
fn not_killed_at_once(list: &Path) -> Program {
    shell(&format!("kill -STOP $PPID; echo $PPID >{0}; echo $$ >>{0}; sleep 100", list.display()))
}

fn signal(pid: &str, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

async fn lines(file: &Path, expected: usize) -> Vec<String> {
    while !fs::read_to_string(file).is_ok_and(|text| text.lines().count() == expected) {
        tokio::task::yield_now().await;
    }
    pids(file, expected)
}

#[tokio::test]
async fn what_a_dropped_program_leaves_is_followed_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("pids");
    let remains = Remains::default();
    let task = tokio::spawn(run_for(not_killed_at_once(&list).remains(&remains), FAR));
    let pids = lines(&list, 2).await;
    assert!(!remains.any(), "nobody has given it up");
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(remains.any());
    assert!(!remains.gone_within(SOON).await);
    assert!(is_there(&pids[1]));
    signal(&pids[0], rustix::process::Signal::CONT);
    assert!(remains.gone_within(FAR).await);
    assert!(!remains.any() && !is_there(&pids[1]));
}

#[tokio::test]
async fn what_a_deadline_leaves_is_followed_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("pids");
    let remains = Remains::default();
    let finished = run_for(not_killed_at_once(&list).remains(&remains), SOON).await;
    assert_eq!(finished.outcome, Outcome::TimedOut { all_gone: false });
    assert!(finished.took >= KILL_WAIT_MAX);
    assert!(remains.any());
    let pids = pids(&list, 2);
    signal(&pids[0], rustix::process::Signal::CONT);
    assert!(remains.gone_within(FAR).await);
    assert!(!is_there(&pids[1]));
}

#[tokio::test]
async fn an_end_that_nobody_saw_is_said_once() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("pids");
    let remains = Remains::default();
    let task = tokio::spawn(run_for(not_killed_at_once(&list).remains(&remains), FAR));
    let pids = lines(&list, 2).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    signal(&pids[0], rustix::process::Signal::KILL);
    assert!(!remains.gone_within(FAR).await);
    assert!(remains.gone_within(FAR).await && !remains.any());
}

#[tokio::test]
async fn one_that_ends_well_at_its_deadline_leaves_nothing_to_be_followed() {
    let (ours, theirs) = control_socket().unwrap();
    let remains = Remains::default();
    let socket = watch(ours, Interest::READABLE).unwrap();
    let mut control = Control::new(socket, Some(remains.clone()), Leftovers::Leave);
    let mut alarm = Alarm::new().unwrap();
    alarm.set(boottime()).unwrap();
    // A supervisor that has seen the end before it reads the order to kill.
    let supervisor = std::thread::spawn(move || {
        let mut order = [0_u8; 16];
        let (_, length) = rustix::net::recv(&theirs, &mut order, RecvFlags::empty()).unwrap();
        assert_eq!(&order[..length], b"kill");
        let ended = [KIND_MAIN.to_ne_bytes(), 0_i32.to_ne_bytes()].concat();
        rustix::net::send(&theirs, &ended, SendFlags::NOSIGNAL).unwrap();
    });
    let never = core::pin::pin!(core::future::pending());
    let ending = watch_until_end(&mut control, &mut alarm, never, Leftovers::Leave).await;
    supervisor.join().unwrap();
    assert_eq!(ending.outcome, Outcome::TimedOut { all_gone: false });
    assert_eq!(ending.descendants, Descendants::LeftAlone);
    drop(control);
    assert!(!remains.any());
}

#[tokio::test]
async fn a_program_that_ends_by_itself_leaves_nothing_to_be_followed() {
    let remains = Remains::default();
    for script in ["exit 0", "exit 1", "kill -9 $$"] {
        for leftovers in [Leftovers::Kill, Leftovers::Leave] {
            run_for(shell(script).leftovers(leftovers).remains(&remains), FAR).await;
            assert!(!remains.any(), "{script}, {leftovers:?}");
        }
    }
    run_for(Program::new("/nonexistent/agent").remains(&remains), FAR).await;
    assert!(!remains.any());
}

#[tokio::test]
async fn many_forks_die_too() {
    let finished = run_for(shell("while :; do (setsid sleep 50 &) ; done"), Duration::from_millis(300)).await;
    assert_eq!(finished.outcome, Outcome::TimedOut { all_gone: true }, "{finished:?}");
}

#[tokio::test]
async fn dropping_the_run_kills_everything() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("pids");
    let script =
        format!("(setsid sh -c 'echo $$ >>{0}; sleep 100' & ); echo $$ >>{0}; sleep 100", list.display());
    let task = tokio::spawn(run_for(shell(&script), FAR));
    let started = || fs::read_to_string(&list).is_ok_and(|text| text.lines().count() == 2);
    while !started() {
        tokio::task::yield_now().await;
    }
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    for pid in pids(&list, 2) {
        wait_until("the end of a dropped program", || !is_there(&pid));
    }
}

/// Tells the process below that it is one, and where its program writes its process id.
const CHILD_LIST: &str = "PICKET_PROCESS_TEST_LIST";

/// Not a test of its own: the daemon that [`the_death_of_our_own_process_kills_everything`] kills.
#[tokio::test]
async fn daemon_that_runs_a_program_until_it_is_killed() {
    let Ok(list) = std::env::var(CHILD_LIST) else { return };
    let script = format!("(setsid sh -c 'echo $$ >>{list}; sleep 100' & ); echo $$ >>{list}; sleep 100");
    run_for(shell(&script), FAR).await;
}

#[test]
fn the_death_of_our_own_process_kills_everything() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("pids");
    let mut daemon = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process::tests::daemon_that_runs_a_program_until_it_is_killed"])
        .env(CHILD_LIST, &list)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the start of the program", || {
        fs::read_to_string(&list).is_ok_and(|text| text.lines().count() == 2)
    });
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    for pid in pids(&list, 2) {
        wait_until("the end of a program whose daemon died", || !is_there(&pid));
    }
}

#[tokio::test]
async fn a_killed_supervisor_is_lost_and_takes_the_program_along() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("pids");
    let script = format!("echo $$ >>{}; kill -9 $PPID; exec sleep 100", list.display());
    let finished = run_for(shell(&script), FAR).await;
    assert!(matches!(finished.outcome, Outcome::Lost { .. }), "{finished:?}");
    assert_eq!(finished.descendants, Descendants::MayRemain);
    for pid in pids(&list, 1) {
        wait_until("the end of a program without supervisor", || {
            // Nobody may be left to reap it here, so a zombie counts as ended.
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        });
    }
}

#[tokio::test]
async fn nothing_of_a_program_shows_its_secrets() {
    let program = shell("true").stdin("passwd=hunter2").env("PASSWORD", "hunter2");
    let shown = format!("{program:?}");
    assert!(shown.contains("PASSWORD"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}
