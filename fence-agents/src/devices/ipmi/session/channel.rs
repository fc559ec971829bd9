//! An established session: messages go in and come out, protected in the session's way.

use super::crypto::{Keys, Random};
use super::login::LAN_PASSWORD_MAX;
use super::window::Window;
use super::wire::{self, LanAuth, LanPacket, Payload, PlusPacket};
use zeroize::Zeroizing;

/// What keeps a session's messages apart from all others.
pub(crate) enum Protection {
    /// IPMI 2.0: encrypted and authenticated; our number of the session and the controller's.
    Plus { keys: Keys, console: u32, managed: u32 },
    /// IPMI 1.5: authenticated at most; one number for both sides.
    Lan { auth: LanAuth, password: Zeroizing<[u8; LAN_PASSWORD_MAX]>, session: u32 },
}

/// One session.
pub(crate) struct Channel {
    protection: Protection,
    next: u32,
    seen: Window,
}

impl Channel {
    /// A session whose first packet from here has the number `first`.
    pub(crate) fn new(protection: Protection, first: u32) -> Self {
        Self { protection, next: first, seen: Window::default() }
    }

    /// The number by which the controller knows the session.
    pub(crate) const fn session(&self) -> u32 {
        match self.protection {
            Protection::Plus { managed, .. } => managed,
            Protection::Lan { session, .. } => session,
        }
    }

    /// Packs a message. Every packet gets a number of its own, also one that is sent again.
    pub(crate) fn pack(&mut self, message: &[u8], random: &mut Random) -> Vec<u8> {
        let sequence = self.next;
        // Zero stands for "outside any session".
        self.next = self.next.wrapping_add(1).max(1);
        match &self.protection {
            Protection::Plus { keys, managed, .. } => {
                wire::seal(keys, *managed, sequence, random.bytes(), message)
            }
            Protection::Lan { auth, password, session } => {
                wire::lan(*auth, password, *session, sequence, message)
            }
        }
    }

    /// The message of a packet that belongs to this session, is authentic, and is new.
    pub(crate) fn unpack(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let (message, sequence) = match &self.protection {
            Protection::Plus { keys, console, .. } => {
                let packet = PlusPacket::parse(datagram)?;
                if packet.kind != Payload::Message || packet.session != *console {
                    return None;
                }
                (packet.unseal(keys)?, packet.sequence)
            }
            Protection::Lan { auth, password, session } => {
                let packet = LanPacket::parse(datagram)?;
                if packet.session != *session {
                    return None;
                }
                (packet.open(*auth, password)?.to_vec(), packet.sequence)
            }
        };
        self.seen.admit(sequence).then_some(message)
    }
}
