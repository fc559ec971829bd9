use super::*;
use std::os::unix::net::UnixListener;
use std::thread;

const BOOT: &str = "00112233-4455-6677-8899-aabbccddeeff";

fn soon() -> Deadline {
    Deadline::after(Duration::from_millis(50))
}

fn later() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

fn request(command: Command) -> Request {
    Request { command, machine: Some("n1".to_owned()) }
}

#[test]
fn requests_and_replies_are_read_as_they_are_written() {
    for command in [Command::Status, Command::Off, Command::On, Command::Reboot] {
        for machine in [None, Some("n1".to_owned())] {
            let request = Request { command, machine };
            assert_eq!(request.to_string().parse::<Request>().unwrap(), request);
        }
    }
    for reply in [Reply::On(BOOT.parse().unwrap()), Reply::Off, Reply::Error("no, because".into())] {
        assert_eq!(reply.to_string().parse::<Reply>().unwrap(), reply);
    }
    assert_eq!(BOOT.parse::<BootId>().unwrap().to_string(), BOOT);
}

#[test]
fn only_the_word_off_is_off() {
    for line in ["", "OFF", "off ", "off n1", " off", "offline", "on", "on x", "is off", "error", "of"] {
        let read = line.parse::<Reply>();
        assert!(!matches!(read, Ok(Reply::Off)), "{line:?}");
        assert!(matches!(read, Err(PowerError::Garbled(_))), "{line:?}: {read:?}");
    }
    for line in ["", "OFF", "shutdown", "off n1 n2"] {
        assert!(line.parse::<Request>().is_err(), "{line:?}");
    }
}

/// A switch that reads one request and then says `answer` and closes.
fn switch(answer: &'static [u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 64];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(answer);
    });
    (dir, path)
}

#[test]
fn a_whole_line_is_needed() {
    let (_dir, path) = switch(b"off\n");
    assert_eq!(ask(&path, &request(Command::Off), later(), later()).unwrap(), Reply::Off);
    let (_dir, path) = switch(b"off");
    assert!(matches!(ask(&path, &request(Command::Off), later(), later()), Err(PowerError::Closed)));
    let (_dir, path) = switch(&[b'x'; 2 * LINE_BYTES_MAX]);
    assert!(matches!(ask(&path, &request(Command::Off), later(), later()), Err(PowerError::Garbled(_))));
}

#[test]
fn silence_ends_at_the_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    // Never accepts: the kernel takes the connection, nobody reads.
    let _listener = UnixListener::bind(&path).unwrap();
    let asked = ask(&path, &request(Command::Off), soon(), soon());
    assert!(
        matches!(asked, Err(PowerError::Silent(ref e)) if e.kind() == io::ErrorKind::TimedOut),
        "{asked:?}"
    );
}

#[test]
fn a_full_queue_does_not_hang_connecting() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    rustix::net::bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let _first = UnixStream::connect(&path).unwrap();
    let asked = ask(&path, &request(Command::Off), soon(), later());
    assert!(matches!(asked, Err(PowerError::Connect(_))), "{asked:?}");
}

#[test]
fn nobody_there_is_no_answer() {
    let asked = ask(Path::new("/nonexistent/s"), &request(Command::Status), later(), later());
    assert!(matches!(asked, Err(PowerError::Connect(_))));
}
