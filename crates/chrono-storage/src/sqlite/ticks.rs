//! Reading ticks: pages in order, and what memory has beyond them.

use std::ops::{Bound, Range};
use std::str::FromStr;

use chrono_domain::{Arrival, Metadata, NameError, OrderKey, Source, StoredTick, Symbol, Tick};
use foldhash::{HashMap, HashMapExt};
use rusqlite::{Connection, OptionalExtension};

use super::codec;
use super::connection::Reader;
use super::fault::Fault;
use super::generation::{Generation, Held, Series};
use super::leap;
use super::levels::{HOUR, SeriesId};
use super::packed::ticks::{Beside, Page};
use super::packed::{Row, metadata};
use super::pages::{Chain, Family, Pages, Place, StoredPage};
use crate::{Detail, Names, Order, TickRange};

const FIND_SYMBOL: &str = "SELECT id FROM symbols WHERE name = ?1";
const FIND_SOURCE: &str = "SELECT id FROM sources WHERE name = ?1";
pub(super) const SOURCE_NAME: &str = "SELECT name FROM sources WHERE id = ?1";
pub(super) const WORKER_NAME: &str = "SELECT name FROM workers WHERE id = ?1";
const SYMBOL_NAMES: &str = "SELECT name FROM symbols ORDER BY name";
const SOURCE_NAMES: &str = "SELECT name FROM sources ORDER BY name";
const WORKER_NAMES: &str = "SELECT name FROM workers ORDER BY name";

/// Most rows that room is made for before it is known that there are so many: the longest answer of REST.
const ROWS_USUAL_MAX: usize = 10_000;

/// A tick with ids for names.
pub(super) type Whole = (Row, Option<Metadata>);

/// Which ticks of a symbol, with ids for names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) symbol_id: u32,
    pub(super) source_id: Option<u32>,
    /// Where it begins, in order of time.
    pub(super) from: Bound<OrderKey>,
    /// Where it ends, in order of time.
    pub(super) to: Bound<OrderKey>,
    pub(super) order: Order,
    pub(super) limit: usize,
    pub(super) detail: Detail,
}

/// Reads a page of a symbol's ticks.
pub(super) fn page(reader: &Reader, range: &TickRange) -> Result<Vec<StoredTick>, Fault> {
    let Some(wanted) = find(reader.lookups(), range)? else { return Ok(Vec::new()) };
    reader.view(
        |generation| held(generation, &wanted),
        |view| {
            let rows = read(&view.pages, view.parts, &wanted)?;
            let mut names = NamesById::of(SOURCE_NAME);
            // Collecting results would make room step by step, up to twice what is needed.
            let mut ticks = Vec::with_capacity(rows.len());
            for (row, metadata) in rows {
                let source = names.find(view.pages.connection, row.source_id)?;
                ticks.push(tick(range.symbol, source, row, metadata)?);
            }
            Ok(ticks)
        },
    )
}

/// Reads every name in use.
pub(super) fn names(snapshot: &Connection) -> Result<Names, Fault> {
    Ok(Names {
        symbols: texts(snapshot, SYMBOL_NAMES)?,
        sources: texts(snapshot, SOURCE_NAMES)?,
        workers: texts(snapshot, WORKER_NAMES)?,
    })
}

/// Finds a symbol's id.
pub(super) fn find_symbol(connection: &Connection, symbol: Symbol) -> Result<Option<u32>, Fault> {
    find_id(connection, FIND_SYMBOL, symbol.as_str())
}

/// Finds a source's id.
pub(super) fn find_source(connection: &Connection, source: Source) -> Result<Option<u32>, Fault> {
    find_id(connection, FIND_SOURCE, source.as_str())
}

