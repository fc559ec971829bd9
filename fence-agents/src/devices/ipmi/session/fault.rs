//! What can stand between us and the controller: the cause and its cure, in one line each.

use super::login::Privilege;
use std::fmt;

/// Why a session did not come about, or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not one answer.
    Silent,
    /// It does not answer our protocol, but says that it speaks IPMI 1.5 only.
    OnlyLan,
    /// It speaks no IPMI 1.5.
    OnlyPlus,
    /// It answers questions of capability, but no wish to open a session.
    NoOpening,
    /// It fell silent in the middle of the login.
    SilentInLogin,
    /// It fell silent after an IPMI 1.5 login was sent: what a wrong password looks like.
    SilentToPassword,
    /// It does not offer this cipher suite.
    NoSuite(u8),
    /// It answered with other algorithms than were asked for.
    OtherSuite(u8),
    /// It does not offer this authentication of IPMI 1.5.
    NoAuth(&'static str),
    /// All its sessions are in use.
    Full,
    /// It does not know this user.
    User(String),
    /// Its proof does not fit the password.
    Password(String),
    /// Its last proof does not fit; whether we have a K_G.
    Kg(bool),
    /// This user may not work at this level.
    Role(String, Privilege),
    /// It ended the login with a status that has no better name.
    Status(u8),
    /// It does not answer in an established session any more.
    Lost,
    /// It does not accept our messages: answers come, but none that is authenticated.
    Unauthenticated,
    /// The agent was told to stop.
    Interrupted,
    /// Out of order: a question without a session. Never sent to a user.
    NotOpen,
    /// The network on this side: no route, no address, no descriptor.
    Network(String),
}

impl Fault {
    /// Whether asking again with the same options can only end the same way.
    pub(crate) const fn is_final(&self) -> bool {
        match self {
            Self::OnlyLan
            | Self::OnlyPlus
            | Self::NoSuite(_)
            | Self::OtherSuite(_)
            | Self::NoAuth(_)
            | Self::User(_)
            | Self::Password(_)
            | Self::Kg(_)
            | Self::Role(..)
            | Self::SilentToPassword
            | Self::Interrupted => true,
            Self::Silent
            // Others close their sessions, and idle ones end by themselves.
            | Self::Full
            | Self::NoOpening
            | Self::SilentInLogin
            | Self::Status(_)
            | Self::Lost
            | Self::Unauthenticated
            | Self::NotOpen
            | Self::Network(_) => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str(
                "silence: check ip and ipport, that the controller has power and a network, and that it allows \
                 IPMI over LAN",
            ),
            Self::OnlyLan => {
                f.write_str("the controller speaks IPMI 1.5 only: lanplus=0 allows that (no encryption)")
            }
            Self::OnlyPlus => f.write_str("the controller offers no IPMI 1.5 session: remove lanplus=0"),
            Self::NoOpening => f.write_str(
                "the controller is there, but does not answer the wish for a session: it may be out of sessions or \
                 starting; try again, or reset it",
            ),
            Self::SilentInLogin => f.write_str(
                "the controller fell silent during the login: check username and privlvl (some refuse them without a \
                 word); or a bad network, or it is starting",
            ),
            Self::SilentToPassword => f.write_str(
                "no answer to the login, which is how IPMI 1.5 controllers refuse a password: check password",
            ),
            Self::NoSuite(17) => f.write_str(
                "the controller offers no cipher suite 17: cipher=3 takes the older one, cipher=17,3 either of them",
            ),
            Self::NoSuite(suite) => {
                write!(f, "the controller offers no cipher suite {suite}: allow another with cipher, or switch it on there")
            }
            Self::OtherSuite(suite) => write!(
                f,
                "the controller answered with other algorithms than those of cipher suite {suite}: refused as a \
                 downgrade; if it has no such suite, allow one that it has with cipher (as 17,3)"
            ),
            Self::NoAuth(auth) => {
                write!(f, "the controller offers no {auth} authentication: set another auth, or use lanplus")
            }
            Self::Full => f.write_str(
                "the controller has no free session: wait until idle ones end, close them, or reset the controller",
            ),
            Self::User(user) => write!(
                f,
                "the controller does not know user '{user}': check username, and that it may log in over LAN at privlvl"
            ),
            Self::Password(user) => {
                write!(f, "wrong password for user '{user}': check password (and that the user exists)")
            }
            Self::Kg(true) => f.write_str("the controller's key K_G is another one: check kg or hexadecimal_kg"),
            Self::Kg(false) => f.write_str("the controller has a key K_G: set kg or hexadecimal_kg"),
            Self::Role(user, level) => write!(
                f,
                "user '{user}' may not work as {level}: raise its privilege at the controller, or set a lower privlvl \
                 (operator can fence)"
            ),
            Self::Status(status) => {
                write!(f, "the controller ended the login with status {status:#04x}: try again, or reset it")
            }
            Self::Lost => f.write_str("the controller stopped answering in the middle of the session"),
            Self::Unauthenticated => f.write_str(
                "the controller answers without authentication: switch on per-message authentication there",
            ),
            Self::Interrupted => f.write_str("the agent was told to stop"),
            Self::NotOpen => f.write_str("there is no session"),
            Self::Network(error) => write!(f, "{error}: check ip and ipport, this host's network, and that the controller allows IPMI over LAN"),
        }
    }
}
