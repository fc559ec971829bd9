//! The controller's side of packets and proofs, written apart from the agent's and on other
//! libraries, so that one misreading of the specification cannot hide in both.

use aes::Aes128;
use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use hmac::{Hmac, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;

pub(crate) fn hmac(suite: u8, key: &[u8], text: &[u8]) -> Vec<u8> {
    if suite == 17 {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).unwrap();
        mac.update(text);
        return mac.finalize().into_bytes().to_vec();
    }
    let mut mac = <Hmac<Sha1> as Mac>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

pub(crate) fn tag_len(suite: u8) -> usize {
    if suite == 17 { 16 } else { 12 }
}

pub(crate) fn algorithms(suite: u8) -> [u8; 3] {
    if suite == 17 { [3, 4, 1] } else { [1, 1, 1] }
}

/// CBC by hand, a block at a time.
fn cbc_encrypt(key: &[u8], iv: &[u8], text: &[u8]) -> Vec<u8> {
    let cipher = Aes128::new_from_slice(key).unwrap();
    let mut last: Vec<u8> = iv.to_vec();
    let mut out = Vec::new();
    for block in text.chunks(16) {
        let mixed: Vec<u8> = block.iter().zip(&last).map(|(a, b)| a ^ b).collect();
        let mut block = aes::Block::clone_from_slice(&mixed);
        cipher.encrypt_block(&mut block);
        last = block.to_vec();
        out.extend_from_slice(&last);
    }
    out
}

fn cbc_decrypt(key: &[u8], iv: &[u8], text: &[u8]) -> Vec<u8> {
    let cipher = Aes128::new_from_slice(key).unwrap();
    let mut last = iv;
    let mut out = Vec::new();
    for chunk in text.chunks(16) {
        let mut block = aes::Block::clone_from_slice(chunk);
        cipher.decrypt_block(&mut block);
        out.extend(block.iter().zip(last).map(|(a, b)| a ^ b));
        last = chunk;
    }
    out
}

/// A sealed packet from the controller.
pub(crate) fn seal(suite: u8, sik: &[u8], session: u32, sequence: u32, message: &[u8]) -> Vec<u8> {
    let (k1, k2) = (hmac(suite, sik, &[1; 20]), hmac(suite, sik, &[2; 20]));
    let mut text = message.to_vec();
    let mut count = 0;
    while !(text.len() + 1).is_multiple_of(16) {
        count += 1;
        text.push(count);
    }
    text.push(count);
    let iv = hmac(17, &k2, &sequence.to_le_bytes())[..16].to_vec();
    let hidden = [iv.clone(), cbc_encrypt(&k2[..16], &iv, &text)].concat();
    let mut packet = vec![6, 0xc0];
    packet.extend(session.to_le_bytes());
    packet.extend(sequence.to_le_bytes());
    packet.extend((hidden.len() as u16).to_le_bytes());
    packet.extend(hidden);
    let mut pad = 0;
    while !(packet.len() + 2).is_multiple_of(4) {
        packet.push(0xff);
        pad += 1;
    }
    packet.extend([pad, 7]);
    let tag = hmac(suite, &k1, &packet)[..tag_len(suite)].to_vec();
    [vec![6, 0, 0xff, 7], packet, tag].concat()
}

/// The message in a sealed packet, if it is sealed as it must be.
pub(crate) fn unseal(suite: u8, sik: &[u8], datagram: &[u8]) -> Option<Vec<u8>> {
    let (k1, k2) = (hmac(suite, sik, &[1; 20]), hmac(suite, sik, &[2; 20]));
    let tag_at = datagram.len().checked_sub(tag_len(suite))?;
    let covered = datagram.get(4..tag_at)?;
    if hmac(suite, &k1, covered)[..tag_len(suite)] != datagram[tag_at..] || !covered.len().is_multiple_of(4) {
        return None;
    }
    if covered.get(1) != Some(&0xc0) {
        return None;
    }
    let len = usize::from(u16::from_le_bytes([*covered.get(10)?, *covered.get(11)?]));
    let hidden = covered.get(12..12 + len)?;
    if hidden.len() < 32 || !hidden.len().is_multiple_of(16) {
        return None;
    }
    let mut text = cbc_decrypt(&k2[..16], &hidden[..16], &hidden[16..]);
    let pad = usize::from(text.pop()?);
    let padding = text.split_off(text.len().checked_sub(pad)?);
    padding.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at + 1).then_some(text)
}

/// A bare 2.0 packet.
pub(crate) fn bare(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![6, 0, 0xff, 7, 6, kind, 0, 0, 0, 0, 0, 0, 0, 0];
    packet.extend((payload.len() as u16).to_le_bytes());
    packet.extend_from_slice(payload);
    packet
}

pub(crate) fn md5_code(password: &[u8; 16], session: u32, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let text =
        [password.as_slice(), &session.to_le_bytes(), payload, &sequence.to_le_bytes(), password.as_slice()];
    Md5::digest(text.concat()).to_vec()
}

/// A 1.5 packet; authentication type 0 or 2.
pub(crate) fn lan(auth: u8, password: &[u8; 16], session: u32, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![6, 0, 0xff, 7, auth];
    packet.extend(sequence.to_le_bytes());
    packet.extend(session.to_le_bytes());
    if auth == 2 {
        packet.extend(md5_code(password, session, sequence, payload));
    }
    packet.push(payload.len() as u8);
    packet.extend_from_slice(payload);
    packet
}

pub(crate) fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}

/// An IPMI message that answers `question`: completion code and data in `body`.
pub(crate) fn answer(question: &[u8], body: &[u8]) -> Vec<u8> {
    let mut message = vec![question[3], (question[1] >> 2 | 1) << 2 | question[4] & 3];
    message.push(checksum(&message));
    let mut rest = vec![question[0], question[4] & 0xfc | question[1] & 3, question[5]];
    rest.extend_from_slice(body);
    rest.push(checksum(&rest));
    message.extend(rest);
    message
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().unwrap()))
}