/// Copies from a generation what is wanted of it.
pub(super) fn held(generation: &Generation, wanted: &Wanted) -> Vec<Whole> {
    let Some(series) = generation.series.get(&wanted.symbol_id) else { return Vec::new() };
    let bounds = (wanted.from, wanted.to);
    // The writer waits meanwhile, so that ticks of other sources are not gone through.
    let spans: Box<dyn DoubleEndedIterator<Item = _>> = match wanted.source_id {
        None => Box::new(std::iter::once(bounds)),
        Some(source_id) => Box::new(spans_of(series, source_id, bounds)),
    };
    let ticks = spans.flat_map(|bounds| series.range(bounds));
    let ticks = ticks.filter(|(_key, held)| wanted.is_of(held.source_id));
    let copy = |(key, held): (&OrderKey, &Held)| {
        let metadata = if wanted.detail == Detail::Plain { None } else { held.metadata.clone() };
        (held.row(*key), metadata)
    };
    match wanted.order {
        Order::OldestFirst => ticks.map(copy).take(wanted.limit).collect(),
        Order::NewestFirst => ticks.rev().map(copy).take(wanted.limit).collect(),
    }
}

/// Gives bounds, minute by minute, between which all ticks of a source lie that are within others.
fn spans_of(
    series: &Series,
    source_id: u32,
    (from, to): (Bound<OrderKey>, Bound<OrderKey>),
) -> impl DoubleEndedIterator<Item = (Bound<OrderKey>, Bound<OrderKey>)> {
    let first = place(from, Place::FIRST).start;
    let hours = first - first % HOUR..=place(to, Place::LAST).start;
    // A range that ends before it begins is no range.
    let hours = (!hours.is_empty()).then(|| series.hours.range(hours));
    let minutes = hours.into_iter().flatten().flat_map(|(_, minutes)| minutes.iter());
    minutes.filter(move |((_, id), _)| *id == source_id).map(move |(_, minute)| {
        let from = match from {
            Bound::Included(at) | Bound::Excluded(at) if at >= minute.open_at => from,
            _ => Bound::Included(minute.open_at),
        };
        let to = match to {
            Bound::Included(at) | Bound::Excluded(at) if at <= minute.close_at => to,
            _ => Bound::Included(minute.close_at),
        };
        (from, to)
    })
}

/// Reads what is wanted from the pages, and joins it with what was copied from memory.
pub(super) fn read(
    pages: &Pages<'_>,
    parts: Vec<Vec<Whole>>,
    wanted: &Wanted,
) -> Result<Vec<Whole>, Fault> {
    let mut rows = stored(pages, wanted)?;
    for part in parts {
        rows.extend(part);
    }
    // Two or three runs that are in order already; often one, and then sorting need not make room to merge them in.
    let order = |(a, _): &Whole, (b, _): &Whole| match wanted.order {
        Order::OldestFirst => a.key.cmp(&b.key),
        Order::NewestFirst => b.key.cmp(&a.key),
    };
    if !rows.is_sorted_by(|a, b| order(a, b).is_le()) {
        rows.sort_by(order);
    }
    rows.truncate(wanted.limit);
    Ok(rows)
}

/// Makes a tick of a row and its names.
pub(super) fn tick(
    symbol: Symbol,
    source: Source,
    row: Row,
    metadata: Option<Metadata>,
) -> Result<StoredTick, Fault> {
    let OrderKey { timestamp, arrival } = row.key;
    let tick = Tick::try_new(symbol, source, row.price, row.volume, timestamp)?;
    Ok(StoredTick { tick: tick.with_metadata(metadata), arrival, ingested_at: row.ingested_at })
}

/// Reads a page of ticks whole: its rows, with metadata if asked for.
pub(super) fn whole_page(
    pages: &Pages<'_>,
    symbol_id: u32,
    page: &StoredPage,
    detail: Detail,
) -> Result<Vec<Whole>, Fault> {
    let damage = || Fault::damage("pages", page.id);
    let opened = Page::open(&page.body).map_err(damage())?;
    let rows = opened.rows(0..opened.len(), None).map_err(damage())?;
    Ok(with_metadata(pages, symbol_id, (page, opened.beside()), rows, detail)?.collect())
}

