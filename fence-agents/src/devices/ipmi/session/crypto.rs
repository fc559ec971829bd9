//! What the cipher suites compute: proofs, keys, sealing of payloads; and the random stream.
//!
//! The names are those of the IPMI 2.0 specification, section 13.28 ff. Every key is wiped when
//! it is dropped, and comparisons of proofs take the same time whatever differs.

use aes::Aes128;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use md5::{Digest, Md5};
use ring::hmac;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

#[cfg(test)]
mod tests;

/// The block of AES, and the length of its initialisation vector, in bytes.
pub(crate) const BLOCK: usize = 16;

/// The length of the constants from which the keys K1 and K2 are made, in bytes.
const CONSTANT: usize = 20;

/// A cipher suite: which algorithms prove, protect and hide. Only suites that do all three exist
/// here, so no negotiation can end with less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    /// 3: RAKP-HMAC-SHA1, HMAC-SHA1-96, AES-CBC-128.
    Three,
    /// 17: RAKP-HMAC-SHA256, HMAC-SHA256-128, AES-CBC-128.
    Seventeen,
}

impl Suite {
    /// Its number, as users write it.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Three => 3,
            Self::Seventeen => 17,
        }
    }

    /// The algorithms of authentication, integrity and confidentiality, as on the wire.
    pub(crate) const fn algorithms(self) -> [u8; 3] {
        match self {
            Self::Three => [0x01, 0x01, 0x01],
            Self::Seventeen => [0x03, 0x04, 0x01],
        }
    }

    /// The length of a proof in RAKP messages 2 and 3, in bytes.
    pub(crate) const fn proof_len(self) -> usize {
        match self {
            Self::Three => 20,
            Self::Seventeen => 32,
        }
    }

    /// The length of the shortened code that ends RAKP message 4 and every sealed packet, in bytes.
    pub(crate) const fn tag_len(self) -> usize {
        match self {
            Self::Three => 12,
            Self::Seventeen => 16,
        }
    }

    /// The suite's HMAC over all parts, one after the other.
    pub(crate) fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
        let algorithm = match self {
            Self::Three => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Seventeen => hmac::HMAC_SHA256,
        };
        let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, key));
        for part in parts {
            context.update(part);
        }
        Zeroizing::new(context.sign().as_ref().to_vec())
    }
}

/// Whether two codes are the same; takes as long for an early difference as for a late one.
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    bool::from(one.ct_eq(other))
}

/// The keys of one session.
pub(crate) struct Keys {
    suite: Suite,
    integrity: Zeroizing<Vec<u8>>,
    confidentiality: Zeroizing<[u8; BLOCK]>,
}

impl Keys {
    /// Made from the session integrity key (SIK).
    pub(crate) fn new(suite: Suite, sik: &[u8]) -> Self {
        let k2 = suite.hmac(sik, &[&[2; CONSTANT]]);
        let mut confidentiality = Zeroizing::new([0; BLOCK]);
        // Both digests are longer than the key of AES-128, which is their beginning.
        for (to, from) in confidentiality.iter_mut().zip(k2.iter()) {
            *to = *from;
        }
        Self { suite, integrity: suite.hmac(sik, &[&[1; CONSTANT]]), confidentiality }
    }

    /// The suite that they belong to.
    pub(crate) const fn suite(&self) -> Suite {
        self.suite
    }

    /// The code that ends a packet.
    pub(crate) fn tag(&self, covered: &[u8]) -> Vec<u8> {
        let whole = self.suite.hmac(&self.integrity, &[covered]);
        whole.iter().copied().take(self.suite.tag_len()).collect()
    }

    /// Hides a payload: initialisation vector, then the encrypted payload with its padding.
    pub(crate) fn encrypt(&self, iv: [u8; BLOCK], payload: &[u8]) -> Vec<u8> {
        let pad = (BLOCK - (payload.len() + 1) % BLOCK) % BLOCK;
        let mut text = Zeroizing::new(payload.to_vec());
        // The padding is 1, 2, 3, …, then its length. It is shorter than a block, so it fits a byte.
        text.extend((1..=pad).map(|number| number as u8));
        text.push(pad as u8);
        let mut cipher = cbc::Encryptor::<Aes128>::new(&(*self.confidentiality).into(), &iv.into());
        for block in text.chunks_exact_mut(BLOCK) {
            cipher.encrypt_block_mut(block.into());
        }
        [iv.as_slice(), text.as_slice()].concat()
    }

    /// Reads a hidden payload. `None` for a wrong length or padding.
    pub(crate) fn decrypt(&self, hidden: &[u8]) -> Option<Vec<u8>> {
        let (iv, text) = hidden.split_first_chunk::<BLOCK>()?;
        if text.is_empty() || text.len() % BLOCK != 0 {
            return None;
        }
        let mut text = text.to_vec();
        let mut cipher = cbc::Decryptor::<Aes128>::new(&(*self.confidentiality).into(), iv.into());
        for block in text.chunks_exact_mut(BLOCK) {
            cipher.decrypt_block_mut(block.into());
        }
        let pad = usize::from(text.pop()?);
        let payload_len = text.len().checked_sub(pad).filter(|_| pad < BLOCK)?;
        let padding = text.get(payload_len..)?;
        let as_expected = padding.iter().zip(1_u8..).all(|(byte, number)| *byte == number);
        if !as_expected {
            return None;
        }
        text.truncate(payload_len);
        Some(text)
    }
}

/// The authentication code of IPMI 1.5 with MD5.
pub(crate) fn md5_code(password: &[u8; 16], session: u32, sequence: u32, payload: &[u8]) -> [u8; 16] {
    let digest = Md5::new()
        .chain_update(password)
        .chain_update(session.to_le_bytes())
        .chain_update(payload)
        .chain_update(sequence.to_le_bytes())
        .chain_update(password);
    digest.finalize().into()
}

/// A stream of random bytes from one seed, so that the machine itself needs no source: HMAC-SHA256
/// of a counter under the seed. Whoever does not know the seed cannot foretell a byte of it.
pub(crate) struct Random {
    seed: Zeroizing<[u8; 32]>,
    counter: u64,
}

impl Random {
    /// A stream from this seed, which must be secret and never be used twice.
    pub(crate) fn new(seed: Zeroizing<[u8; 32]>) -> Self {
        Self { seed, counter: 0 }
    }

    /// The next bytes.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(32) {
            self.counter += 1;
            let block = Suite::Seventeen.hmac(self.seed.as_slice(), &[&self.counter.to_le_bytes()]);
            for (to, from) in chunk.iter_mut().zip(block.iter()) {
                *to = *from;
            }
        }
        bytes
    }

    /// A number that is not zero.
    pub(crate) fn number(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes()).max(1)
    }
}
