//! Entries in order, made for those that nearly come in order.

use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;

/// Entries from the end that one may still be put among. Too few, and ticks of sources that take turns are all late;
/// too many, and each of them moves much.
const NEAR_END: usize = 32;

/// Entries that the smallest node of a tree has room for, however few it holds.
const NODE_ENTRIES: usize = 11;

/// A map that is one row of entries, with a tree beside it for those that come late.
///
/// A tree alone costs a walk to its end for each entry, most of what it takes to have a commit in memory; and a tree of
/// one entry takes the room of eleven.
#[derive(Debug, Clone)]
pub(in super::super) struct InOrder<K, T> {
    row: Vec<(K, T)>,
    late: BTreeMap<K, T>,
}

/// Entries of a part of an [`InOrder`], in order.
#[derive(Debug)]
pub(in super::super) struct Entries<'a, K, T> {
    row: &'a [(K, T)],
    late: btree_map::Range<'a, K, T>,
}

impl<K, T> Default for InOrder<K, T> {
    fn default() -> Self {
        Self { row: Vec::new(), late: BTreeMap::new() }
    }
}

impl<K: Ord + Copy, T> InOrder<K, T> {
    /// Puts an entry where it belongs; its key must be new.
    pub(in super::super) fn insert(&mut self, key: K, value: T) {
        let near = self.row.len().saturating_sub(NEAR_END);
        let before = |(held, _): &(K, T)| *held < key;
        if self.row.len() == self.row.capacity() {
            // As it would grow by itself, but from one entry: most rows of a backfill stay at that.
            self.row.reserve_exact(self.row.len().max(1));
        }
        if self.row.last().is_none_or(before) {
            self.row.push((key, value));
        } else if near == 0 || self.row.get(near).is_some_and(before) {
            let at = self.row.iter().rposition(before).map_or(0, |idx| idx + 1);
            self.row.insert(at, (key, value));
        } else {
            self.late.insert(key, value);
        }
    }

    #[cfg(test)]
    pub(in super::super) fn len(&self) -> usize {
        self.row.len() + self.late.len()
    }

    pub(in super::super) fn get(&self, key: &K) -> Option<&T> {
        let idx = self.row.binary_search_by_key(key, |(held, _)| *held);
        match idx.ok().and_then(|idx| self.row.get(idx)) {
            Some((_, value)) => Some(value),
            None => self.late.get(key),
        }
    }

    pub(in super::super) fn get_mut(&mut self, key: &K) -> Option<&mut T> {
        // What comes in order is new, and found to be so at once; late ones lie before the end of the row.
        if self.row.last().is_none_or(|(last, _)| last < key) {
            return None;
        }
        let idx = self.row.binary_search_by_key(key, |(held, _)| *held);
        match idx.ok().and_then(|idx| self.row.get_mut(idx)) {
            Some((_, value)) => Some(value),
            None => self.late.get_mut(key),
        }
    }

    /// Gives the bytes that its entries take, with the room for more that it has made, and rather more than less; not
    /// what they point to.
    pub(in super::super) fn bytes(&self) -> usize {
        let late = match self.late.len() {
            0 => 0,
            // Nodes are half full at least.
            len => NODE_ENTRIES.max(2 * len),
        };
        (self.row.capacity() + late) * size_of::<(K, T)>()
    }

    /// Gives all entries, in order.
    pub(in super::super) fn iter(&self) -> Entries<'_, K, T> {
        Entries { row: &self.row, late: self.late.range(..) }
    }

    /// Gives the entries within bounds, in order; none when the bounds cross.
    pub(in super::super) fn range(&self, (from, to): (Bound<K>, Bound<K>)) -> Entries<'_, K, T> {
        let first = match from {
            Bound::Included(from) => self.row.partition_point(|(key, _)| *key < from),
            Bound::Excluded(from) => self.row.partition_point(|(key, _)| *key <= from),
            Bound::Unbounded => 0,
        };
        let end = match to {
            Bound::Included(to) => self.row.partition_point(|(key, _)| *key <= to),
            Bound::Excluded(to) => self.row.partition_point(|(key, _)| *key < to),
            Bound::Unbounded => self.row.len(),
        };
        let row = self.row.get(first..end).unwrap_or_default();
        // A tree panics at bounds that cross.
        let crossed = match (from, to) {
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to))
            | (Bound::Excluded(from), Bound::Included(to)) => from >= to,
            _ => false,
        };
        let late = if crossed { btree_map::Range::default() } else { self.late.range((from, to)) };
        Entries { row, late }
    }
}

