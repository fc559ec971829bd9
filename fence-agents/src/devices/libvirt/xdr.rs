//! As much of XDR (RFC 4506) as the messages need: integers, texts, optional values, fixed bytes.
//!
//! Contract: reading never goes beyond the bytes that are there, reserves nothing for a length that
//! is only claimed, and takes no value in two ways: what is left over at the end is an error.

/// Everything is filled up to this many bytes.
const UNIT: usize = 4;

/// The longest text that is read. Names have at most some 255 bytes, messages a few lines.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// What was read is not what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct XdrError(pub &'static str);

/// Writes values one after the other.
#[derive(Debug, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// An integer.
    #[must_use]
    pub fn u32(mut self, value: u32) -> Self {
        self.bytes.extend(value.to_be_bytes());
        self
    }

    /// An integer with a sign.
    #[must_use]
    pub fn i32(mut self, value: i32) -> Self {
        self.bytes.extend(value.to_be_bytes());
        self
    }

    /// Bytes whose number is known to both sides, a multiple of four.
    #[must_use]
    pub fn fixed<const N: usize>(mut self, bytes: [u8; N]) -> Self {
        const { assert!(N.is_multiple_of(UNIT)) }
        self.bytes.extend(bytes);
        self
    }

    /// A text. One beyond [`TEXT_BYTES_MAX`] is cut off there; options are far shorter.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        let bytes = text.as_bytes().get(..TEXT_BYTES_MAX).unwrap_or(text.as_bytes());
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.bytes.extend(length.to_be_bytes());
        self.bytes.extend(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(UNIT), 0);
        self
    }

    /// Several values as they are written already.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    /// What was written.
    #[must_use]
    pub fn done(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads values one after the other.
#[derive(Debug)]
pub struct Decoder<'b> {
    rest: &'b [u8],
}

impl<'b> Decoder<'b> {
    /// From the first of these bytes.
    #[must_use]
    pub const fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take(&mut self, count: usize) -> Result<&'b [u8], XdrError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(XdrError("a message ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// Bytes whose number is known to both sides, a multiple of four.
    ///
    /// # Errors
    /// There are not so many.
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], XdrError> {
        const { assert!(N.is_multiple_of(UNIT)) }
        self.take(N)?.try_into().map_err(|_| XdrError("a message ends too early"))
    }

    /// An integer.
    ///
    /// # Errors
    /// There is none.
    pub fn u32(&mut self) -> Result<u32, XdrError> {
        Ok(u32::from_be_bytes(self.fixed()?))
    }

    /// An integer with a sign.
    ///
    /// # Errors
    /// There is none.
    pub fn i32(&mut self) -> Result<i32, XdrError> {
        Ok(i32::from_be_bytes(self.fixed()?))
    }

    /// A text.
    ///
    /// # Errors
    /// It is not whole, too long, or no text.
    pub fn text(&mut self) -> Result<&'b str, XdrError> {
        let length = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if length > TEXT_BYTES_MAX {
            return Err(XdrError("a text in a message is too long"));
        }
        let padded = self.take(length.next_multiple_of(UNIT))?;
        let (text, padding) = padded.split_at(length);
        if padding.iter().any(|byte| *byte != 0) {
            return Err(XdrError("a text in a message is not filled up with zeros"));
        }
        std::str::from_utf8(text).map_err(|_| XdrError("a text in a message is no text"))
    }

    /// A text that may be missing.
    ///
    /// # Errors
    /// Neither a text nor its absence.
    pub fn optional_text(&mut self) -> Result<Option<&'b str>, XdrError> {
        match self.u32()? {
            0 => Ok(None),
            1 => self.text().map(Some),
            _ => Err(XdrError("an optional value is neither there nor missing")),
        }
    }

    /// The number of elements that follow.
    ///
    /// # Errors
    /// More than `most`.
    pub fn count(&mut self, most: u32) -> Result<u32, XdrError> {
        let count = self.u32()?;
        if count > most { Err(XdrError("a list in a message is too long")) } else { Ok(count) }
    }

    /// Nothing follows.
    ///
    /// # Errors
    /// Something does.
    pub const fn end(&self) -> Result<(), XdrError> {
        if self.rest.is_empty() { Ok(()) } else { Err(XdrError("a message is longer than what it says")) }
    }
}
