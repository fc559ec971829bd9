use super::*;
use crate::registry::DeviceKind;
use core::time::Duration;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

static KIND: DeviceKind =
    DeviceKind { options: &[PASSWORD, PASSWORD_SCRIPT, PASSWORD_FILE], ..DeviceKind::BASE };

fn given(text: &str, credentials: Option<&Path>) -> Result<Option<String>, InputError> {
    let secret =
        from(&Options::from_lines(&KIND, text), credentials, Deadline::after(Duration::from_secs(5)));
    Ok(secret?.map(|secret| secret.expose_line().unwrap().to_owned()))
}

fn file(dir: &Path, name: &str, text: &str, mode: u32) -> String {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path.display().to_string()
}

#[test]
fn script_before_file_before_password() {
    let dir = tempfile::tempdir().unwrap();
    let script = file(dir.path(), "script", "#!/bin/sh\necho from script\n", 0o700);
    let secret = file(dir.path(), "secret", "from file\n", 0o600);
    assert_eq!(given("", None), Ok(None));
    let password = "passwd=from=input";
    assert_eq!(given(password, None), Ok(Some("from=input".into())));
    let with_file = format!("{password}\npassword_file={secret}");
    assert_eq!(given(&with_file, None), Ok(Some("from file".into())));
    let with_script = format!("{with_file}\npasswd_script={script}");
    assert_eq!(given(&with_script, None), Ok(Some("from script".into())));
}

#[test]
fn a_file_that_others_can_read_is_refused_without_its_content() {
    let dir = tempfile::tempdir().unwrap();
    for mode in [0o644, 0o640, 0o604, 0o620] {
        let open = file(dir.path(), "open", "s3cret", mode);
        let error = given(&format!("password_file={open}"), None).unwrap_err().to_string();
        assert!(error.contains("chmod 600") && !error.contains("s3cret"), "{error}");
    }
    for text in ["", "\n", "two\nlines\n"] {
        let wrong = file(dir.path(), "wrong", text, 0o600);
        assert!(given(&format!("password_file={wrong}"), None).is_err(), "{text:?}");
    }
    assert!(given("password_file=/nonexistent/file", None).is_err());
}

#[test]
fn a_name_without_a_path_is_a_systemd_credential() {
    let dir = tempfile::tempdir().unwrap();
    file(dir.path(), "bmc", "from systemd\n", 0o400);
    assert_eq!(given("password_file=bmc", Some(dir.path())), Ok(Some("from systemd".into())));
    let error = given("password_file=bmc", None).unwrap_err().to_string();
    assert!(error.contains("LoadCredential=bmc"), "{error}");
    assert!(given("password_file=other", Some(dir.path())).is_err());
}

#[test]
fn a_script_that_fails_hangs_or_belongs_to_everybody_gives_no_password() {
    let dir = tempfile::tempdir().unwrap();
    for (text, mode) in [
        ("#!/bin/sh\necho s3cret >&2\nexit 1\n", 0o700),
        ("#!/bin/sh\necho s3cret\nkill -9 $$\n", 0o700),
        ("#!/bin/sh\n", 0o700),
        ("#!/bin/sh\necho s3cret; echo 2\n", 0o700),
        ("#!/bin/sh\necho s3cret\n", 0o722),
        ("#!/bin/sh\necho s3cret\n", 0o600),
    ] {
        let script = file(dir.path(), "script", text, mode);
        let error = given(&format!("password_script={script}"), None).unwrap_err().to_string();
        assert!(error.contains("password_script") && !error.contains("s3cret"), "{error}");
    }
    let hangs = file(dir.path(), "hangs", "#!/bin/sh\necho s3cret\nsleep 1000\n", 0o700);
    let options = Options::from_lines(&KIND, &format!("password_script={hangs}"));
    let error = from(&options, None, Deadline::after(Duration::from_millis(200))).unwrap_err();
    assert!(error.to_string().contains("timed out"), "{error}");
}
