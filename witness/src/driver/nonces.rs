//! Random numbers in stock.

use super::Fatal;
use core::fmt;
use picket_core::ids::Nonce;

/// So many are drawn at once. Every message to a machine brings one, which hardly any of them uses; a system call for
/// each would be a good part of what an idle witness does.
const STOCK: usize = 64;

const SIZE: usize = size_of::<u128>();

/// Numbers that nobody can guess, each given once.
pub(super) struct Nonces {
    bytes: [u8; STOCK * SIZE],
    /// How many of the bytes are not given yet; the last ones go first.
    left: usize,
}

impl Nonces {
    /// An empty stock.
    pub(super) const fn new() -> Self {
        Self { bytes: [0; STOCK * SIZE], left: 0 }
    }

    /// The next one.
    ///
    /// # Errors
    /// The system has none.
    pub(super) fn next(&mut self) -> Result<Nonce, Fatal> {
        if self.left == 0 {
            getrandom::fill(&mut self.bytes).map_err(Fatal::Random)?;
            self.left = self.bytes.len();
        }
        let mut number = 0;
        for byte in self.bytes.iter_mut().take(self.left).rev().take(SIZE) {
            number = number << 8 | u128::from(core::mem::take(byte));
        }
        self.left -= SIZE;
        Ok(Nonce(number))
    }
}

/// What is in stock is nobody's business.
impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Nonces, STOCK};
    use std::collections::BTreeSet;

    #[test]
    fn none_is_given_twice() {
        let mut nonces = Nonces::new();
        let given: BTreeSet<u128> = (0..3 * STOCK).filter_map(|_| nonces.next().ok()).map(|n| n.0).collect();
        assert_eq!(given.len(), 3 * STOCK);
        // Bytes that nobody drew would be zeros.
        assert!(given.iter().all(|number| number >> 96 != 0 && number << 96 != 0), "{given:?}");
    }
}
