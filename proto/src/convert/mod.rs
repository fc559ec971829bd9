//! The only place where wire messages become the core's, and the other way round.
//!
//! Towards the wire nothing can fail. From the wire everything is checked: a missing field, a value that the
//! enumeration does not have, a number that does not fit, an identifier of the wrong length, a node id that
//! cannot be, a list that is too long. A refusal names the path of the field; nothing is guessed or cut.
//!
//! Reading a message never panics, and every message of the core survives the way there and back unchanged, as
//! long as it keeps the bounds that are named here.

mod envelope;
mod operator;
mod peer;
mod scalar;
pub use scalar::COUNT_MAX;
mod shape;
mod types;
mod witness;

#[cfg(test)]
mod tests;

use core::fmt;
pub use envelope::check_protocol;

/// The most bytes that a signature with its certificates may have: three certificates of 2 KiB, and room.
pub const SIGNATURE_BYTES_MAX: usize = 8 << 10;

/// The most bytes that a text inside a message may have; texts are one line for an operator.
pub const TEXT_BYTES_MAX: usize = 4 << 10;

/// A core type, towards and from one field of a wire message.
pub(crate) trait Wire<W>: Sized {
    /// As the wire has it.
    fn put(&self) -> W;
    /// Checked.
    fn take(wire: W) -> Result<Self, WireError>;
}

/// A core message that has a message of its own on the wire.
pub trait Message: Sized {
    /// The generated type.
    type Wire;
    /// As the wire has it.
    fn to_wire(&self) -> Self::Wire;
    /// Checked.
    ///
    /// # Errors
    /// What does not fit, and in which field.
    fn from_wire(wire: Self::Wire) -> Result<Self, WireError>;
}

/// The message as the wire has it.
pub fn to_wire<M: Message>(message: &M) -> M::Wire {
    message.to_wire()
}

/// The core's message, if everything in it is as it must be.
///
/// # Errors
/// What does not fit, and in which field.
pub fn from_wire<M: Message>(wire: M::Wire) -> Result<M, WireError> {
    M::from_wire(wire)
}

/// A wire message that was refused. Nothing of it was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError {
    path: String,
    fault: Fault,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not there.
    Missing,
    /// The enumeration does not have this value; 0 is "unspecified".
    UnknownValue {
        /// The value that came.
        came: i32,
    },
    /// The number is not within its bounds.
    OutOfRange {
        /// The number that came.
        came: u64,
        /// The smallest that is accepted.
        min: u64,
        /// The largest that is accepted.
        max: u64,
    },
    /// A set of nodes with a bit that stands for none.
    NotANodeSet {
        /// The mask that came.
        came: u32,
    },
    /// An identifier must have exactly so many bytes.
    WrongLength {
        /// How many there were.
        came: usize,
        /// How many there must be.
        expected: usize,
    },
    /// A list, a text or a signature is longer than accepted.
    TooLong {
        /// How long it was.
        came: usize,
        /// The bound.
        max: usize,
    },
    /// The message is written in another version of the protocol.
    OtherProtocol {
        /// The version that came.
        came: u32,
        /// The version that is spoken here.
        ours: u32,
    },
}

impl WireError {
    pub(crate) const fn new(fault: Fault) -> Self {
        Self { path: String::new(), fault }
    }

    /// The same error seen from the message that contains the field.
    #[must_use]
    pub(crate) fn within(mut self, field: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{field}{dot}{}", self.path);
        self
    }

    /// The path of the field, from the outermost message: `body.register.replicas[2].volume`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong with it.
    #[must_use]
    pub const fn fault(&self) -> &Fault {
        &self.fault
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "message" } else { &self.path };
        write!(f, "{path}: {}", self.fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::UnknownValue { came: 0 } => f.write_str("unspecified"),
            Self::UnknownValue { came } => write!(f, "unknown value {came}"),
            Self::OutOfRange { came, min, max } => write!(f, "{came} is not within {min} to {max}"),
            Self::NotANodeSet { came } => write!(f, "{came:#x} has bits that stand for no node"),
            Self::WrongLength { came, expected } => write!(f, "{came} bytes where {expected} are expected"),
            Self::TooLong { came, max } => write!(f, "length {came} where at most {max} is accepted"),
            Self::OtherProtocol { came, ours } => {
                write!(f, "written in protocol version {came}, version {ours} is spoken here")
            }
        }
    }
}

impl std::error::Error for WireError {}
