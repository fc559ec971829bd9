//! What machines, domains and boots are named by: 16 bytes, written as 32 digits in five groups.

use std::fmt;

#[cfg(test)]
mod tests;

/// The bytes of a UUID.
pub const UUID_BYTES: usize = 16;

/// The digits of each group.
const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

/// A UUID, in the order in which it is written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; UUID_BYTES]);

impl Uuid {
    /// Reads 32 hexadecimal digits, with dashes anywhere or none: machines write it in several ways.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        let is_one = digits.len() == 2 * UUID_BYTES && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = u128::from_str_radix(&digits, 16).ok().filter(|_| is_one)?;
        Some(Self(number.to_be_bytes()))
    }

    /// Reads one in its five groups only, for where a name of 32 digits must stay a name.
    #[must_use]
    pub fn parse_grouped(text: &str) -> Option<Self> {
        if text.split('-').map(str::len).eq(GROUPS) { Self::parse(text) } else { None }
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
