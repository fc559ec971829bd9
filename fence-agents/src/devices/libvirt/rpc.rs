//! Calls to a libvirt daemon: one question, one answer, each a message with a length before it.
//!
//! ```text
//!   length (of all, itself included) · program · version · procedure · type · serial · status · payload
//! ```
//! Contract: an answer is taken only if program, version, procedure and serial are those of the call
//! that waits for it. Events that come in between are passed over, a bounded number of them. Anything
//! else ends the connection: a late answer never meets another question.

use super::xdr::{Decoder, Encoder, XdrError};
use crate::deadline::Deadline;
use crate::net::Link;
use std::io::{self, Read, Write};

/// The program that has the calls for domains.
const PROGRAM: u32 = 0x2000_8086;

/// Its version, the only one so far.
const VERSION: u32 = 1;

/// The head without the length.
const HEAD_BYTES: usize = 24;

/// The length's own bytes.
const LENGTH_BYTES: usize = 4;

/// The longest message that is read: a list of some ten thousand domains. The daemon's own bound is
/// eight times as large, for what we never ask.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Messages that are passed over while an answer is waited for. We subscribe to no events, so more
/// than a few mean that the other side talks about something else.
pub const EVENTS_MAX: usize = 64;

/// A call: nobody else needs the numbers of the types.
const TYPE_CALL: u32 = 0;
const TYPE_REPLY: u32 = 1;
const TYPE_EVENT: u32 = 2;

const STATUS_OK: u32 = 0;
const STATUS_ERROR: u32 = 1;

/// What can be asked of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Procedure {
    /// Chooses the hypervisor.
    Open = 1,
    /// Says goodbye.
    Close = 2,
    /// Starts a defined domain.
    Create = 9,
    /// Ends a domain at once.
    Destroy = 12,
    /// Finds a domain by its name.
    LookupByName = 23,
    /// Finds a domain by its UUID.
    LookupByUuid = 24,
    /// How clients show who they are.
    AuthList = 66,
    /// Lets polkit decide.
    AuthPolkit = 70,
    /// Whether a domain's definition stays when it ends.
    IsPersistent = 151,
    /// A domain's state.
    GetState = 212,
    /// All domains.
    ListAll = 273,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The connection failed or the time is over.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What came is no answer to what was asked.
    #[error("{0}")]
    Garbled(&'static str),
    /// The daemon says no.
    #[error("{message}")]
    No {
        /// Its error number.
        code: i32,
        /// Its words.
        message: String,
    },
}

impl From<XdrError> for CallError {
    fn from(error: XdrError) -> Self {
        Self::Garbled(error.0)
    }
}

/// The calls over one connection. After [`CallError::Io`] and [`CallError::Garbled`] it must not be
/// used again.
#[derive(Debug)]
pub struct Rpc {
    link: Link,
    serial: u32,
}

impl Rpc {
    /// Over this connection, on which nothing was said yet.
    #[must_use]
    pub const fn new(link: Link) -> Self {
        Self { link, serial: 0 }
    }

    /// Whether another call may follow: nobody closed it, and nothing lies there unread.
    pub fn is_quiet(&mut self) -> bool {
        self.link.is_quiet()
    }

    /// Calls and waits for the answer's payload.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call(
        &mut self,
        procedure: Procedure,
        arguments: &[u8],
        deadline: Deadline,
    ) -> Result<Vec<u8>, CallError> {
        self.link.until(deadline);
        self.serial = self.serial.wrapping_add(1);
        self.link.write_all(&message(procedure, self.serial, arguments))?;
        self.link.flush()?;
        for _ in 0..=EVENTS_MAX {
            let bytes = receive(&mut self.link)?;
            if let Some(payload) = answer(&bytes, procedure, self.serial)? {
                return Ok(payload.to_vec());
            }
        }
        Err(CallError::Garbled("it sends events instead of an answer"))
    }
}

/// A call on the wire.
fn message(procedure: Procedure, serial: u32, arguments: &[u8]) -> Vec<u8> {
    let length = u32::try_from(LENGTH_BYTES + HEAD_BYTES + arguments.len()).unwrap_or(u32::MAX);
    let head = Encoder::default().u32(length).u32(PROGRAM).u32(VERSION).u32(procedure as u32);
    head.u32(TYPE_CALL).u32(serial).u32(STATUS_OK).raw(arguments).done()
}

/// One message, without its length.
///
/// # Errors
/// It is not whole, or its length makes no sense.
pub fn receive(stream: &mut impl Read) -> Result<Vec<u8>, CallError> {
    let mut length = [0; LENGTH_BYTES];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if !(LENGTH_BYTES + HEAD_BYTES..=MESSAGE_BYTES_MAX).contains(&length) {
        return Err(CallError::Garbled("the length of a message makes no sense"));
    }
    let length = length - LENGTH_BYTES;
    // Grows with what really comes: a length alone reserves nothing.
    let mut bytes = Vec::new();
    let claimed = u64::try_from(length).unwrap_or(u64::MAX);
    stream.take(claimed).read_to_end(&mut bytes)?;
    if bytes.len() == length { Ok(bytes) } else { Err(CallError::Garbled("a message ends in the middle")) }
}

/// The payload, if this is the answer to that call; nothing, if it is an event.
///
/// # Errors
/// It answers something else, or says no.
pub fn answer(message: &[u8], procedure: Procedure, serial: u32) -> Result<Option<&[u8]>, CallError> {
    let (head, payload) =
        message.split_at_checked(HEAD_BYTES).ok_or(CallError::Garbled("a message without a head"))?;
    let mut head = Decoder::new(head);
    let (program, version, asked) = (head.u32()?, head.u32()?, head.u32()?);
    let (kind, answered, status) = (head.u32()?, head.u32()?, head.u32()?);
    if kind == TYPE_EVENT {
        return Ok(None);
    }
    if kind != TYPE_REPLY || (program, version, asked) != (PROGRAM, VERSION, procedure as u32) {
        return Err(CallError::Garbled("an answer to something that was not asked"));
    }
    if answered != serial {
        return Err(CallError::Garbled("an answer to another call"));
    }
    match status {
        STATUS_OK => Ok(Some(payload)),
        STATUS_ERROR => Err(refusal(payload)?),
        _ => Err(CallError::Garbled("an answer that is neither a result nor an error")),
    }
}

/// What the daemon says when it says no. Only number and words are read: what follows them is for
/// other programs.
fn refusal(payload: &[u8]) -> Result<CallError, CallError> {
    let mut error = Decoder::new(payload);
    let (code, _domain) = (error.i32()?, error.i32()?);
    let message = error.optional_text()?.unwrap_or("no reason given");
    Ok(CallError::No { code, message: crate::net::shown(message) })
}
