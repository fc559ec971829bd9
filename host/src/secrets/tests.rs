use super::{Error, Key, Secret, create_key, hex, parse_hex, read_key, read_secret, write_new_secret};
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn set_mode(path: &std::path::Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_secret_is_never_shown() {
    assert_eq!(format!("{:?}", Secret::new(b"hunter2".to_vec())), "<secret>");
    assert_eq!(format!("{:?}", Some(Key::new([7; 32]))), "Some(<secret>)");
}

#[test]
fn a_file_that_others_can_use_is_refused_with_its_mode() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("password");
    write_new_secret(&path, b"hunter2\n").unwrap();
    assert_eq!(read_secret(&path).unwrap().expose_line(), Some("hunter2"));
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o777] {
        set_mode(&path, mode);
        let error = read_secret(&path).unwrap_err();
        assert!(matches!(error, Error::Open { found, .. } if found == mode), "{mode:o}: {error}");
        assert!(error.to_string().contains(&format!("mode is {mode:04o}")), "{error}");
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }
    set_mode(&path, 0o400);
    assert_eq!(read_secret(&path).unwrap().expose(), b"hunter2\n");
}

#[test]
fn what_is_no_small_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    set_mode(directory.path(), 0o700);
    assert!(matches!(read_secret(directory.path()), Err(Error::NotAFile { .. })));
    assert!(matches!(read_secret(&directory.path().join("absent")), Err(Error::Io { .. })));
    let large = directory.path().join("large");
    write_new_secret(&large, &vec![b'x'; 65_537]).unwrap();
    assert!(matches!(read_secret(&large), Err(Error::TooLarge { found: 65_537, .. })));
}

#[test]
fn a_key_is_made_once_and_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("heartbeat.key");
    let key = create_key(&path).unwrap();
    assert_eq!(read_key(&path).unwrap(), key);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(matches!(create_key(&path), Err(Error::Io { .. })), "never overwritten");
    assert_eq!(read_key(&path).unwrap(), key);
    let other = create_key(&directory.path().join("other.key")).unwrap();
    assert_ne!(other, key);
}

#[test]
fn a_damaged_key_file_is_refused_without_showing_it() {
    let directory = tempfile::tempdir().unwrap();
    let texts = [
        "",
        "\n",
        "ab",
        &"a".repeat(63),
        &"a".repeat(65),
        &format!("{}g", "a".repeat(63)),
        &format!("{}\n\n", "a".repeat(64)),
    ];
    for (number, text) in texts.iter().enumerate() {
        let path = directory.path().join(number.to_string());
        write_new_secret(&path, text.as_bytes()).unwrap();
        let error = read_key(&path).unwrap_err();
        assert!(matches!(error, Error::NotAKey { .. }), "{text:?}: {error}");
        assert!(!error.to_string().contains("aaaa"), "{error}");
    }
}

#[test]
fn hex_goes_both_ways() {
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(parse_hex(&hex(&bytes)).as_deref(), Some(bytes.as_slice()));
    assert_eq!(parse_hex("AbCd").as_deref(), Some([0xab, 0xcd].as_slice()));
    for wrong in ["a", "ag", "+1", "é"] {
        assert_eq!(parse_hex(wrong), None, "{wrong}");
    }
}
