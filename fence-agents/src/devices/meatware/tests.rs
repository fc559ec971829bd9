//! Agent and operator together, each as its own "process": own spool handle, own lock.

use super::confirm::{ConfirmError, Wish, confirm};
use super::*;
use crate::agent::{self, Surroundings};
use crate::caller::Caller;
use crate::exit::Exit;
use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// No test waits longer for what must come.
const LIMIT: Duration = Duration::from_secs(10);

/// Asks again until there is an answer.
fn sooner_or_later<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let limit = Deadline::after(LIMIT);
    while !limit.is_past() {
        if let Some(found) = look() {
            return found;
        }
        thread::yield_now();
    }
    panic!("still waiting");
}

/// An agent at work.
struct Agent(Receiver<(Exit, String)>);

impl Agent {
    fn outcome(&self) -> (Exit, String) {
        self.0.recv_timeout(LIMIT).expect("still waiting")
    }

    fn waits(&self) -> bool {
        self.0.try_recv().is_err()
    }
}

struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn spool_dir(&self) -> PathBuf {
        self.dir.path().join("spool")
    }

    fn audit(&self) -> String {
        fs::read_to_string(self.dir.path().join("audit")).unwrap_or_default()
    }

    /// Runs the agent on a thread; the outcome comes through the channel.
    fn agent(&self, text: &str) -> Agent {
        let (dir, audit) = (self.spool_dir(), self.dir.path().join("audit"));
        let text = format!(
            "spool_dir={}\naudit_file={}\nheard_check_command=true\n{text}",
            dir.display(),
            audit.display()
        );
        let (tell, outcome) = channel();
        thread::spawn(move || {
            let mut out = Vec::new();
            let around = Surroundings {
                words: &[],
                stdin: &mut text.as_bytes(),
                out: &mut out,
                caller: Caller::Anyone,
                system_log: false,
            };
            let exit = agent::run(&KIND, around).unwrap();
            tell.send((exit, String::from_utf8(out).unwrap())).unwrap();
        });
        Agent(outcome)
    }

    /// Waits until the agent's request can be seen.
    fn pending(&self, node: &str) -> spool::Request {
        let spool = Spool::at(self.spool_dir());
        sooner_or_later(|| spool.look(node).ok())
    }

    fn operator(&self, node: &str, deny: bool, typed: &str) -> Result<String, ConfirmError> {
        let wish = Wish { node: node.into(), deny, spool_dir: self.spool_dir() };
        let actor = Actor { who: "uid=0(root)".into(), from: "tty=none".into() };
        let mut out = Vec::new();
        confirm(&wish, &actor, &mut format!("{typed}\n").as_bytes(), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(self.spool_dir()).unwrap().all(|entry| entry.unwrap().file_name() == ".lock")
    }
}

#[test]
fn off_succeeds_only_by_the_confirmation_with_the_challenge() {
    for (action, words) in [("off", "Success: Powered OFF\n"), ("reboot", "Success: Rebooted\n")] {
        let site = Site::new();
        let agent = site.agent(&format!("action={action}\nport=n2"));
        let request = site.pending("n2");
        for wrong in ["", "yes", &request.challenge.to_lowercase(), &request.challenge[1..]] {
            assert!(
                matches!(site.operator("n2", false, wrong), Err(ConfirmError::WrongChallenge(_))),
                "{wrong}"
            );
        }
        assert!(agent.waits(), "a wrong challenge was taken");
        let shown = site.operator("n2", false, &request.challenge).unwrap();
        assert!(shown.contains("n2") && shown.contains(&request.challenge));
        assert_eq!(agent.outcome(), (Exit::Success, words.to_owned()));
        assert!(site.is_empty());
        let audit = site.audit();
        assert!(audit.contains("event=requested node=n2") && audit.contains("event=wrong-challenge"));
        assert!(audit.contains(&format!("event=confirmed node=n2 request={}", request.id)));
        assert!(audit.contains("who=\"uid=0(root)\" from=\"tty=none\""));
        assert!(!audit.contains("event=expired"));
    }
}

#[test]
fn a_denial_fails_at_once() {
    let site = Site::new();
    let agent = site.agent("action=off\nport=n2\npower_timeout=600");
    let request = site.pending("n2");
    site.operator("n2", true, &request.challenge).unwrap();
    assert_eq!(agent.outcome(), (Exit::Failed, String::new()));
    assert!(site.audit().contains("event=denied node=n2"));
    assert!(site.is_empty());
}

#[test]
fn without_a_person_it_fails_and_withdraws() {
    let site = Site::new();
    let agent = site.agent("action=off\nport=n2\npower_timeout=0.05");
    assert_eq!(agent.outcome(), (Exit::Failed, String::new()));
    assert!(matches!(
        site.operator("n2", false, "x"),
        Err(ConfirmError::Spool(SpoolError::NotPending { .. }))
    ));
    assert!(site.audit().contains("event=expired node=n2"));
    assert!(site.is_empty());
}

#[test]
fn a_name_that_does_not_match_exactly_is_refused() {
    let site = Site::new();
    let agent = site.agent("action=off\nport=n2");
    let request = site.pending("n2");
    for node in ["N2", "n", "n22", "n2 ", "../n2", ""] {
        let refused = site.operator(node, false, &request.challenge);
        assert!(
            matches!(refused, Err(ConfirmError::Spool(SpoolError::NotPending { .. }))),
            "{node}: {refused:?}"
        );
    }
    site.operator("n2", false, &request.challenge).unwrap();
    assert_eq!(agent.outcome().0, Exit::Success);
}

