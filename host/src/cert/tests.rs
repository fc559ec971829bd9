use super::{Authority, Error, Identity, Role};
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn identities_go_both_ways() {
    let table = [
        ("picket://-/witness/w1", Identity::witness("w1"), "w1.witness.picket.internal"),
        ("picket://c1/node/n1", Identity::node("c1", "n1"), "n1.node.c1.picket.internal"),
        ("picket://c1/operator/anna", Identity::operator("c1", "anna"), "anna.operator.c1.picket.internal"),
    ];
    for (text, identity, server_name) in table {
        let identity = identity.unwrap();
        assert_eq!(identity.to_string(), text);
        assert_eq!(text.parse(), Ok(identity.clone()));
        assert_eq!(identity.server_name(), server_name);
    }
    let node = Identity::node("c1", "n1").unwrap();
    assert_eq!((node.cluster(), node.role(), node.name()), (Some("c1"), Role::Node, "n1"));
    assert_eq!(Identity::witness("w").unwrap().cluster(), None);
}

#[test]
fn what_is_no_identity_is_refused() {
    let wrong = [
        "",
        "picket://",
        "https://c1/node/n1",
        "picket://c1/node",
        "picket://c1/node/n1/x",
        "picket://c1/king/n1",
        "picket://c1/witness/w1",
        "picket://-/node/n1",
        "picket:///node/n1",
        "picket://c1/node/",
        "picket://c1/node/n 1",
        "picket://c1/node/-n1",
        "PICKET://c1/node/n1",
        "picket://c1/node/né",
    ];
    for text in wrong {
        assert!(text.parse::<Identity>().is_err(), "{text}");
    }
    assert!(Identity::node("c1/node/n2?", "n1").is_err());
    assert!(Identity::node("c1", &"n".repeat(64)).is_err());
}

#[test]
fn keys_are_their_owners_alone_and_nothing_is_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::init(directory.path(), "test").unwrap();
    assert_eq!(mode(&directory.path().join("ca.key")), 0o600);
    assert!(matches!(Authority::init(directory.path(), "test"), Err(Error::Exists { .. })));
    let issued = authority.issue(&Identity::node("c1", "n1").unwrap(), &[], 30).unwrap();
    issued.write(directory.path(), "n1").unwrap();
    assert_eq!(mode(&directory.path().join("n1.key")), 0o600);
    assert!(matches!(issued.write(directory.path(), "n1"), Err(Error::Exists { .. })));
    fs::remove_file(directory.path().join("n1.key")).unwrap();
    assert!(matches!(issued.write(directory.path(), "n1"), Err(Error::Exists { .. })));
    assert!(!directory.path().join("n1.key").exists(), "nothing is written beside what exists");
    let loaded = Authority::load(directory.path()).unwrap();
    assert_eq!(loaded.certificate_pem(), authority.certificate_pem());
    loaded.issue(&Identity::node("c1", "n2").unwrap(), &[], 30).unwrap();
}

#[test]
fn an_authority_whose_key_others_can_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    Authority::init(directory.path(), "test").unwrap();
    let key = directory.path().join("ca.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let error = Authority::load(directory.path()).unwrap_err();
    assert!(error.to_string().contains("0640"), "{error}");
}

#[test]
fn a_server_name_that_is_none_is_refused() {
    let authority = Authority::create("test").unwrap();
    let node = Identity::node("c1", "n1").unwrap();
    for good in ["10.0.0.1", "fd00::1", "n1.example.org"] {
        authority.issue(&node, &[good.to_owned()], 30).unwrap();
    }
    for wrong in ["", "n 1", "10.0.0.1:7", "ü"] {
        let error = authority.issue(&node, &[wrong.to_owned()], 30).unwrap_err();
        assert!(matches!(error, Error::ServerName(_)), "{wrong}: {error}");
    }
}
