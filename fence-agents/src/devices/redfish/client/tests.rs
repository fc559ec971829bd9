use super::*;

fn client(authority: &str) -> Client {
    let (host, port) = authority.rsplit_once(':').unwrap();
    let endpoint =
        Endpoint { host: host.into(), port: port.parse().unwrap(), tls: None, authority: authority.into() };
    let login = Login { username: "u".into(), password: Secret::new(b"p".to_vec()) };
    Client::new(Arc::new(endpoint), login, Auth::Auto, "/redfish/v1")
}

#[test]
fn a_redirect_is_followed_only_on_the_same_host() {
    let client = client("bmc:80");
    let to = |location: &str| {
        let headers = vec![("location".to_owned(), location.to_owned())];
        client.redirected("/x", &Response { status: 302, headers, body: Vec::new(), reusable: true })
    };
    for same in ["/redfish/v1/", "http://bmc/redfish/v1/", "http://BMC:80/redfish/v1/"] {
        assert_eq!(to(same).unwrap(), "/redfish/v1/", "{same}");
    }
    for other in [
        "",
        "//evil/x",
        "http://evil/x",
        "https://bmc/x",
        "http://bmc:81/x",
        "http://bmc@evil/x",
        "http://bmc.evil/x",
        "x",
    ] {
        let refused = to(other);
        assert!(
            matches!(&refused, Err(DeviceError::Refused(why)) if why.contains("not followed")),
            "{other}: {refused:?}"
        );
    }
}

#[test]
fn what_a_status_means_names_cause_and_cure() {
    let client = client("bmc:80");
    let explained = |status| {
        let body = b"{\"error\":{\"message\":\"told\"}}".to_vec();
        client.explained("reading", "/x", &Response { status, headers: Vec::new(), body, reusable: true })
    };
    for (status, definite, word) in [
        (302, true, "redirect"),
        (403, true, "role"),
        (404, true, "systems_uri"),
        (405, true, "cannot"),
        (400, false, "told"),
        (409, false, "told"),
        (500, false, "told"),
        (503, false, "busy"),
    ] {
        let error = explained(status);
        assert_eq!(matches!(error, DeviceError::Refused(_)), definite, "{status}");
        let line = error.to_string();
        assert!(line.contains(word) && line.contains("told") && !line.contains('\n'), "{line}");
    }
}