#[test]
fn a_machine_that_is_still_heard_is_not_confirmed() {
    let site = Site::new();
    let heard = site.dir.path().join("heard");
    fs::write(&heard, "n1 N2 n3\n").unwrap();
    let agent = site.agent(&format!("action=off\nport=n2\nheard_check_command=cat {}", heard.display()));
    let request = site.pending("n2");
    let refused = site.operator("n2", false, &request.challenge);
    assert!(matches!(refused, Err(ConfirmError::Heard(..))), "{refused:?}");
    assert!(agent.waits() && !site.audit().contains("event=confirmed"));
    // Another machine whose name only begins alike is another machine.
    fs::write(&heard, "n1 n22\n").unwrap();
    site.operator("n2", false, &request.challenge).unwrap();
    assert_eq!(agent.outcome().0, Exit::Success);
}

#[test]
fn a_machine_that_is_heard_can_be_denied_and_a_check_that_fails_is_told() {
    let site = Site::new();
    let agent = site.agent("action=off\nport=n2\nheard_check_command=echo n2");
    let request = site.pending("n2");
    site.operator("n2", true, &request.challenge).unwrap();
    assert_eq!(agent.outcome().0, Exit::Failed);
    let agent = site.agent("action=off\nport=n2\nheard_check_command=/nonexistent/crm_node -p");
    let request = site.pending("n2");
    let shown = site.operator("n2", false, &request.challenge).unwrap();
    assert!(shown.contains("Whether n2 is still heard is not known"), "{shown}");
    assert_eq!(agent.outcome().0, Exit::Success);
}

#[test]
fn two_agents_for_one_machine_share_the_request() {
    let site = Site::new();
    let one = site.agent("action=off\nport=n2");
    let request = site.pending("n2");
    let two = site.agent("action=off\nnodename=n2");
    let spool = Spool::at(site.spool_dir());
    // The second has joined once its lock is there too: then the file has two holders.
    sooner_or_later(|| (holders(&site.spool_dir().join("n2.request")) == 2).then_some(()));
    assert_eq!(spool.look("n2").unwrap(), request, "one request, one challenge");
    site.operator("n2", false, &request.challenge).unwrap();
    assert_eq!(one.outcome().0, Exit::Success);
    assert_eq!(two.outcome().0, Exit::Success);
    assert!(site.is_empty());
}

/// How many locks the kernel shows on a file.
fn holders(path: &Path) -> usize {
    use std::os::unix::fs::MetadataExt;
    let inode = format!(":{} ", fs::metadata(path).unwrap().ino());
    fs::read_to_string("/proc/locks").unwrap().lines().filter(|line| line.contains(&inode)).count()
}

#[test]
fn both_machines_of_one_action_must_be_confirmed() {
    let site = Site::new();
    let agent = site.agent("action=off\nport=n2,n3");
    let (two, three) = (site.pending("n2"), site.pending("n3"));
    site.operator("n3", false, &three.challenge).unwrap();
    let twice = site.operator("n3", false, &three.challenge);
    assert!(matches!(twice, Err(ConfirmError::Spool(SpoolError::Answered { .. }))), "{twice:?}");
    assert!(agent.waits());
    site.operator("n2", false, &two.challenge).unwrap();
    assert_eq!(agent.outcome().0, Exit::Success);
}

#[test]
fn what_it_cannot_know_or_do_it_says() {
    let site = Site::new();
    for (text, exit, words) in [
        ("action=status\nport=n2", Exit::Failed, ""),
        ("action=on\nport=n2", Exit::Failed, ""),
        ("action=list", Exit::Failed, ""),
        ("action=list\nhostlist=n2, n3", Exit::Success, "n2,\nn3,\n"),
        ("action=list-status\nhostlist=n2", Exit::Success, "n2,,UNKNOWN\n"),
        ("action=monitor", Exit::Success, ""),
        ("action=off\nport=n4\nhostlist=n2 n3", Exit::Failed, ""),
        ("action=off\nport=../n4", Exit::Failed, ""),
        ("action=validate-all\nport=n2", Exit::Success, ""),
    ] {
        assert_eq!(site.agent(text).outcome(), (exit, words.to_owned()), "{text}");
    }
}

#[test]
fn without_an_audit_nothing_is_asked() {
    let site = Site::new();
    // A directory in its place cannot be appended to.
    fs::create_dir(site.dir.path().join("audit")).unwrap();
    assert_eq!(site.agent("action=monitor").outcome().0, Exit::Failed);
    assert_eq!(site.agent("action=off\nport=n2").outcome().0, Exit::Failed);
    assert!(site.is_empty());
}

#[test]
fn the_command_line_of_the_operator() {
    let parse =
        |words: &[&str]| Wish::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    let wish = parse(&["-c", "n2"]).unwrap();
    assert_eq!((wish.node.as_str(), wish.deny, wish.spool_dir), ("n2", false, PathBuf::from(SPOOL_DIR)));
    let wish = parse(&["n2", "--deny", "--spool-dir", "/x"]).unwrap();
    assert_eq!((wish.node.as_str(), wish.deny, wish.spool_dir), ("n2", true, PathBuf::from("/x")));
    for wrong in [&[][..], &["-c"], &["-x", "n2"], &["n2", "n3"]] {
        assert!(parse(wrong).is_err(), "{wrong:?}");
    }
}
