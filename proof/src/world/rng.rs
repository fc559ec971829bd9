//! Random numbers that are the same for the same seed, on every machine and in every build.

/// A stream of random numbers (splitmix64).
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The stream of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed ^ 0x5851_f42d_4c95_7f2d }
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 128 random bits.
    pub fn wide(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }

    /// A number of `low..=high`.
    pub const fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// True in so many of a thousand cases.
    pub const fn permille(&mut self, share: u64) -> bool {
        self.next() % 1000 < share
    }

    /// One of the items, if there is any.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        let len = u64::try_from(items.len()).unwrap_or(0);
        if len == 0 {
            return None;
        }
        usize::try_from(self.next() % len).ok().and_then(|index| items.get(index).copied())
    }

    /// A stream of its own, that does not shift when this one is used more or less.
    pub const fn fork(&mut self) -> Self {
        Self::new(self.next())
    }
}
