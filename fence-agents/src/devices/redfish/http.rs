//! As much of HTTP/1.1 as a client of Redfish needs: one request, one answer, over any stream.
//!
//! Contract: an answer is whole or an error. A body that ends before its announced length, a length
//! that is given twice or in two ways, and anything longer than the bounds below are errors; none of
//! them is ever read as a shorter answer. Redirects are answers like others: nobody follows them here.

use std::io::{self, Read, Write};
use zeroize::Zeroizing;

#[cfg(test)]
mod tests;

/// Status line and headers together. Servers themselves stop at 8 to 64 KiB.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Headers in one answer; management controllers send about fifteen.
pub const HEADERS_MAX: usize = 100;

/// A body. The largest resource that we read, a system with all its links, has some 50 KiB.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Provisional answers (1xx) before the real one; more than a few are no conversation.
const PROVISIONAL_MAX: usize = 5;

/// What is read at once: an answer usually fits.
const PIECE_BYTES: usize = 8 * 1024;

/// What is asked.
#[derive(Debug)]
pub struct Request<'r> {
    /// `GET`, `POST`, `DELETE`.
    pub method: &'static str,
    /// Path with its query, from the root.
    pub path: &'r str,
    /// Host and port, as in the address bar.
    pub authority: &'r str,
    /// Further headers; a value may be a secret.
    pub headers: Vec<(&'static str, Zeroizing<String>)>,
    /// A JSON document.
    pub body: Option<Zeroizing<String>>,
}

impl Request<'_> {
    /// Sends it.
    ///
    /// # Errors
    /// The stream failed.
    pub fn send(&self, stream: &mut impl Write) -> io::Result<()> {
        // Large enough from the start: text that grows leaves copies of itself, and of secrets, behind.
        let secrets: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let known = self.path.len() + self.authority.len() + self.body.as_ref().map_or(0, |body| body.len());
        let mut text = Zeroizing::new(String::with_capacity(512 + secrets + known));
        text.push_str(&format!("{} {} HTTP/1.1\r\n", self.method, self.path));
        text.push_str(&format!("Host: {}\r\nAccept: application/json\r\n", self.authority));
        text.push_str("OData-Version: 4.0\r\nUser-Agent: picket-fence\r\n");
        for (name, value) in &self.headers {
            for part in [name, ": ", value.as_str(), "\r\n"] {
                text.push_str(part);
            }
        }
        if let Some(body) = &self.body {
            text.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(self.body.as_ref().map_or("", |body| body.as_str()));
        stream.write_all(text.as_bytes())?;
        stream.flush()
    }
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status, 200 to 599.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, whole.
    pub body: Vec<u8>,
    /// Whether another request can follow on the same connection.
    pub reusable: bool,
}

impl Response {
    /// The first header of this (lower case) name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The connection ended before the first byte: a kept connection that the server had closed.
    #[error("the connection was closed before the answer")]
    Closed,
    /// The stream failed, or no byte came in time.
    #[error("{0}")]
    Stream(#[from] io::Error),
    /// What came is no whole answer.
    #[error("{0}")]
    Garbled(&'static str),
}

impl HttpError {
    /// Whether the connection ended, rather than the time.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        match self {
            Self::Closed => true,
            Self::Stream(error) => error.kind() != io::ErrorKind::TimedOut,
            Self::Garbled(_) => false,
        }
    }
}

/// Reads one answer.
///
/// # Errors
/// See [`HttpError`]; the connection must then not be used again.
pub fn receive(stream: &mut impl Read) -> Result<Response, HttpError> {
    let mut input = Input { stream, bytes: Vec::new() };
    for _ in 0..=PROVISIONAL_MAX {
        let mut response = read_head(&mut input)?;
        if response.status < 200 {
            continue;
        }
        read_body(&mut input, &mut response)?;
        let closing = response.all("connection").any(|value| value.eq_ignore_ascii_case("close"));
        // Bytes beyond the answer belong to nothing that was asked.
        response.reusable = response.reusable && !closing && input.bytes.is_empty();
        return Ok(response);
    }
    Err(HttpError::Garbled("provisional answers only"))
}

/// The stream, and what was read of it but not used yet.
struct Input<'s, S> {
    stream: &'s mut S,
    bytes: Vec<u8>,
}

