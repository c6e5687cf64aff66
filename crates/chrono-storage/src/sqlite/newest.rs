//! The newest tick of every (symbol, source): a page per symbol, and what memory has beyond them.

use std::collections::{BTreeMap, HashMap};

use chrono_domain::{StoredTick, Symbol};
use rusqlite::Connection;

use super::codec;
use super::connection::Reader;
use super::fault::Fault;
use super::generation::Generation;
use super::packed::{Row, newest as packed};
use super::pages::{Chain, Family, Pages, Place, StoredPage};
use super::ticks::{NamesById, SOURCE_NAME, tick};

const SYMBOLS: &str = "SELECT id, name FROM symbols";

/// Rows by symbol and source.
type Newest = BTreeMap<(u32, u32), Row>;

/// Reads the newest tick of every (symbol, source).
pub(super) fn newest(reader: &Reader) -> Result<Vec<StoredTick>, Fault> {
    reader.view(held, |view| {
        let symbols = symbols(view.pages.connection)?;
        let mut newest = Newest::new();
        for symbol_id in symbols.keys() {
            for row in stored(&view.pages, *symbol_id)? {
                add(&mut newest, *symbol_id, row);
            }
        }
        for (symbol_id, row) in view.parts.into_iter().flatten() {
            add(&mut newest, symbol_id, row);
        }
        let mut sources = NamesById::of(SOURCE_NAME);
        let ticks = newest.into_iter().map(|((symbol_id, source_id), row)| {
            let symbol = symbols.get(&symbol_id).copied();
            let symbol =
                symbol.ok_or_else(|| Fault::Damaged("a tick of an unknown symbol".into()))?;
            tick(symbol, sources.find(view.pages.connection, source_id)?, row, None)
        });
        ticks.collect()
    })
}

/// Reads the newest ticks of a symbol that its page holds.
pub(super) fn stored(pages: &Pages<'_>, symbol_id: u32) -> Result<Vec<Row>, Fault> {
    let page = pages.at(Chain::of(Family::Newest, symbol_id), Place::FIRST)?;
    let Some(StoredPage { id, body, .. }) = page else { return Ok(Vec::new()) };
    let ticks = packed::decode(&body).map_err(Fault::damage("pages", id))?;
    Ok(ticks.into_iter().map(|(row, _metadata)| row).collect())
}

fn held(generation: &Generation) -> Vec<(u32, Row)> {
    let mut rows = Vec::new();
    for (symbol_id, series) in &generation.series {
        rows.extend(series.newest().map(|row| (*symbol_id, row)));
    }
    rows
}

fn add(newest: &mut Newest, symbol_id: u32, row: Row) {
    let held = newest.entry((symbol_id, row.source_id)).or_insert(row);
    if held.key < row.key {
        *held = row;
    }
}

fn symbols(snapshot: &Connection) -> Result<HashMap<u32, Symbol>, Fault> {
    let mut statement = snapshot.prepare_cached(SYMBOLS)?;
    let mut rows = statement.query([])?;
    let mut symbols = HashMap::new();
    while let Some(row) = rows.next()? {
        symbols.insert(row.get(0)?, codec::text(row, 1)?.parse()?);
    }
    Ok(symbols)
}
