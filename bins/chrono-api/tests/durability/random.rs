//! Random numbers from a seed that is printed.

/// The generator `SplitMix64`, after Steele, Lea and Flood.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Gives a number from `least` to `most`.
    pub(crate) fn within(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    /// Gives a whole number from `least` to `most`.
    pub(crate) fn whole(&mut self, least: u32, most: u32) -> i64 {
        i64::try_from(self.within(least.into(), most.into())).unwrap()
    }

    /// Gives a time from nothing to less than `below`, in microseconds.
    pub(crate) fn micros(&mut self, below: i64) -> i64 {
        i64::try_from(self.next() % below.unsigned_abs()).unwrap()
    }

    /// Tells yes so often in a hundred.
    pub(crate) fn percent(&mut self, often: u64) -> bool {
        self.next() % 100 < often
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.next() % of.len() as u64).unwrap()]
    }

    /// Starts another row of numbers.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }
}
