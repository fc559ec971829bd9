use super::*;

/// Gives its bytes a few at a time, as networks do.
struct Drip<'b>(&'b [u8], usize);

impl Read for Drip<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(into.len()).min(self.0.len());
        let (now, later) = self.0.split_at(count);
        into[..count].copy_from_slice(now);
        self.0 = later;
        Ok(count)
    }
}

fn read(text: &str) -> Result<Response, String> {
    let answers = [1, 2, 7, 8192].map(|size| receive(&mut Drip(text.as_bytes(), size)));
    let answers = answers.map(|answer| answer.map_err(|error| error.to_string()));
    let bodies: Vec<_> = answers.iter().map(|answer| answer.as_ref().map(|r| (r.status, &r.body))).collect();
    assert!(bodies.windows(2).all(|two| two[0] == two[1]), "depends on how the bytes come: {bodies:?}");
    answers.into_iter().last().unwrap()
}

#[test]
fn an_answer_is_read_in_each_of_its_forms() {
    for (text, status, body, reusable) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: Close\r\n\r\n{}", 200, "{}", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", true),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, "", true),
        ("HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", 404, "", true),
        ("HTTP/1.0 200 OK\r\n\r\nwhole", 200, "whole", false),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, "x", true),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\nT: x\r\n\r\n",
            200,
            "abc0123456789",
            true,
        ),
    ] {
        let answer = read(text).unwrap();
        assert_eq!(
            (answer.status, answer.body.as_slice(), answer.reusable),
            (status, body.as_bytes(), reusable),
            "{text:?}"
        );
    }
    let extra = receive(&mut &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200"[..]).unwrap();
    assert!(!extra.reusable, "there is more than was asked for");
}

#[test]
fn half_an_answer_is_none() {
    for text in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Len",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}}\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n{}\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
        "HTTP/1.1 99 Odd\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n",
    ] {
        assert!(read(text).is_err(), "{text:?}");
    }
    let provisional = "HTTP/1.1 100 Continue\r\n\r\n".repeat(PROVISIONAL_MAX + 1);
    assert!(receive(&mut provisional.as_bytes()).is_err());
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HEAD_BYTES_MAX));
    assert!(receive(&mut endless.as_bytes()).is_err());
    let long = format!("HTTP/1.0 200 OK\r\n\r\n{}", "x".repeat(BODY_BYTES_MAX + 1));
    assert!(receive(&mut long.as_bytes()).is_err());
}

#[test]
fn a_request_is_written_as_servers_expect() {
    let mut sent = Vec::new();
    let request = Request {
        method: "POST",
        path: "/redfish/v1/x",
        authority: "bmc:8443",
        headers: vec![("If-Match", Zeroizing::new("\"1\"".into()))],
        body: Some(Zeroizing::new("{}".into())),
    };
    request.send(&mut sent).unwrap();
    let sent = String::from_utf8(sent).unwrap();
    assert!(sent.starts_with("POST /redfish/v1/x HTTP/1.1\r\nHost: bmc:8443\r\n"), "{sent}");
    assert!(
        sent.contains("\r\nIf-Match: \"1\"\r\n") && sent.ends_with("Content-Length: 2\r\n\r\n{}"),
        "{sent}"
    );
}
