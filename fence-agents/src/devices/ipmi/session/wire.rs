//! Packets: what stands around a message on the wire.
//!
//! ```text
//! RMCP   06 00 ff 07
//! 2.0    06, payload type with flags, session, sequence, length, payload, [padding, its length, 07, code]
//! 1.5    authentication type, sequence, session, [code], length, payload
//! ```
//!
//! Parsing looks at every length before it reads, takes nothing for granted and has one answer for
//! everything that is not well formed: `None`. Numbers are little endian.

use super::crypto::{BLOCK, Keys, md5_code, same};

/// RMCP version 1.0, no acknowledgement wanted, class IPMI.
const RMCP: [u8; 4] = [0x06, 0x00, 0xff, 0x07];

/// The authentication type that marks an IPMI 2.0 packet.
const FORMAT_PLUS: u8 = 0x06;

/// The flag of an encrypted payload, and that of an authenticated one.
const ENCRYPTED: u8 = 0x80;
const AUTHENTICATED: u8 = 0x40;

/// The "next header" field has one value only.
const NEXT_HEADER: u8 = 0x07;

/// The bytes of a 2.0 session header, from the authentication type to the payload's length.
const HEADER: usize = 12;

/// The longest packet that is taken apart, in bytes; answers to our questions are below 200.
pub(crate) const PACKET_MAX: usize = 1500;

/// What a 2.0 packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// An IPMI message.
    Message,
    /// Wish to open a session.
    OpenRequest,
    /// The controller's answer to it.
    OpenResponse,
    /// RAKP message 1, ours.
    Rakp1,
    /// RAKP message 2, the controller's.
    Rakp2,
    /// RAKP message 3, ours.
    Rakp3,
    /// RAKP message 4, the controller's.
    Rakp4,
}

impl Payload {
    const ALL: [Self; 7] = [
        Self::Message,
        Self::OpenRequest,
        Self::OpenResponse,
        Self::Rakp1,
        Self::Rakp2,
        Self::Rakp3,
        Self::Rakp4,
    ];

    const fn number(self) -> u8 {
        match self {
            Self::Message => 0x00,
            Self::OpenRequest => 0x10,
            Self::OpenResponse => 0x11,
            Self::Rakp1 => 0x12,
            Self::Rakp2 => 0x13,
            Self::Rakp3 => 0x14,
            Self::Rakp4 => 0x15,
        }
    }
}

/// How a 1.5 packet is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LanAuth {
    /// Not at all.
    None,
    /// By an MD5 digest over packet and password.
    Md5,
    /// By the password itself, readable by anyone on the way.
    Password,
}

impl LanAuth {
    /// Its number on the wire.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Md5 => 2,
            Self::Password => 4,
        }
    }

    fn code(self, secret: &[u8; 16], session: u32, sequence: u32, payload: &[u8]) -> Option<[u8; 16]> {
        match self {
            Self::None => None,
            Self::Md5 => Some(md5_code(secret, session, sequence, payload)),
            Self::Password => Some(*secret),
        }
    }
}

/// A received 2.0 packet, nothing of it believed yet.
#[derive(Debug)]
pub(crate) struct PlusPacket<'a> {
    pub(crate) kind: Payload,
    pub(crate) session: u32,
    pub(crate) sequence: u32,
    pub(crate) payload: &'a [u8],
    flags: u8,
    whole: &'a [u8],
    trailer: &'a [u8],
}

impl<'a> PlusPacket<'a> {
    /// Takes a datagram apart.
    pub(crate) fn parse(datagram: &'a [u8]) -> Option<Self> {
        let whole = without_rmcp(datagram)?;
        let (header, rest) = whole.split_first_chunk::<HEADER>()?;
        let [format, kind, s0, s1, s2, s3, q0, q1, q2, q3, l0, l1] = *header;
        if format != FORMAT_PLUS {
            return None;
        }
        let flags = kind & (ENCRYPTED | AUTHENTICATED);
        let kind = Payload::ALL.into_iter().find(|known| known.number() == kind & 0x3f)?;
        let (payload, trailer) = rest.split_at_checked(usize::from(u16::from_le_bytes([l0, l1])))?;
        let (session, sequence) =
            (u32::from_le_bytes([s0, s1, s2, s3]), u32::from_le_bytes([q0, q1, q2, q3]));
        Some(Self { kind, session, sequence, payload, flags, whole, trailer })
    }