impl<'a, K: Ord, T> Iterator for Entries<'a, K, T> {
    type Item = (&'a K, &'a T);

    fn next(&mut self) -> Option<Self::Item> {
        let late = self.late.clone().next();
        match self.row.split_first() {
            Some(((key, value), rest)) if late.is_none_or(|(late, _)| key < late) => {
                self.row = rest;
                Some((key, value))
            }
            _ => self.late.next(),
        }
    }
}

impl<K: Ord, T> DoubleEndedIterator for Entries<'_, K, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let late = self.late.clone().next_back();
        match self.row.split_last() {
            Some(((key, value), rest)) if late.is_none_or(|(late, _)| key > late) => {
                self.row = rest;
                Some((key, value))
            }
            _ => self.late.next_back(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeBounds;

    use chrono_domain::{Arrival, OrderKey, Timestamp};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn key(micros: i64, arrival: u64) -> OrderKey {
        OrderKey { timestamp: Timestamp::from_micros(micros).unwrap(), arrival: Arrival(arrival) }
    }

    /// Times that mostly grow, by less than they jump about, and now and then are of long ago.
    fn times() -> impl Strategy<Value = Vec<i64>> {
        let step = prop_oneof![8 => -3..6_i64, 1 => -60..60_i64, 1 => -500..500_i64];
        vec(step, 0..200).prop_map(|steps| {
            let mut now = 1_000_i64;
            let walk = steps.into_iter().map(move |step| {
                now += step.max(0);
                (now + step).max(0)
            });
            walk.collect()
        })
    }

    fn bound() -> impl Strategy<Value = Bound<OrderKey>> {
        let place = || (900..2_000_i64, 0..200_u64).prop_map(|(at, arrival)| key(at, arrival));
        prop_oneof![
            Just(Bound::Unbounded),
            place().prop_map(Bound::Included),
            place().prop_map(Bound::Excluded),
        ]
    }

    proptest! {
        #[test]
        fn answers_as_a_tree_does(
            times in times(),
            bounds in vec((bound(), bound()), 1..8),
            ends in vec(any::<bool>(), 0..200),
        ) {
            let (mut ours, mut tree) = (InOrder::default(), BTreeMap::new());
            for (arrival, micros) in (0..).zip(times) {
                let key = key(micros, arrival);
                ours.insert(key, arrival);
                tree.insert(key, arrival);
            }
            prop_assert!(tree.iter().all(|(key, value)| ours.get(key) == Some(value)));
            prop_assert_eq!(ours.get(&key(5_000, 0)), None);
            prop_assert!(ours.iter().eq(&tree));
            for (key, value) in &mut tree {
                *value += 1;
                *ours.get_mut(key).unwrap() += 1;
            }
            prop_assert_eq!(ours.get_mut(&key(5_000, 0)), None);
            for (from, to) in bounds {
                let within = |key: &OrderKey| (from, to).contains(key);
                let mut wanted = tree.iter().filter(|(key, _)| within(key)).collect::<Vec<_>>().into_iter();
                let mut given = ours.range((from, to));
                for back in &ends {
                    let pair = if *back { (given.next_back(), wanted.next_back()) } else { (given.next(), wanted.next()) };
                    prop_assert_eq!(pair.0, pair.1);
                }
                prop_assert!(given.eq(wanted));
            }
        }
    }

    #[test]
    fn what_comes_in_turns_is_in_the_row_and_what_comes_late_beside_it() {
        let mut ticks = InOrder::default();
        for nth in 0..1_000 {
            ticks.insert(key(nth ^ 7, 0), ());
        }
        assert_eq!((ticks.row.len(), ticks.late.len()), (1_000, 0));
        for nth in (0..900).rev() {
            ticks.insert(key(nth, 1), ());
        }
        assert_eq!((ticks.row.len(), ticks.late.len()), (1_000, 900));
        assert!(ticks.range((Bound::Unbounded, Bound::Unbounded)).map(|(key, ())| key).is_sorted());
        let late = key(450, 1);
        let one = |bound| ticks.range((bound, Bound::Included(late))).map(|(key, ())| *key).next();
        assert_eq!((one(Bound::Included(late)), one(Bound::Excluded(late))), (Some(late), None));
        let least = (ticks.row.len() + 2 * ticks.late.len()) * size_of::<OrderKey>();
        assert!(ticks.bytes() >= least, "{} bytes", ticks.bytes());
    }
}
