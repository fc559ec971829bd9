//! The login of IPMI 2.0: Open Session, then RAKP messages 1 to 4 (section 13.17 ff.).
//!
//! ```text
//!  console                          controller
//!   Open Session Request  ─────────▶
//!                         ◀───────── Open Session Response   its session number, the algorithms
//!   RAKP 1  our random    ─────────▶
//!                         ◀───────── RAKP 2  its random, its proof that it knows the password
//!   RAKP 3  our proof     ─────────▶
//!                         ◀───────── RAKP 4  its proof that it has the same session key
//! ```
//!
//! A function that reads an answer returns `None` if it is not an answer to *this* message (another
//! tag, another session, a wrong length), so that a late or strange one changes nothing.

use super::crypto::{Keys, Suite, same};
use super::fault::Fault;
use super::login::Login;
use zeroize::Zeroizing;

/// In the role byte: look the user up by name alone.
const BY_NAME: u8 = 0x10;

/// What RAKP message 3 carries instead of a proof if the controller's own was wrong.
const STATUS_BAD_PROOF: u8 = 0x0f;

/// The payload of an Open Session Request. The controller chooses the highest privilege; what we may
/// do is asked for later.
pub(crate) fn open_request(tag: u8, console: u32, suite: Suite) -> Vec<u8> {
    let mut payload = vec![tag, 0, 0, 0];
    payload.extend(console.to_le_bytes());
    for (kind, algorithm) in (0_u8..).zip(suite.algorithms()) {
        payload.extend([kind, 0, 0, 8, algorithm, 0, 0, 0]);
    }
    payload
}

/// Reads an Open Session Response: the controller's session number.
pub(crate) fn read_open_response(
    payload: &[u8],
    tag: u8,
    console: u32,
    suite: Suite,
    login: &Login,
) -> Option<Result<u32, Fault>> {
    let [its_tag, status, rest @ ..] = payload else { return None };
    if *its_tag != tag {
        return None;
    }
    if *status != 0 {
        return Some(Err(refusal(*status, suite, login)));
    }
    let [_privilege, _, rest @ ..] = rest else { return None };
    let (its_console, rest) = rest.split_first_chunk::<4>()?;
    let (managed, algorithms) = rest.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*its_console) != console {
        return None;
    }
    let managed = Some(u32::from_le_bytes(*managed)).filter(|managed| *managed != 0)?;
    let mut chosen = algorithms.chunks_exact(8);
    for (kind, algorithm) in (0_u8..).zip(suite.algorithms()) {
        let [its_kind, _, _, _, its_algorithm, _, _, _] = chosen.next()? else { return None };
        if *its_kind != kind || *its_algorithm & 0x3f != algorithm {
            return Some(Err(Fault::OtherSuite(suite.number())));
        }
    }
    Some(Ok(managed))
}

/// The agreed beginning of a session, from the Open Session Response on.
pub(crate) struct Exchange {
    pub(crate) suite: Suite,
    pub(crate) console: u32,
    pub(crate) managed: u32,
    pub(crate) tag: u8,
    pub(crate) ours: [u8; 16],
}

/// What was computed from RAKP message 2: the keys, our proof, and what RAKP message 4 must say.
pub(crate) struct Proof {
    pub(crate) keys: Keys,
    pub(crate) rakp3: Vec<u8>,
    expected: Zeroizing<Vec<u8>>,
}

impl Exchange {
    fn role(login: &Login) -> u8 {
        login.privilege.number() | BY_NAME
    }

    /// RAKP message 1.
    pub(crate) fn rakp1(&self, login: &Login) -> Vec<u8> {
        let mut payload = vec![self.tag, 0, 0, 0];
        payload.extend(self.managed.to_le_bytes());
        payload.extend(self.ours);
        payload.extend([Self::role(login), 0, 0, login.user.len() as u8]);
        payload.extend_from_slice(&login.user);
        payload
    }

    /// Reads RAKP message 2 and checks the controller's proof.
    pub(crate) fn read_rakp2(&self, payload: &[u8], login: &Login) -> Option<Result<Proof, Fault>> {
        let rest = match self.opened(payload, login)? {
            Ok(rest) => rest,
            Err(fault) => return Some(Err(fault)),
        };
        let (theirs, rest) = rest.split_first_chunk::<16>()?;
        let (guid, proof) = rest.split_first_chunk::<16>()?;
        if proof.len() != self.suite.proof_len() {
            return None;
        }
        let (console, managed) = (self.console.to_le_bytes(), self.managed.to_le_bytes());
        let role_and_name = [&[Self::role(login), login.user.len() as u8], login.user.as_slice()].concat();
        let expected =
            self.suite.hmac(&login.password, &[&console, &managed, &self.ours, theirs, guid, &role_and_name]);
        if !same(&expected, proof) {
            return Some(Err(Fault::Password(shown(&login.user))));
        }
        let sik = self.suite.hmac(login.root_key(), &[&self.ours, theirs, &role_and_name]);
        let our_proof = self.suite.hmac(&login.password, &[theirs, &console, &role_and_name]);
        let mut rakp3 = vec![self.tag, 0, 0, 0];
        rakp3.extend(managed);
        rakp3.extend_from_slice(&our_proof);
        let expected = self.suite.hmac(&sik, &[&self.ours, &managed, guid]);
        Some(Ok(Proof { keys: Keys::new(self.suite, &sik), rakp3, expected }))
    }

    /// RAKP message 3 that ends the login, so that the controller frees its half-open session.
    pub(crate) fn abandon(&self) -> Vec<u8> {
        let mut payload = vec![self.tag, STATUS_BAD_PROOF, 0, 0];
        payload.extend(self.managed.to_le_bytes());
        payload
    }

    /// Reads RAKP message 4 and checks that the controller has the same session key.
    pub(crate) fn read_rakp4(
        &self,
        payload: &[u8],
        proof: &Proof,
        login: &Login,
    ) -> Option<Result<(), Fault>> {
        let code = match self.opened(payload, login)? {
            Ok(code) => code,
            Err(fault) => return Some(Err(fault)),
        };
        if code.len() != self.suite.tag_len() {
            return None;
        }
        let expected = proof.expected.get(..self.suite.tag_len())?;
        Some(if same(expected, code) { Ok(()) } else { Err(Fault::Kg(login.kg.is_some())) })
    }

    /// What follows the common beginning of RAKP messages 2 and 4.
    fn opened<'a>(&self, payload: &'a [u8], login: &Login) -> Option<Result<&'a [u8], Fault>> {
        let [tag, status, _, _, rest @ ..] = payload else { return None };
        let (console, rest) = rest.split_first_chunk::<4>()?;
        if *tag != self.tag || u32::from_le_bytes(*console) != self.console {
            return None;
        }
        Some(if *status == 0 { Ok(rest) } else { Err(refusal(*status, self.suite, login)) })
    }
}

/// What a status other than zero means (table 13-15 of the specification).
fn refusal(status: u8, suite: Suite, login: &Login) -> Fault {
    match status {
        0x01 | 0x0b => Fault::Full,
        0x04..=0x07 | 0x10 | 0x11 => Fault::NoSuite(suite.number()),
        0x09 | 0x0a => Fault::Role(shown(&login.user), login.privilege),
        0x0c | 0x0d => Fault::User(shown(&login.user)),
        0x0f => Fault::Password(shown(&login.user)),
        other => Fault::Status(other),
    }
}

/// A user name for people.
pub(crate) fn shown(user: &[u8]) -> String {
    String::from_utf8_lossy(user).escape_debug().to_string()
}