    /// The payload of a packet outside any session. Sealed packets, and such with anything behind the
    /// payload, are none.
    pub(crate) fn bare(&self) -> Option<&'a [u8]> {
        let is_bare = self.flags == 0 && self.session == 0 && self.trailer.is_empty();
        is_bare.then_some(self.payload)
    }

    /// The payload, if the packet is both authenticated and encrypted with these keys.
    pub(crate) fn unseal(&self, keys: &Keys) -> Option<Vec<u8>> {
        if self.flags != ENCRYPTED | AUTHENTICATED {
            return None;
        }
        let tag_at = self.trailer.len().checked_sub(keys.suite().tag_len())?;
        let (trailer, tag) = self.trailer.split_at_checked(tag_at)?;
        let [padding @ .., pad_len, NEXT_HEADER] = trailer else { return None };
        if usize::from(*pad_len) != padding.len() {
            return None;
        }
        let covered = self.whole.get(..self.whole.len().checked_sub(tag.len())?)?;
        if !same(&keys.tag(covered), tag) {
            return None;
        }
        keys.decrypt(self.payload)
    }
}

/// A 2.0 packet outside any session.
pub(crate) fn bare(kind: Payload, payload: &[u8]) -> Vec<u8> {
    let mut packet = RMCP.to_vec();
    push_header(&mut packet, kind.number(), 0, 0, payload.len());
    packet.extend_from_slice(payload);
    packet
}

/// A 2.0 packet with a message, encrypted and authenticated.
pub(crate) fn seal(keys: &Keys, session: u32, sequence: u32, iv: [u8; BLOCK], message: &[u8]) -> Vec<u8> {
    let hidden = keys.encrypt(iv, message);
    let mut covered = Vec::with_capacity(HEADER + hidden.len() + 4);
    push_header(
        &mut covered,
        Payload::Message.number() | ENCRYPTED | AUTHENTICATED,
        session,
        sequence,
        hidden.len(),
    );
    covered.extend_from_slice(&hidden);
    // What is covered must be a multiple of four with the two bytes that end it.
    let pad = (4 - (covered.len() + 2) % 4) % 4;
    covered.resize(covered.len() + pad, 0xff);
    covered.extend([pad as u8, NEXT_HEADER]);
    let tag = keys.tag(&covered);
    [RMCP.as_slice(), covered.as_slice(), tag.as_slice()].concat()
}

fn push_header(to: &mut Vec<u8>, kind: u8, session: u32, sequence: u32, len: usize) {
    to.extend([FORMAT_PLUS, kind]);
    to.extend(session.to_le_bytes());
    to.extend(sequence.to_le_bytes());
    // Payloads are made here and are far below 64 KiB.
    to.extend((len as u16).to_le_bytes());
}

/// A received 1.5 packet, nothing of it believed yet.
#[derive(Debug)]
pub(crate) struct LanPacket<'a> {
    pub(crate) auth: u8,
    pub(crate) session: u32,
    pub(crate) sequence: u32,
    pub(crate) payload: &'a [u8],
    code: Option<&'a [u8; 16]>,
}

impl<'a> LanPacket<'a> {
    /// Takes a datagram apart.
    pub(crate) fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (header, rest) = without_rmcp(datagram)?.split_first_chunk::<9>()?;
        let [auth, q0, q1, q2, q3, s0, s1, s2, s3] = *header;
        if auth == FORMAT_PLUS {
            return None;
        }
        let (code, rest) = match auth {
            0 => (None, rest),
            _ => rest.split_first_chunk::<16>().map(|(code, rest)| (Some(code), rest))?,
        };
        let (len, rest) = rest.split_first()?;
        // Behind the payload there may be one byte that some network chips need.
        let (payload, pad) = rest.split_at_checked(usize::from(*len))?;
        if pad.len() > 1 {
            return None;
        }
        let (session, sequence) =
            (u32::from_le_bytes([s0, s1, s2, s3]), u32::from_le_bytes([q0, q1, q2, q3]));
        Some(Self { auth, session, sequence, payload, code })
    }

    /// The payload, if the packet is authenticated in just this way.
    pub(crate) fn open(&self, auth: LanAuth, secret: &[u8; 16]) -> Option<&'a [u8]> {
        if self.auth != auth.number() {
            return None;
        }
        let fits = match (auth.code(secret, self.session, self.sequence, self.payload), self.code) {
            (None, None) => true,
            (Some(ours), Some(theirs)) => same(&ours, theirs),
            (None, Some(_)) | (Some(_), None) => false,
        };
        fits.then_some(self.payload)
    }
}

/// A 1.5 packet.
pub(crate) fn lan(auth: LanAuth, secret: &[u8; 16], session: u32, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = RMCP.to_vec();
    packet.push(auth.number());
    packet.extend(sequence.to_le_bytes());
    packet.extend(session.to_le_bytes());
    packet.extend(auth.code(secret, session, sequence, payload).iter().flatten());
    // Payloads are made here and are far below 256 bytes.
    packet.push(payload.len() as u8);
    packet.extend_from_slice(payload);
    packet
}

fn without_rmcp(datagram: &[u8]) -> Option<&[u8]> {
    let (rmcp, rest) = datagram.split_first_chunk::<4>()?;
    // The sequence number is not ours to judge: controllers answer with 255 or with a count.
    let [version, _, _, class] = *rmcp;
    (version == RMCP[0] && class == RMCP[3] && datagram.len() <= PACKET_MAX).then_some(rest)
}
