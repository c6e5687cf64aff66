//! What the writer remembers between transactions, so that no tick costs a look-up.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::hash::Hash;
use std::str::FromStr;
use std::time::Duration;

use chrono_domain::{Interval, NameError, Source, Symbol, Timestamp, WorkerId};
use rusqlite::{Connection, params};

use super::codec;
use super::fault::Fault;

/// How far behind the arrival of its first batch a symbol's watermark starts: live ticks lie above it, backfills below.
const FIRST_WATERMARK_BEHIND: Duration = Duration::from_mins(1);

const SYMBOLS: &str = "SELECT id, name FROM symbols";
const SOURCES: &str = "SELECT id, name FROM sources";
const WORKERS: &str = "SELECT id, name FROM workers";
const WATERMARKS: &str = "SELECT symbol_id, up_to, \
    (SELECT min(timestamp) FROM price_ticks t WHERE t.symbol_id = w.symbol_id AND t.timestamp >= up_to) \
    FROM candle_watermark w";
const ADD_SYMBOL: &str = "INSERT INTO symbols (name) VALUES (?1)";
const ADD_SOURCE: &str = "INSERT INTO sources (name) VALUES (?1)";
const ADD_WORKER: &str = "INSERT INTO workers (name) VALUES (?1)";
const ADD_WATERMARK: &str = "INSERT INTO candle_watermark (symbol_id, up_to) VALUES (?1, ?2)";

/// A symbol's candles as far as the writer must know them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Series {
    /// Stored candles cover the ticks before this; a whole minute.
    pub(super) watermark: i64,
    /// No tick from the watermark on is older than this; none when there is no such tick.
    pub(super) waiting: Option<i64>,
}

impl Series {
    /// Notes a tick at or above the watermark.
    pub(super) fn note(&mut self, at: i64) {
        self.waiting = Some(self.waiting.map_or(at, |oldest| oldest.min(at)));
    }
}

/// A table of names, in memory: every one of them.
#[derive(Debug)]
pub(super) struct Dictionary<K> {
    ids: HashMap<K, i64>,
    add: &'static str,
}

/// A copy of the dictionaries and watermarks, as of the writer's last transaction.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) sources: Dictionary<Source>,
    pub(super) workers: Dictionary<WorkerId>,
    symbols: Dictionary<Symbol>,
    /// By symbol id; one for every symbol.
    pub(super) series: BTreeMap<i64, Series>,
    /// The (symbol, hour) whose candles were last recomputed.
    pub(super) cleaned: (i64, i64),
    data_version: i64,
}

impl<K: Copy + Eq + Hash + Display + FromStr<Err = NameError>> Dictionary<K> {
    fn load(connection: &Connection, all: &str, add: &'static str) -> Result<Self, Fault> {
        let mut statement = connection.prepare_cached(all)?;
        let mut rows = statement.query([])?;
        let mut ids = HashMap::new();
        while let Some(row) = rows.next()? {
            ids.insert(codec::text(row, 1)?.parse()?, row.get(0)?);
        }
        Ok(Self { ids, add })
    }

    /// Finds the id of a name that is stored already.
    pub(super) fn find(&self, name: K) -> Option<i64> {
        self.ids.get(&name).copied()
    }

    /// Gives the id of a name, a new one to a new name.
    pub(super) fn id(&mut self, connection: &Connection, name: K) -> Result<i64, Fault> {
        if let Some(id) = self.ids.get(&name) {
            return Ok(*id);
        }
        let id = connection.prepare_cached(self.add)?.insert([name.to_string()])?;
        self.ids.insert(name, id);
        Ok(id)
    }
}

impl Memory {
    /// Reads all of it.
    pub(super) fn load(connection: &Connection) -> Result<Self, Fault> {
        let mut statement = connection.prepare_cached(WATERMARKS)?;
        let series = statement.query_map([], |row| {
            Ok((row.get(0)?, Series { watermark: row.get(1)?, waiting: row.get(2)? }))
        })?;
        Ok(Self {
            sources: Dictionary::load(connection, SOURCES, ADD_SOURCE)?,
            workers: Dictionary::load(connection, WORKERS, ADD_WORKER)?,
            symbols: Dictionary::load(connection, SYMBOLS, ADD_SYMBOL)?,
            series: series.collect::<Result<_, _>>()?,
            cleaned: (i64::MIN, i64::MIN),
            data_version: data_version(connection)?,
        })
    }

    /// Gives what is remembered, read again when nothing is or when another process has written since.
    pub(super) fn fresh<'a>(
        held: &'a mut Option<Self>,
        connection: &Connection,
    ) -> Result<&'a mut Self, Fault> {
        let current = data_version(connection)?;
        if held.as_ref().is_none_or(|memory| memory.data_version != current) {
            *held = None;
        }
        match held {
            Some(memory) => Ok(memory),
            None => Ok(held.insert(Self::load(connection)?)),
        }
    }

    /// Gives a symbol's id and candles, new ones to a symbol that is first seen at `now`.
    pub(super) fn symbol(
        &mut self,
        connection: &Connection,
        symbol: Symbol,
        now: Timestamp,
    ) -> Result<(i64, &mut Series), Fault> {
        let id = self.symbols.id(connection, symbol)?;
        let series = match self.series.entry(id) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(free) => {
                let watermark = Interval::M1.bucket(now.minus(FIRST_WATERMARK_BEHIND)).micros();
                connection.prepare_cached(ADD_WATERMARK)?.execute(params![id, watermark])?;
                free.insert(Series { watermark, waiting: None })
            }
        };
        Ok((id, series))
    }
}

/// Reads a number that changes when another connection, of this process or of another, has committed.
fn data_version(connection: &Connection) -> Result<i64, Fault> {
    Ok(connection.prepare_cached("PRAGMA data_version")?.query_one([], |row| row.get(0))?)
}
