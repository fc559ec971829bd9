//! Who logs in, how, and as what.

use super::crypto::Suite;
use super::wire::LanAuth;
use std::fmt;
use zeroize::Zeroizing;

/// The longest user name, in bytes.
pub(crate) const USER_MAX: usize = 16;

/// The longest password of IPMI 2.0 and the longest K_G, in bytes.
pub(crate) const SECRET_MAX: usize = 20;

/// The longest password of IPMI 1.5, in bytes.
pub(crate) const LAN_PASSWORD_MAX: usize = 16;

/// What a session may do at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// Only call-back.
    Callback = 1,
    /// Read.
    User = 2,
    /// Switch power.
    Operator = 3,
    /// Everything.
    Administrator = 4,
}

impl Privilege {
    /// All levels with the words that users write.
    pub(crate) const ALL: [(Self, &'static str); 4] = [
        (Self::Callback, "callback"),
        (Self::User, "user"),
        (Self::Operator, "operator"),
        (Self::Administrator, "administrator"),
    ];

    /// Its number on the wire.
    pub(crate) const fn number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::ALL.into_iter().find(|(level, _)| level == self).map_or("?", |(_, word)| word);
        f.write_str(word)
    }
}

/// Which protocol, and how it is protected. A session uses just this; it never falls back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// IPMI 2.0 (RMCP+) with this cipher suite.
    Plus(Suite),
    /// IPMI 1.5 with this authentication.
    Lan(LanAuth),
}

/// All that a session must know of its user. Wiped from memory when dropped, never shown.
#[derive(Clone)]
pub(crate) struct Login {
    /// The user's name, at most [`USER_MAX`] bytes.
    pub(crate) user: Vec<u8>,
    /// The password.
    pub(crate) password: Zeroizing<Vec<u8>>,
    /// The controller's key K_G, if it has one.
    pub(crate) kg: Option<Zeroizing<Vec<u8>>>,
    /// The level to work at.
    pub(crate) privilege: Privilege,
    /// The protocol.
    pub(crate) way: Way,
}

impl Login {
    /// The password as IPMI 1.5 wants it: filled up with zeros.
    pub(crate) fn password16(&self) -> Zeroizing<[u8; LAN_PASSWORD_MAX]> {
        let mut filled = Zeroizing::new([0; LAN_PASSWORD_MAX]);
        for (to, from) in filled.iter_mut().zip(self.password.iter()) {
            *to = *from;
        }
        filled
    }

    /// The key that the session's keys grow from: K_G, or without one the password.
    pub(crate) fn root_key(&self) -> &[u8] {
        self.kg.as_ref().map_or(self.password.as_slice(), |kg| kg.as_slice())
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("privilege", &self.privilege)
            .field("way", &self.way)
            .finish_non_exhaustive()
    }
}
