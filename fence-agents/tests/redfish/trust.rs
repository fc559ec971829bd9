//! Who is believed, over real TLS.

use crate::agent::{Done, PROMPT, run};
use crate::identity::{Authority, Identity};
use crate::service::Service;
use rustls::version::{TLS12, TLS13};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

const NOW: (i32, i32) = (2020, 4000);

fn status(service: &Service, more: &str) -> Done {
    run("redfish", &format!("{}{PROMPT}action=status\n{more}", service.tls_options()))
}

fn serving(identity: &Identity) -> Service {
    Service::good(Some(identity.server(&[&TLS12, &TLS13])))
}

#[test]
fn a_pinned_certificate_is_believed_whatever_it_says() {
    let authority = Authority::new("ours");
    let odd = authority.issue("somebody.else.example", (2000, 2001));
    let service = serving(&odd);
    let done = status(&service, &format!("ssl_fingerprint={}", odd.fingerprint()));
    assert_eq!((done.verdict(), done.err.as_str()), ((Some(0), "Status: ON"), ""));
    let other = authority.issue("127.0.0.1", NOW);
    let done = status(&service, &format!("ssl_fingerprint={}", other.fingerprint()));
    let asked = service.model().asked.len();
    assert!(
        done.why().contains("another certificate") && done.why().contains(&odd.fingerprint()),
        "{done:?}"
    );
    assert_eq!(service.model().asked.len(), asked, "nothing is said to somebody else");
}

#[test]
fn who_shows_the_pinned_certificate_without_its_key_is_an_impostor() {
    let authority = Authority::new("ours");
    let (true_one, own) = (authority.issue("127.0.0.1", NOW), authority.issue("127.0.0.1", NOW));
    for version in [&TLS12, &TLS13] {
        let impostor = Service::good(Some(true_one.with_key_of(&own).server(&[version])));
        let done = status(&impostor, &format!("ssl_fingerprint={}", true_one.fingerprint()));
        assert!(done.why().contains("did not prove that it holds its key"), "{done:?}");
        assert!(impostor.model().asked.is_empty(), "the password went to an impostor");
        let honest = Service::good(Some(true_one.server(&[version])));
        assert_eq!(status(&honest, &format!("ssl_fingerprint={}", true_one.fingerprint())).code, Some(0));
    }
}

#[test]
fn a_certificate_of_an_authority_must_be_valid_and_made_out_to_the_host() {
    let authority = Authority::new("ours");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(authority.pem().as_bytes()).unwrap();
    let file = format!("ssl_ca_file={}", file.path().display());
    let check = |identity: &Identity, more: &str| {
        let service = serving(identity);
        let done = status(&service, more);
        assert_eq!(done.code == Some(0), !service.model().asked.is_empty(), "{done:?}");
        done
    };
    assert_eq!(check(&authority.issue("127.0.0.1", NOW), &file).code, Some(0));
    let named = authority.issue("bmc.example", NOW);
    assert_eq!(check(&named, &format!("{file}\nssl_server_name=bmc.example")).code, Some(0));
    for (identity, more, words) in [
        (authority.issue("127.0.0.1", (2000, 2001)), &*file, ["has expired", "renew"]),
        (authority.issue("127.0.0.1", (3000, 3001)), &file, ["not valid yet", "clocks"]),
        (named, &file, ["not made out to 127.0.0.1", "ssl_server_name"]),
        (
            Authority::new("theirs").issue("127.0.0.1", NOW),
            &file,
            ["no authority", "ssl_fingerprint=sha256:"],
        ),
        (Authority::new("ours").issue("127.0.0.1", NOW), &file, ["not that of an authority", "ssl_ca_file"]),
        (authority.issue("127.0.0.1", NOW), "", ["no authority", "ssl_ca_file"]),
    ] {
        let done = check(&identity, more);
        assert!(words.iter().all(|word| done.why().contains(word)), "{words:?}: {done:?}");
    }
    let stolen = authority.issue("127.0.0.1", NOW).with_key_of(&authority.issue("127.0.0.1", NOW));
    assert_eq!(check(&stolen, &file).code, Some(1));
}

#[test]
fn an_unverified_connection_is_possible_and_said_each_time() {
    let service = serving(&Authority::new("ours").issue("x", (2000, 2001)));
    let done = status(&service, "ssl_insecure=1");
    assert_eq!(done.code, Some(0));
    assert!(done.err.contains("WARN: ssl_insecure=1"), "{done:?}");
    let clear = Service::good(None);
    let done = status(&clear, "ssl=0");
    assert!(done.code == Some(0) && done.err.contains("WARN: ssl=0"), "{done:?}");
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let service = Service::good(None);
    let pin = format!("ssl_fingerprint=sha256:{}", "00".repeat(32));
    for more in [
        format!("{pin}\nssl=0"),
        format!("{pin}\nssl_insecure=1"),
        "ssl_secure=1\nssl=0".to_owned(),
        "ssl_secure=1\nssl_insecure=1".to_owned(),
        "ssl_ca_file=/etc/hosts\nssl_insecure=1".to_owned(),
    ] {
        let done = status(&service, &more);
        assert_eq!(done.verdict(), (Some(1), ""), "{more}: {done:?}");
    }
    assert!(service.model().asked.is_empty());
}

#[test]
fn tls_against_none_and_none_against_tls_are_told() {
    let clear = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = clear.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in clear.incoming() {
            let mut stream = stream.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let options = format!("ip=127.0.0.1\nipport={port}\nusername=u\npassword=p\nplug=1\nssl_insecure=1\n");
    let done = run("redfish", &format!("{options}{PROMPT}action=status"));
    assert!(done.why().contains("ssl=0"), "{done:?}");
    let secure = serving(&Authority::new("ours").issue("127.0.0.1", NOW));
    let done = status(&secure, "ssl=0");
    assert!(done.why().contains("ssl=1"), "{done:?}");
}
