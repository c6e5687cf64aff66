//! The feeds of a window, with numbers for sources: a statistic asks for the source of none of them.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::Feed;
use crate::{OrderKey, Price, Source};

/// Feeds of one symbol; sources are named once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Window {
    /// The sources of the rows, in no order, each once.
    pub sources: Vec<Source>,
    /// The feeds.
    pub rows: Vec<WindowRow>,
}

/// A feed of a window, in 40 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowRow {
    /// Where the price was seen, as an index of [`Window::sources`]; a row that names none counts for nothing.
    pub source_idx: u32,
    /// Quote currency per unit of base.
    pub price: Price,
    /// The tick's place among those of its symbol.
    pub key: OrderKey,
}

impl WindowRow {
    /// Orders by time and arrival; price and scale only keep equal keys from depending on the input's order.
    fn recency(&self, other: &Self) -> Ordering {
        let rest = |row: &Self| (row.price, row.price.decimal().scale());
        self.key.cmp(&other.key).then_with(|| rest(self).cmp(&rest(other)))
    }
}

impl Window {
    /// Gives the feeds whose source is named.
    pub(super) fn named(&self) -> impl Iterator<Item = &WindowRow> {
        let sources = self.sources.len();
        self.rows.iter().filter(move |row| (row.source_idx as usize) < sources)
    }

    /// Gives the newest feed of each source among some rows, in order of name.
    pub(super) fn newest_of<'w>(&'w self, rows: impl Iterator<Item = &'w WindowRow>) -> Vec<Feed> {
        let mut newest: Vec<Option<&WindowRow>> = vec![None; self.sources.len()];
        for row in rows {
            if let Some(held) = newest.get_mut(row.source_idx as usize)
                && held.is_none_or(|held| row.recency(held).is_gt())
            {
                *held = Some(row);
            }
        }
        let feed = |(source, row): (&Source, Option<&WindowRow>)| {
            row.map(|row| Feed { source: *source, price: row.price, key: row.key })
        };
        let mut newest: Vec<Feed> = self.sources.iter().zip(newest).filter_map(feed).collect();
        newest.sort_unstable_by_key(|feed| feed.source);
        newest
    }
}

impl FromIterator<Feed> for Window {
    fn from_iter<I: IntoIterator<Item = Feed>>(feeds: I) -> Self {
        let (mut window, mut numbers) = (Self::default(), HashMap::new());
        for Feed { source, price, key } in feeds {
            let source_idx = *numbers.entry(source).or_insert_with(|| {
                window.sources.push(source);
                // Nobody has four billion sources: a name takes 32 bytes.
                u32::try_from(window.sources.len() - 1).unwrap_or(u32::MAX)
            });
            window.rows.push(WindowRow { source_idx, price, key });
        }
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Arrival, Timestamp};

    #[test]
    fn a_row_that_names_no_source_counts_for_nothing() {
        let key = OrderKey { timestamp: Timestamp::MIN, arrival: Arrival(1) };
        let row = |source_idx| WindowRow { source_idx, price: Price::try_new("1").unwrap(), key };
        let sources = vec![Source::try_new("a").unwrap()];
        let window = Window { sources, rows: vec![row(1), row(0), row(u32::MAX)] };
        assert_eq!(window.named().collect::<Vec<_>>(), [&row(0)]);
        assert_eq!(window.newest_of(window.rows.iter()).len(), 1);
    }
}