/// Names by their ids, as far as a reader has met them.
#[derive(Debug)]
pub(super) struct NamesById<T> {
    sql: &'static str,
    held: HashMap<u32, T>,
}

impl<T: Copy + FromStr<Err = NameError>> NamesById<T> {
    /// Knows none yet; `sql` finds the name of an id.
    pub(super) fn of(sql: &'static str) -> Self {
        Self { sql, held: HashMap::new() }
    }

    /// Finds the name of an id that some tick carries.
    pub(super) fn find(&mut self, connection: &Connection, id: u32) -> Result<T, Fault> {
        if let Some(name) = self.held.get(&id) {
            return Ok(*name);
        }
        let mut statement = connection.prepare_cached(self.sql)?;
        let mut rows = statement.query([id])?;
        let row = rows.next()?.ok_or_else(|| Fault::Damaged("a tick with an unknown id".into()))?;
        let name = codec::text(row, 0)?.parse()?;
        self.held.insert(id, name);
        Ok(name)
    }
}

impl Wanted {
    const fn series(&self, source_id: u32) -> SeriesId {
        SeriesId { symbol_id: self.symbol_id, source_id }
    }

    fn is_of(&self, source_id: u32) -> bool {
        self.source_id.is_none_or(|wanted| wanted == source_id)
    }

    /// Gives which of a page's keys are within the bounds.
    fn within(&self, keys: &[OrderKey]) -> Range<usize> {
        let from = match self.from {
            Bound::Included(from) => keys.partition_point(|key| *key < from),
            Bound::Excluded(from) => keys.partition_point(|key| *key <= from),
            Bound::Unbounded => 0,
        };
        let to = match self.to {
            Bound::Included(to) => keys.partition_point(|key| *key <= to),
            Bound::Excluded(to) => keys.partition_point(|key| *key < to),
            Bound::Unbounded => keys.len(),
        };
        from..to.max(from)
    }
}

/// Turns names into ids; none when a name is in no use.
pub(super) fn find(connection: &Connection, range: &TickRange) -> Result<Option<Wanted>, Fault> {
    let Some(symbol_id) = find_symbol(connection, range.symbol)? else { return Ok(None) };
    let source_id = match range.source {
        None => None,
        Some(source) => match find_source(connection, source)? {
            None => return Ok(None),
            found => found,
        },
    };
    let (from, to) = ends(range);
    let TickRange { order, limit, detail, .. } = *range;
    Ok(Some(Wanted { symbol_id, source_id, from, to, order, limit, detail }))
}

/// Gives both ends in order of time, the place that the answer comes after among them.
fn ends(range: &TickRange) -> (Bound<OrderKey>, Bound<OrderKey>) {
    let from = OrderKey { timestamp: range.from, arrival: Arrival(0) };
    let to = OrderKey { timestamp: range.to, arrival: Arrival(u64::MAX) };
    match (range.order, range.after) {
        (Order::OldestFirst, Some(after)) if after >= from => {
            (Bound::Excluded(after), Bound::Included(to))
        }
        (Order::NewestFirst, Some(after)) if after <= to => {
            (Bound::Included(from), Bound::Excluded(after))
        }
        _ => (Bound::Included(from), Bound::Included(to)),
    }
}