impl<S: Read> Input<'_, S> {
    /// Reads more; the number of new bytes, zero at the end.
    fn more(&mut self) -> io::Result<usize> {
        let mut piece = [0; PIECE_BYTES];
        loop {
            match self.stream.read(&mut piece) {
                Ok(count) => {
                    self.bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.bytes.split_off(count.min(self.bytes.len()));
        std::mem::replace(&mut self.bytes, rest)
    }

    /// Exactly `count` bytes.
    fn exactly(&mut self, count: usize) -> Result<Vec<u8>, HttpError> {
        while self.bytes.len() < count {
            if self.more()? == 0 {
                return Err(HttpError::Garbled("the answer ends in the middle"));
            }
        }
        Ok(self.take(count))
    }
}

fn read_head<S: Read>(input: &mut Input<'_, S>) -> Result<Response, HttpError> {
    // Each turn reads a byte at least, so the bound of the head bounds the loop.
    loop {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut head = httparse::Response::new(&mut headers);
        match head.parse(&input.bytes) {
            Ok(httparse::Status::Complete(length)) => {
                let status = head.code.unwrap_or(0);
                if !(100..600).contains(&status) {
                    return Err(HttpError::Garbled("the answer has no HTTP status"));
                }
                let reusable = head.version == Some(1);
                let headers = head.headers.iter().map(|header| {
                    let value = String::from_utf8_lossy(header.value).trim().to_owned();
                    (header.name.to_ascii_lowercase(), value)
                });
                let headers = headers.collect();
                input.take(length);
                return Ok(Response { status, headers, body: Vec::new(), reusable });
            }
            Ok(httparse::Status::Partial) if input.bytes.len() < HEAD_BYTES_MAX => {}
            Ok(httparse::Status::Partial) => {
                return Err(HttpError::Garbled("the answer's head does not end"));
            }
            Err(_) => return Err(HttpError::Garbled("the answer is no HTTP")),
        }
        if input.more()? == 0 {
            let nothing = input.bytes.is_empty();
            return Err(if nothing {
                HttpError::Closed
            } else {
                HttpError::Garbled("the answer ends in its head")
            });
        }
    }
}

fn read_body<S: Read>(input: &mut Input<'_, S>, response: &mut Response) -> Result<(), HttpError> {
    if matches!(response.status, 204 | 304) {
        return Ok(());
    }
    let encodings: Vec<&str> = response.all("transfer-encoding").collect();
    let mut lengths: Vec<&str> = response.all("content-length").collect();
    lengths.dedup();
    response.body = match (encodings.as_slice(), lengths.as_slice()) {
        ([], []) => {
            response.reusable = false;
            rest(input)?
        }
        ([], [length]) => {
            let digits = length.bytes().all(|byte| byte.is_ascii_digit());
            let length = length.parse::<usize>().ok().filter(|length| digits && *length <= BODY_BYTES_MAX);
            input.exactly(length.ok_or(HttpError::Garbled("the answer's length makes no sense"))?)?
        }
        ([encoding], []) if encoding.eq_ignore_ascii_case("chunked") => chunks(input)?,
        (_, _) => return Err(HttpError::Garbled("the answer's length is not clear")),
    };
    Ok(())
}

/// Up to the end of the connection.
fn rest<S: Read>(input: &mut Input<'_, S>) -> Result<Vec<u8>, HttpError> {
    while input.bytes.len() <= BODY_BYTES_MAX {
        if input.more()? == 0 {
            return Ok(input.take(BODY_BYTES_MAX));
        }
    }
    Err(HttpError::Garbled("the answer is too long"))
}

fn chunks<S: Read>(input: &mut Input<'_, S>) -> Result<Vec<u8>, HttpError> {
    let mut body = Vec::new();
    loop {
        let size = match httparse::parse_chunk_size(&input.bytes) {
            Ok(httparse::Status::Complete((length, size))) => {
                input.take(length);
                usize::try_from(size).unwrap_or(usize::MAX)
            }
            Ok(httparse::Status::Partial) if input.bytes.len() < PIECE_BYTES => {
                if input.more()? == 0 {
                    return Err(HttpError::Garbled("the answer ends between two pieces"));
                }
                continue;
            }
            Ok(httparse::Status::Partial) | Err(_) => {
                return Err(HttpError::Garbled("a piece of the answer has no length"));
            }
        };
        if size == 0 {
            return trailer(input).map(|()| body);
        }
        if size > BODY_BYTES_MAX - body.len() {
            return Err(HttpError::Garbled("the answer is too long"));
        }
        body.extend(input.exactly(size)?);
        if input.exactly(2)? != b"\r\n" {
            return Err(HttpError::Garbled("a piece of the answer has another length than it says"));
        }
    }
}

/// Headers after the last piece, which nobody needs, up to an empty line.
fn trailer<S: Read>(input: &mut Input<'_, S>) -> Result<(), HttpError> {
    let mut read = 0;
    while read <= HEAD_BYTES_MAX {
        let line = match input.bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) => input.take(end + 1),
            None if input.bytes.len() > HEAD_BYTES_MAX => break,
            None if input.more()? == 0 => return Err(HttpError::Garbled("the answer does not end")),
            None => continue,
        };
        if line == b"\r\n" || line == b"\n" {
            return Ok(());
        }
        read += line.len();
    }
    Err(HttpError::Garbled("the answer does not end"))
}
