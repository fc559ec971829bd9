//! Whether a controller belongs to the machine that is meant: its system GUID against the UUID that
//! the options give.

use super::chassis::Behind;
use ipmi_rs::connection::{IpmiCommand, Message, NetFn, NotEnoughData};
use std::fmt;

#[cfg(test)]
mod tests;

/// Get System GUID (section 22.14 of the specification).
#[derive(Clone, Copy, Debug)]
pub(super) struct GetSystemGuid(pub(super) Behind);

impl From<GetSystemGuid> for Message {
    fn from(_: GetSystemGuid) -> Self {
        Self::new_request(NetFn::App, 0x37, Vec::new())
    }
}

impl IpmiCommand for GetSystemGuid {
    /// The 16 bytes in the controller's own order.
    type Output = [u8; 16];
    type Error = NotEnoughData;

    fn parse_success_response(data: &[u8]) -> Result<[u8; 16], NotEnoughData> {
        data.try_into().map_err(|_| NotEnoughData)
    }

    fn target(&self) -> Behind {
        self.0
    }
}

/// A machine's UUID, in the order in which it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Uuid([u8; 16]);

impl Uuid {
    /// 32 hexadecimal digits, with or without dashes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        let is_one = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = u128::from_str_radix(&digits, 16).ok().filter(|_| is_one)?;
        Some(Self(number.to_be_bytes()))
    }

    /// Whether a controller's GUID is this UUID. Controllers differ in the order of its bytes: as
    /// written, with the first three fields turned around (as in SMBIOS), or all of it (as in the IPMI
    /// specification). Two machines that fit by another order than their own do not occur by chance.
    pub(super) fn is(self, guid: [u8; 16]) -> bool {
        self.0 == guid || self.0 == smbios(guid) || self.0 == reversed(guid)
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

/// A controller's GUID for people, in the order of SMBIOS, which is the most common.
pub(super) fn shown(guid: [u8; 16]) -> Uuid {
    Uuid(smbios(guid))
}

fn smbios(mut guid: [u8; 16]) -> [u8; 16] {
    for field in [0..4, 4..6, 6..8] {
        guid[field].reverse();
    }
    guid
}

fn reversed(mut guid: [u8; 16]) -> [u8; 16] {
    guid.reverse();
    guid
}
