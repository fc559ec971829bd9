//! The program itself: its arguments, its exit status, its signals.

use crate::site::in_time;
use picket_host::cert::{Authority, Identity};
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const PROGRAM: &str = env!("CARGO_BIN_EXE_picket-witness");

fn site(directory: &Path) -> std::path::PathBuf {
    std::fs::create_dir(directory.join("ca")).expect("made");
    let authority = Authority::init(&directory.join("ca"), "test").expect("an authority");
    let witness = authority.issue(&Identity::witness("w1").expect("a name"), &[], 1).expect("issued");
    witness.write(directory, "witness").expect("written");
    let at = directory.display();
    let text = format!(
        "listen = \"127.0.0.1:0\"\nstate = \"{at}/state\"\n[tls]\nca = \"{at}/ca/ca.pem\"\n\
         cert = \"{at}/witness.pem\"\nkey = \"{at}/witness.key\"\n[[cluster]]\nname = \"east\"\n\
         node = [{{ name = \"n1\", id = 1 }}]\nvolume = [{{ name = \"pg\", id = 1 }}]\n"
    );
    let path = directory.join("witness.toml");
    std::fs::write(&path, text).expect("written");
    path
}

fn start(config: &Path) -> Child {
    Command::new(PROGRAM)
        .arg("--config")
        .arg(config)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts")
}

/// Reads its log up to the line with `word`; gives all lines.
async fn log_until(child: &mut Child, word: &str) -> Vec<String> {
    let stderr = child.stderr.take().expect("piped");
    let mut lines = BufReader::new(stderr).lines();
    let mut read = Vec::new();
    in_time(word, async {
        while let Some(line) = lines.next_line().await.expect("readable") {
            read.push(line);
            if read.last().is_some_and(|line| line.contains(word)) {
                break;
            }
        }
    })
    .await;
    // Goes on being read, so that the program does not block on its log.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    read
}

#[tokio::test]
async fn it_serves_until_sigterm_and_keeps_others_off() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = site(directory.path());
    let mut first = start(&config);
    let log = log_until(&mut first, "witness-started").await;
    assert!(log.last().is_some_and(|line| line.contains("P3000")), "{log:?}");

    let mut second = start(&config);
    let log = log_until(&mut second, "in use by another instance").await;
    assert!(log.last().is_some_and(|line| line.contains("in use")), "{log:?}");
    let ended = in_time("the second to end", second.wait()).await.expect("waited");
    assert_eq!(ended.code(), Some(1));

    let id = first.id().expect("it runs").to_string();
    let killed = Command::new("kill").args(["-TERM", &id]).status().await.expect("kill runs");
    assert!(killed.success());
    let ended = in_time("the first to end", first.wait()).await.expect("waited");
    assert_eq!(ended.code(), Some(0));

    let dumped = Command::new(PROGRAM).arg("dump").arg(directory.path().join("state")).output().await;
    let dumped = String::from_utf8(dumped.expect("it ran").stdout).expect("text");
    assert!(dumped.contains("\"east\" sequence 1"), "{dumped}");
}

#[tokio::test]
async fn check_config_tells_every_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = site(directory.path());
    let check = || Command::new(PROGRAM).arg("--config").arg(&config).arg("check-config").output();
    let good = check().await.expect("it ran");
    assert!(good.status.success());
    assert!(String::from_utf8_lossy(&good.stdout).ends_with("witness.toml: no errors\n"), "{good:?}");
    let mut unheard = Command::new(PROGRAM);
    unheard.arg("--config").arg(&config).arg("check-config").stdout(std::process::Stdio::piped());
    let mut unheard = unheard.spawn().expect("it starts");
    drop(unheard.stdout.take());
    assert!(unheard.wait().await.expect("it ran").success(), "nobody reads what it says");
    let text = std::fs::read_to_string(&config).expect("readable");
    std::fs::write(&config, text.replace("127.0.0.1:0", "?").replace("id = 1", "id = 0")).expect("written");
    let bad = check().await.expect("it ran");
    assert_eq!(bad.status.code(), Some(1));
    let said = String::from_utf8(bad.stderr).expect("text");
    assert!(said.lines().count() >= 3, "{said}");
    assert!(said.lines().all(|line| line.contains("witness.toml:")), "{said}");
}
