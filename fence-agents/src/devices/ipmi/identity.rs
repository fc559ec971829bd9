//! Whether a controller belongs to the machine that is meant: its system GUID against the UUID that
//! the options give.

use super::chassis::Behind;
use crate::uuid::{UUID_BYTES, Uuid};
use ipmi_rs::connection::{IpmiCommand, Message, NetFn, NotEnoughData};

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
    type Output = [u8; UUID_BYTES];
    type Error = NotEnoughData;

    fn parse_success_response(data: &[u8]) -> Result<[u8; UUID_BYTES], NotEnoughData> {
        data.try_into().map_err(|_| NotEnoughData)
    }

    fn target(&self) -> Behind {
        self.0
    }
}

/// Whether a controller's GUID is this UUID. Controllers differ in the order of its bytes: as
/// written, with the first three fields turned around (as in SMBIOS), or all of it (as in the IPMI
/// specification). Two machines that fit by another order than their own do not occur by chance.
pub(super) fn is_of(uuid: Uuid, guid: [u8; UUID_BYTES]) -> bool {
    uuid.0 == guid || uuid.0 == smbios(guid) || uuid.0 == reversed(guid)
}

/// A controller's GUID for people, in the order of SMBIOS, which is the most common.
pub(super) fn shown(guid: [u8; UUID_BYTES]) -> Uuid {
    Uuid(smbios(guid))
}

fn smbios(mut guid: [u8; UUID_BYTES]) -> [u8; UUID_BYTES] {
    for field in [0..4, 4..6, 6..8] {
        guid[field].reverse();
    }
    guid
}

fn reversed(mut guid: [u8; UUID_BYTES]) -> [u8; UUID_BYTES] {
    guid.reverse();
    guid
}
