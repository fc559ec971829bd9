//! What is made of what a server and the kernel say: what is not understood is an error, and nothing else.

use super::super::processes::Stat;
use super::super::sql::connect;
use super::super::timeline::{Place, former, of_segment, reached, written};
use crate::config::{PostgreSql, Rejoin};
use core::time::Duration;
use std::collections::BTreeMap;
use std::path::Path;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

#[test]
fn a_place_that_is_not_understood_is_an_error_and_not_the_beginning() {
    let segment = Some("000000030000000100000002");
    assert_eq!(written(segment, Some("1/A")), Ok((Some(3), 0x1_0000_000A)));
    assert_eq!(written(None, None), Ok((None, 0)), "a replica that has received nothing yet");
    assert_eq!(reached(Some("1/A")), Ok(0x1_0000_000A));
    for broken in ["", "1", "1/", "+1/A", "1/G"] {
        assert!(written(segment, Some(broken)).unwrap_err().contains("not understood"), "{broken}");
        assert!(reached(Some(broken)).unwrap_err().contains("not understood"), "{broken}");
    }
}

#[test]
fn a_timeline_that_is_not_understood_is_an_error_and_not_a_replica() {
    for broken in ["", "0000003", "+0000003", "0000000G0000000100000002"] {
        assert_eq!(of_segment(broken), None, "{broken}");
        assert!(written(Some(broken), Some("1/A")).unwrap_err().contains("not understood"), "{broken}");
    }
}

#[test]
fn a_history_that_is_not_understood_is_an_error_and_not_none() {
    assert_eq!(former(1, None), Ok(Vec::new()), "the first timeline has none");
    assert_eq!(former(2, Some("1\t0/5\tx\n")), Ok(vec![Place { timeline: 1, lsn: 5 }]));
    for broken in ["1\t0/5", "1\t0/5\tx\n2\t0", "one\t0/5\tx\n"] {
        assert!(former(3, Some(broken)).unwrap_err().contains("timeline 3 is not understood"), "{broken}");
    }
}

#[test]
fn a_process_is_as_its_whole_line_says() {
    let stat = |state, parent| Some(Stat { state, parent });
    assert_eq!(Stat::parse(42, b"42 (postgres) S 7 42 42 0\n"), stat(b'S', 7));
    assert_eq!(Stat::parse(42, b"42 (a) Z 1\n(\xff) T 7 42\n"), stat(b'T', 7), "the name may hold anything");
    for broken in [
        "",
        "42 (postgres)",
        "42 (postgres) T",
        "42 (postgres) T 7",
        "42 (postgres) T 71 4",
        "42 (postgres) T +7 42\n",
        "42 (postgres) TT 7 42\n",
        "42 (postgres) 5 7 42\n",
        "42 (postgres)  T 7 42\n",
        "43 (postgres) T 7 42\n",
    ] {
        assert_eq!(Stat::parse(42, broken.as_bytes()), None, "{broken}");
    }
    let own = i32::try_from(std::process::id()).unwrap();
    let line = std::fs::read("/proc/self/stat").unwrap();
    let parent = i32::try_from(std::os::unix::process::parent_id()).unwrap();
    assert_eq!(Stat::parse(own, &line).map(|stat| stat.parent), Some(parent));
}

fn conf(dir: &Path) -> PostgreSql {
    PostgreSql {
        data_directory: dir.to_owned(),
        bin_directory: dir.to_owned(),
        config_file: dir.join("postgresql.conf"),
        socket_directory: dir.to_owned(),
        port: 5432,
        os_user: "postgres".to_owned(),
        user: "postgres".to_owned(),
        log_file: dir.join("log"),
        addresses: BTreeMap::new(),
        replication_user: "picket".to_owned(),
        passfile: None,
        connection_options: BTreeMap::new(),
        monitor_interval: Duration::from_secs(1),
        replication_timeout: Duration::from_secs(1),
        rejoin: Rejoin::Manual,
    }
}

/// PostgreSQL's message of an error: a letter, its length, and fields that end with a zero byte each.
fn refusal(text: &str) -> Vec<u8> {
    let fields = format!("SFATAL\0C57P03\0M{text}\0\0");
    let length = u32::try_from(4 + fields.len()).unwrap();
    [b"E", length.to_be_bytes().as_slice(), fields.as_bytes()].concat()
}

#[tokio::test]
async fn an_error_of_a_server_is_told_in_one_line_that_drives_no_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(dir.path().join(".s.PGSQL.5432")).unwrap();
    let refuses = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let asked = stream.read(&mut [0; 1024]).await.unwrap();
        assert!(asked > 0);
        stream.write_all(&refusal("it starts\u{1b}[2J\nup")).await.unwrap();
    };
    let conf = conf(dir.path());
    let (connected, ()) = tokio::join!(connect(&conf, None), refuses);
    assert_eq!(connected.unwrap_err(), "FATAL: it starts\u{fffd}[2J; up");
}