/// Reads what is wanted from the pages.
///
/// Behind a page without a tick of the source that is wanted it leaps, so that a source costs two pages for each with
/// ticks of it and not all those of others between them.
fn stored(pages: &Pages<'_>, wanted: &Wanted) -> Result<Vec<Whole>, Fault> {
    let mut found: Vec<Whole> = Vec::new();
    let chain = Chain::of(Family::Ticks, wanted.symbol_id);
    let (first, mut last) = (place(wanted.from, Place::FIRST), place(wanted.to, Place::LAST));
    let series = wanted.source_id.map(|source_id| wanted.series(source_id));
    if let Some(series) = series {
        let Some(newest) = leap::newest(pages, series)? else { return Ok(found) };
        last = last.min(newest);
    }
    if first > last || wanted.limit == 0 {
        return Ok(found);
    }
    let start = match wanted.order {
        Order::OldestFirst => first,
        Order::NewestFirst => last,
    };
    let is_within = |place: &Place| (first..=last).contains(place);
    let mut next = pages.covering(chain, start)?;
    while let Some(page) = next {
        let before = found.len();
        add_page(pages, &page, wanted, &mut found)?;
        if found.len() >= wanted.limit {
            break;
        }
        let mut place = match wanted.order {
            Order::OldestFirst => pages.next_place(chain, page.place)?,
            Order::NewestFirst => page.place.before(),
        };
        if let (Some(series), Some(from)) = (series, place.filter(is_within))
            && found.len() == before
        {
            place = leap::next(pages, series, wanted.order, from)?;
        }
        next = place.filter(is_within).map_or(Ok(None), |place| pages.covering(chain, place))?;
    }
    Ok(found)
}

/// Adds what is wanted of a page, in the order of the answer.
fn add_page(
    pages: &Pages<'_>,
    page: &StoredPage,
    wanted: &Wanted,
    found: &mut Vec<Whole>,
) -> Result<(), Fault> {
    let damage = || Fault::damage("pages", page.id);
    let opened = Page::open(&page.body).map_err(damage())?;
    let mut range = wanted.within(&opened.keys().map_err(damage())?);
    let room = wanted.limit - found.len();
    if wanted.source_id.is_none() && range.len() > room {
        range = match wanted.order {
            Order::OldestFirst => range.start..range.start + room,
            Order::NewestFirst => range.end - room..range.end,
        };
    }
    let mut rows = opened.rows(range, wanted.source_id).map_err(damage())?;
    if wanted.order == Order::NewestFirst {
        rows.reverse();
    }
    rows.truncate(room);
    if rows.len() < room {
        // There may be more: growing step by step would copy most of it twice.
        found.reserve(room.min(ROWS_USUAL_MAX));
    }
    let page = (page, opened.beside());
    found.extend(with_metadata(pages, wanted.symbol_id, page, rows, wanted.detail)?);
    Ok(())
}

/// Joins rows of a page with the metadata that lies beside it.
fn with_metadata(
    pages: &Pages<'_>,
    symbol_id: u32,
    (page, beside): (&StoredPage, Beside),
    rows: Vec<(usize, Row)>,
    detail: Detail,
) -> Result<impl Iterator<Item = Whole> + use<>, Fault> {
    let chain = Chain::of(Family::Metadata, symbol_id);
    let held = match (detail, beside) {
        (Detail::Plain, _) | (_, Beside::Nothing) => None,
        (Detail::WithMetadata, Beside::Metadata) => {
            let held = pages.version(chain, page.place, page.cycle)?;
            Some(held.ok_or_else(|| Fault::Damaged("a page whose metadata is gone".into()))?)
        }
    };
    let texts = match held {
        None => Vec::new(),
        Some(held) => metadata::decode(&held.body).map_err(Fault::damage("pages", held.id))?,
    };
    Ok(rows.into_iter().map(move |(idx, row)| (row, texts.get(idx).cloned().flatten())))
}

fn place(bound: Bound<OrderKey>, open: Place) -> Place {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => Place::of(key),
        Bound::Unbounded => open,
    }
}

fn find_id(connection: &Connection, sql: &str, name: &str) -> Result<Option<u32>, Fault> {
    Ok(connection.prepare_cached(sql)?.query_one([name], |row| row.get(0)).optional()?)
}

fn texts<T>(connection: &Connection, sql: &str) -> Result<Vec<T>, Fault>
where
    T: std::str::FromStr<Err = chrono_domain::NameError>,
{
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut texts = Vec::new();
    while let Some(row) = rows.next()? {
        texts.push(codec::text(row, 0)?.parse()?);
    }
    Ok(texts)
}

#[cfg(test)]
mod tests;
