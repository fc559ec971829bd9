use super::*;

#[test]
fn a_fingerprint_is_read_as_tools_print_it() {
    let digits = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let colons: Vec<String> =
        digits.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).to_uppercase()).collect();
    let colons = colons.join(":");
    let expected = Fingerprint::parse(digits);
    assert!(expected.is_some());
    for text in [format!("sha256:{digits}"), colons.clone(), format!("SHA256 Fingerprint={colons}")] {
        assert_eq!(Fingerprint::parse(&text), expected, "{text}");
    }
    assert_eq!(expected.unwrap().to_string(), format!("sha256:{digits}"));
    for bad in ["", "00", "sha1:00112233445566778899aabbccddeeff00112233", &format!("{digits}00"), "x"] {
        assert_eq!(Fingerprint::parse(bad), None, "{bad}");
    }
}

#[test]
fn files_that_do_not_do_are_named() {
    let words =
        Words { authorities: "ssl_ca_file", pin: Some("ssl_fingerprint"), name: "ip", port: "ipport" };
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for file in [dir.path().join("absent.pem"), empty] {
        let error = Tls::new(&Trust::Authorities(file.clone()), None, words).unwrap_err().to_string();
        assert!(error.contains(file.to_str().unwrap()) && error.contains("ssl_ca_file"), "{error}");
    }
}
