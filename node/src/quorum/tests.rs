use super::*;
use picket_core::quorum::QuorumMode;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tokio::net::TcpListener;

const LONG: Duration = Duration::from_secs(5);

fn asker(mode: QuorumMode, asked: Asked) -> Asker {
    Asker::new(&Quorum { mode, asked, interval: LONG, timeout: LONG }, "picket-quorum-east-n1")
}

#[tokio::test]
async fn a_majority_of_hosts_must_answer() {
    let mut hosts = Vec::new();
    let mut open = Vec::new();
    for _ in 0..3 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        hosts.push(HostPort { host: "127.0.0.1".to_owned(), port });
        open.push(listener);
    }
    let mut asker = asker(QuorumMode::TcpRemote, Asked::Hosts(hosts));
    for expected in [Vote::Won, Vote::Won, Vote::Lost, Vote::Lost] {
        assert_eq!(asker.ask(LONG).await, (expected, open.len()));
        open.pop();
    }
}

#[tokio::test]
async fn a_majority_of_directories_must_take_a_file() {
    let base = tempfile::tempdir().unwrap();
    let directories: Vec<_> = ["a", "b", "c"].iter().map(|name| base.path().join(name)).collect();
    directories.iter().for_each(|directory| fs::create_dir(directory).unwrap());
    let mut asker = asker(QuorumMode::Storage, Asked::Directories(directories.clone()));
    assert_eq!(asker.ask(LONG).await, (Vote::Won, 3));
    let file = directories[0].join("picket-quorum-east-n1");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    fs::remove_dir_all(&directories[1]).unwrap();
    assert_eq!(asker.ask(LONG).await, (Vote::Won, 2));
    fs::remove_dir_all(&directories[2]).unwrap();
    assert_eq!(asker.ask(LONG).await, (Vote::Lost, 1));
    fs::create_dir(&directories[2]).unwrap();
    assert_eq!(asker.ask(LONG).await, (Vote::Won, 2), "it is asked anew");
}

#[tokio::test]
async fn a_directory_that_hangs_is_silent_and_is_left_alone_until_it_answers() {
    let base = tempfile::tempdir().unwrap();
    let pipe = base.path().join("picket-quorum-east-n1");
    // Opening a pipe that nobody reads hangs, as a file on a server that is gone does.
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let mut asker = asker(QuorumMode::Storage, Asked::Directories(vec![base.path().to_owned()]));
    let short = Duration::from_millis(20);
    for _ in 0..3 {
        assert_eq!(asker.ask(short).await, (Vote::Lost, 0));
    }
    let Asker::Directories(all) = &asker else { unreachable!() };
    assert_eq!(all[0].turn, 1, "one attempt is on its way");
    // The storage answers: what was asked long ago counts for nothing, and the next question does.
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe)
    });
    reader.join().unwrap().unwrap();
    fs::remove_file(&pipe).unwrap();
    assert_eq!(asker.ask(LONG).await, (Vote::Lost, 0), "late");
    assert_eq!(asker.ask(LONG).await, (Vote::Won, 1));
}
