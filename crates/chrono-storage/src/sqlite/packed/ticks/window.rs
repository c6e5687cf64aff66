//! Of a page's rows what a window asks for: source, price and place.

use std::ops::RangeInclusive;

use chrono_domain::{OrderKey, WindowRow};

use super::{BLOCK, DISORDER, Damage, PLACES, Page};

impl Page<'_> {
    /// Appends the rows within bounds, in order, with ids in the place of indices of sources; most columns stay packed.
    ///
    /// # Errors
    /// [`Damage`].
    pub(in super::super::super) fn add_window(
        &self,
        bounds: &RangeInclusive<OrderKey>,
        rows: &mut Vec<WindowRow>,
    ) -> Result<(), Damage> {
        let [mut times, mut arrivals, mut numbers, mut prices] = [PLACES; 4];
        let mut before = None;
        for block in 0..self.len.div_ceil(BLOCK) {
            let times = self.times.decode(block, &mut times).iter();
            let keys = times.zip(self.arrivals.decode(block, &mut arrivals));
            let numbers = self.numbers.decode(block, &mut numbers).iter();
            let values = numbers.zip(self.prices.decode(block, &mut prices));
            for (idx, ((time, arrival), (number, price))) in (block * BLOCK..).zip(keys.zip(values))
            {
                let key = self.key(*time, *arrival)?;
                if before.replace(key).is_some_and(|before| before >= key) {
                    return Err(DISORDER);
                }
                if key > *bounds.end() {
                    return Ok(());
                }
                if key >= *bounds.start() {
                    let (kind, start) = self.kind(*number)?;
                    let price =
                        self.price(idx, price.wrapping_add(start.cast_unsigned()), *kind)?;
                    rows.push(WindowRow { source_idx: kind.source_id, price, key });
                }
            }
        }
        Ok(())
    }
}
