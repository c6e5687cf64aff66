//! Leaping over pages without a tick of a source: its stored candles tell where the next one is.

use chrono_domain::{Candle, Interval};

use super::fault::Fault;
use super::levels::{self, SeriesId};
use super::newest;
use super::pages::{Pages, Place, StoredPage};
use crate::Order;

/// Finds the place of a source's newest stored tick of a symbol; none where it has none.
pub(super) fn newest(pages: &Pages<'_>, series: SeriesId) -> Result<Option<Place>, Fault> {
    let rows = newest::stored(pages, series.symbol_id)?;
    let row = rows.into_iter().find(|row| row.source_id == series.source_id);
    Ok(row.map(|row| Place::of(row.key)))
}

/// Finds where to look for the next stored tick of a source, `from` on in an order; none where none follows.
///
/// Between `from` and the answer there is none. It costs a page for each 32 days without a tick, and two more.
pub(super) fn next(
    pages: &Pages<'_>,
    series: SeriesId,
    order: Order,
    from: Place,
) -> Result<Option<Place>, Fault> {
    let Some(mut nearest) = nearest_day(pages, series, order, from)? else { return Ok(None) };
    for level in [Interval::H1, Interval::M1] {
        if let Some(place) = nearest.whole(order, from) {
            return Ok(Some(place));
        }
        // A bucket that is cut at `from` may have ticks on both sides of it; a finer one tells.
        let chain = levels::chain(level, series.symbol_id);
        let page = pages.at(chain, Place::at(nearest.start))?;
        let finer = page.map_or(Ok(None), |page| Nearest::of(&page, series, level, order, from));
        let Some(finer) = finer? else { return Ok(Some(from)) };
        nearest = finer;
    }
    Ok(Some(nearest.whole(order, from).unwrap_or(from)))
}

/// The first candle in an order that has a tick from a place on.
struct Nearest {
    /// Of its bucket, in microseconds.
    start: i64,
    candle: Candle,
}

impl Nearest {
    /// Finds it in a page.
    fn of(
        page: &StoredPage,
        series: SeriesId,
        level: Interval,
        order: Order,
        from: Place,
    ) -> Result<Option<Self>, Fault> {
        let mut candles = levels::of_page(level, page, series.source_id)?.into_iter();
        let found = match order {
            Order::OldestFirst => candles.find(|(_, candle)| Place::of(candle.close_at) >= from),
            Order::NewestFirst => candles.rfind(|(_, candle)| Place::of(candle.open_at) <= from),
        };
        Ok(found.map(|(start, candle)| Self { start, candle }))
    }

    /// Gives the place of its first tick in the order, unless that is on the other side of `from`.
    fn whole(&self, order: Order, from: Place) -> Option<Place> {
        let (first, last) = (Place::of(self.candle.open_at), Place::of(self.candle.close_at));
        match order {
            Order::OldestFirst => (first >= from).then_some(first),
            Order::NewestFirst => (last <= from).then_some(last),
        }
    }
}

fn nearest_day(
    pages: &Pages<'_>,
    series: SeriesId,
    order: Order,
    from: Place,
) -> Result<Option<Nearest>, Fault> {
    let chain = levels::chain(Interval::D1, series.symbol_id);
    let mut page = match (pages.covering(chain, from)?, order) {
        (None, Order::OldestFirst) => pages.after(chain, from)?,
        (found, _) => found,
    };
    while let Some(searched) = page {
        let nearest = Nearest::of(&searched, series, Interval::D1, order, from)?;
        if nearest.is_some() {
            return Ok(nearest);
        }
        page = match order {
            Order::OldestFirst => pages.after(chain, searched.place)?,
            Order::NewestFirst => pages.before(chain, searched.place)?,
        };
    }
    Ok(None)
}
