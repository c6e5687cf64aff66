//! Reading a window whole: all of its ticks at one moment, and of each only what a consensus asks for.

use std::ops::{Bound, RangeInclusive};

use chrono_domain::{Arrival, OrderKey, Source, Window, WindowRow};

use super::connection::Reader;
use super::fault::Fault;
use super::generation::{Generation, Held};
use super::packed::ticks::Page;
use super::pages::{Chain, Family, Pages, Place};
use super::ticks::{NamesById, SOURCE_NAME, find_symbol};
use super::view::View;
use crate::{WindowRange, WindowRead};

/// Which ticks, by place.
type Bounds = RangeInclusive<OrderKey>;

/// Reads a window.
pub(super) fn window(reader: &Reader, range: &WindowRange) -> Result<WindowRead, Fault> {
    let Some(symbol_id) = find_symbol(reader.lookups(), range.symbol)? else {
        return Ok(WindowRead::Whole(Window::default()));
    };
    let bounds = OrderKey { timestamp: range.from, arrival: Arrival(0) }..=OrderKey {
        timestamp: range.to,
        arrival: Arrival(u64::MAX),
    };
    // One more than may be, to tell that there are too many.
    let limit = range.ticks_max.saturating_add(1);
    reader.view(
        |generation| held(generation, symbol_id, &bounds, limit),
        |View { pages, parts, .. }| {
            let chain = Chain::of(Family::Ticks, symbol_id);
            let mut rows = stored(&pages, chain, &bounds, limit)?;
            for part in parts {
                rows.extend(part);
            }
            if rows.len() > range.ticks_max {
                return Ok(WindowRead::TooMany);
            }
            // Two or three runs that are in order already; often one.
            rows.sort_by_key(|row| row.key);
            let sources = number(&mut rows, &pages)?;
            Ok(WindowRead::Whole(Window { sources, rows }))
        },
    )
}

/// Copies from a generation what is wanted of it, with ids in the place of indices of sources.
fn held(generation: &Generation, symbol_id: u32, bounds: &Bounds, limit: usize) -> Vec<WindowRow> {
    let Some(series) = generation.series.get(&symbol_id) else { return Vec::new() };
    let ticks = series.range((Bound::Included(*bounds.start()), Bound::Included(*bounds.end())));
    let row = |(key, held): (&OrderKey, &Held)| WindowRow {
        source_idx: held.source_id,
        price: held.price,
        key: *key,
    };
    ticks.map(row).take(limit).collect()
}

/// Reads the pages that the bounds touch, until there is more than is wanted; as [`held`].
fn stored(
    pages: &Pages<'_>,
    chain: Chain,
    bounds: &Bounds,
    limit: usize,
) -> Result<Vec<WindowRow>, Fault> {
    let mut rows = Vec::new();
    let (first, last) = (Place::of(*bounds.start()), Place::of(*bounds.end()));
    if first > last {
        return Ok(rows);
    }
    let mut next = pages.covering(chain, first)?;
    while let Some(page) = next.filter(|page| page.place <= last) {
        let damage = || Fault::damage("pages", page.id);
        let opened = Page::open(&page.body).map_err(damage())?;
        opened.add_window(bounds, &mut rows).map_err(damage())?;
        if rows.len() >= limit {
            break;
        }
        next = pages.after(chain, page.place)?;
    }
    Ok(rows)
}

/// Puts indices in the place of ids, and gives the sources that they stand for.
fn number(rows: &mut [WindowRow], pages: &Pages<'_>) -> Result<Vec<Source>, Fault> {
    let (mut names, mut sources) = (NamesById::of(SOURCE_NAME), Vec::new());
    // By id; sources are few.
    let mut numbers: Vec<(u32, u32)> = Vec::new();
    for row in rows {
        let id = row.source_idx;
        let at = numbers.binary_search_by_key(&id, |(id, _)| *id).or_else(|at| {
            let next = u32::try_from(sources.len()).unwrap_or(u32::MAX);
            sources.push(names.find(pages.connection, id)?);
            numbers.insert(at, (id, next));
            Ok::<_, Fault>(at)
        })?;
        row.source_idx = numbers.get(at).map_or(u32::MAX, |(_, source_idx)| *source_idx);
    }
    Ok(sources)
}
