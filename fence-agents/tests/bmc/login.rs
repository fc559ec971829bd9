//! How the controller lets someone in: IPMI 2.0 (RAKP) and IPMI 1.5.

use super::codec::{self, algorithms, hmac, tag_len, u32_at};
use super::{Bmc, Session};

pub(super) const GUID: [u8; 16] = *b"guid-of-test-bmc";

impl Bmc {
    pub(super) fn login_plus(&mut self, kind: u8, payload: &[u8]) -> Option<Vec<u8>> {
        match kind {
            0x10 => Some(codec::bare(0x11, &self.open(payload)?)),
            0x12 => Some(codec::bare(0x13, &self.rakp1(payload)?)),
            0x14 => Some(codec::bare(0x15, &self.rakp3(payload)?)),
            _ => None,
        }
    }

    fn open(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        if payload.len() != 32 {
            self.violations.push("an Open Session Request of a wrong length".into());
            return None;
        }
        let (tag, console) = (payload[0], u32_at(payload, 4)?);
        let asked = [payload[12], payload[20], payload[28]];
        self.asked.push(asked);
        let refuse = |status: u8| [&[tag, status, 0, 0], payload.get(4..8).unwrap()].concat();
        let Some(suite) = self.config.suites.iter().copied().find(|suite| algorithms(*suite) == asked) else {
            return Some(refuse(0x11));
        };
        if self.open_sessions() >= self.config.sessions_max {
            return Some(refuse(0x01));
        }
        let managed = self.fresh();
        let user = self.config.users[0].clone();
        let session = Session {
            suite,
            console,
            user,
            role: 0,
            ours: [0; 16],
            theirs: [0; 16],
            sik: Vec::new(),
            active: false,
            privilege: 2,
            seen: 0,
            sent: 0,
            lan: false,
        };
        self.sessions.insert(managed, session);
        let mut answer = vec![tag, 0, 4, 0];
        answer.extend(console.to_le_bytes());
        answer.extend(managed.to_le_bytes());
        let chosen = if self.config.downgrades { [0, 0, 0] } else { algorithms(suite) };
        for (kind, algorithm) in (0_u8..).zip(chosen) {
            answer.extend([kind, 0, 0, 8, algorithm, 0, 0, 0]);
        }
        Some(answer)
    }

    fn rakp1(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let managed = u32_at(payload, 4)?;
        let (tag, role) = (*payload.first()?, *payload.get(24)?);
        let name = payload.get(28..28 + usize::from(*payload.get(27)?))?.to_vec();
        let found = self.config.users.iter().find(|user| user.name.as_bytes() == name).cloned();
        let random = hmac(17, b"random", &managed.to_le_bytes());
        let session = self.sessions.get_mut(&managed).filter(|session| !session.active)?;
        let refuse =
            |status: u8, console: u32| [&[tag, status, 0, 0], console.to_le_bytes().as_slice()].concat();
        let Some(user) = found else { return Some(refuse(0x0d, session.console)) };
        if role & 0x0f > user.privilege {
            return Some(refuse(0x0a, session.console));
        }
        session.theirs.copy_from_slice(payload.get(8..24)?);
        session.ours.copy_from_slice(&random[..16]);
        session.role = role;
        session.user = user;
        let named = [&[role, name.len() as u8], name.as_slice()].concat();
        let key = session.user.password.as_bytes();
        let console = session.console.to_le_bytes();
        let text =
            [console.as_slice(), &managed.to_le_bytes(), &session.theirs, &session.ours, &GUID, &named];
        let proof = hmac(session.suite, key, &text.concat());
        let root = self.config.kg.clone().unwrap_or_else(|| key.to_vec());
        session.sik =
            hmac(session.suite, &root, &[&session.theirs, session.ours.as_slice(), &named].concat());
        let mut answer = refuse(0, session.console);
        answer.extend(session.ours);
        answer.extend(GUID);
        answer.extend(proof);
        Some(answer)
    }

    fn rakp3(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let managed = u32_at(payload, 4)?;
        let (tag, status) = (*payload.first()?, *payload.get(1)?);
        let session = self.sessions.get_mut(&managed)?;
        if status != 0 {
            self.sessions.remove(&managed);
            return None;
        }
        let named = [&[session.role, session.user.name.len() as u8], session.user.name.as_bytes()].concat();
        let key = session.user.password.as_bytes();
        let text = [session.ours.as_slice(), &session.console.to_le_bytes(), &named].concat();
        let head = |status: u8| [&[tag, status, 0, 0], session.console.to_le_bytes().as_slice()].concat();
        if hmac(session.suite, key, &text) != payload.get(8..)? {
            let refusal = head(0x0f);
            self.sessions.remove(&managed);
            return Some(refusal);
        }
        let text = [session.theirs.as_slice(), &managed.to_le_bytes(), &GUID].concat();
        let code = hmac(session.suite, &session.sik, &text)[..tag_len(session.suite)].to_vec();
        let answer = [head(0), code].concat();
        session.active = true;
        Some(answer)
    }

    /// A 1.5 message outside any session: capabilities and challenges.
    pub(super) fn outside(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let data = message.get(6..message.len().checked_sub(1)?)?;
        let plus = self.config.speaks_plus;
        match (message[1] >> 2, message[5]) {
            (6, 0x38) => {
                let versions = u8::from(self.config.speaks_lan) | u8::from(plus) << 1;
                Some(vec![0, 1, if plus { 0x84 } else { 0x04 }, 0x04, versions, 0, 0, 0, 0])
            }
            (6, 0x39) if self.config.speaks_lan => {
                let name: Vec<u8> = data[1..].iter().copied().take_while(|byte| *byte != 0).collect();
                let found = self.config.users.iter().find(|user| user.name.as_bytes() == name).cloned();
                let Some(user) = found else { return Some(vec![0x81]) };
                let id = self.fresh();
                let challenge = hmac(17, b"challenge", &id.to_le_bytes())[..16].to_vec();
                let session = Session {
                    suite: 0,
                    console: 0,
                    user,
                    role: 0,
                    ours: challenge.clone().try_into().unwrap(),
                    theirs: [0; 16],
                    sik: Vec::new(),
                    active: false,
                    privilege: 2,
                    seen: 0,
                    sent: 0,
                    lan: true,
                };
                self.sessions.insert(id, session);
                Some([&[0], id.to_le_bytes().as_slice(), &challenge].concat())
            }
            _ => None,
        }
    }

    /// Activate Session.
    pub(super) fn activate(&mut self, id: u32, message: &[u8]) -> Vec<u8> {
        let again = self.sessions.get(&id).is_some_and(|session| session.active);
        if !again && self.open_sessions() >= self.config.sessions_max {
            return vec![0x81];
        }
        let data = message[6..message.len() - 1].to_vec();
        let session = self.sessions.get_mut(&id).unwrap();
        if data[2..18] != session.ours {
            self.violations.push("a challenge that was not given".into());
            return vec![0x85];
        }
        if data[1] > session.user.privilege {
            return vec![0x86];
        }
        session.sent = u32_at(&data, 18).unwrap();
        session.active = true;
        session.seen = 0x40;
        [&[0, 2], id.to_le_bytes().as_slice(), &0x41_u32.to_le_bytes(), &[4]].concat()
    }
}
