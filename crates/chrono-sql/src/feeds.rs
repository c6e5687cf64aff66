//! The virtual table `price_feeds`.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::error::Error;
use std::ffi::{CStr, c_int};
use std::sync::{Arc, Mutex};

use chrono_domain::Metadata;
use chrono_storage::Detail;
use chrono_storage::sqlite::{Visit, VisitedTick};
use rusqlite::vtab::{
    Context, Filters, IndexInfo, Module, VTab, VTabConnection, VTabCursor, sqlite3_vtab,
    sqlite3_vtab_cursor,
};
use rusqlite::{Connection, Error as SqliteError};

use crate::instant;
use crate::plan::{self, column};
use crate::walk::{Walk, Wanted};

/// Prices and volumes are texts: a REAL would round them.
const DECLARATION: &CStr =
    c"CREATE TABLE price_feeds (id INTEGER, symbol TEXT, price TEXT, volume TEXT, \
    timestamp TEXT, source TEXT, ingested_at TEXT, worker_id TEXT, metadata TEXT)";
/// Ticks of the first chunk; each has four times as many as the one before, since a LIMIT may end it early.
const FIRST_CHUNK: usize = 256;
const GROWTH: usize = 4;

/// What all cursors read from.
type Shared = Arc<Mutex<Visit>>;

/// Brings the table into a connection, where it needs no CREATE.
pub(crate) fn register(connection: &Connection, visit: Visit) -> rusqlite::Result<()> {
    const MODULE: Module<'_, PriceFeeds> = Module::eponymous_only_module();
    connection.create_module(c"price_feeds", &MODULE, Some(Arc::new(Mutex::new(visit))))
}

#[repr(C)]
struct PriceFeeds {
    /// SQLite's part, which must come first.
    base: sqlite3_vtab,
    visit: Shared,
}

#[repr(C)]
struct Feeds {
    /// SQLite's part, which must come first.
    base: sqlite3_vtab_cursor,
    visit: Shared,
    walk: Walk,
    /// What was read and not yet asked for; the first is the current one.
    ticks: VecDeque<VisitedTick>,
    chunk: usize,
    chunk_max: usize,
}

#[expect(
    unsafe_code,
    reason = "the struct is repr(C) and begins with SQLite's part, as the trait asks"
)]
unsafe impl VTab<'_> for PriceFeeds {
    type Aux = Shared;
    type Cursor = Feeds;

    fn connect(
        _connection: &mut VTabConnection,
        visit: Option<&Shared>,
        _module: &[u8],
        _database: &[u8],
        _table: &[u8],
        _arguments: &[&[u8]],
    ) -> rusqlite::Result<(Cow<'static, CStr>, Self)> {
        let visit = visit.ok_or_else(|| module_error(&"no store"))?;
        let table = Self { base: sqlite3_vtab::default(), visit: Arc::clone(visit) };
        Ok((Cow::Borrowed(DECLARATION), table))
    }

    fn best_index(&self, info: &mut IndexInfo) -> rusqlite::Result<bool> {
        plan::choose(info)?;
        Ok(true)
    }

    fn open(&mut self) -> rusqlite::Result<Feeds> {
        Ok(Feeds {
            base: sqlite3_vtab_cursor::default(),
            visit: Arc::clone(&self.visit),
            walk: Walk::new(Wanted::all(Detail::Plain)),
            ticks: VecDeque::new(),
            chunk: FIRST_CHUNK,
            chunk_max: FIRST_CHUNK,
        })
    }
}

#[expect(
    unsafe_code,
    reason = "the struct is repr(C) and begins with SQLite's part, as the trait asks"
)]
unsafe impl VTabCursor for Feeds {
    fn filter(
        &mut self,
        number: c_int,
        _text: Option<&str>,
        values: &Filters<'_>,
    ) -> rusqlite::Result<()> {
        let wanted = plan::wanted(number, values);
        self.chunk = FIRST_CHUNK;
        self.chunk_max = wanted.chunk_max();
        self.walk = Walk::new(wanted);
        self.read_chunk()
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        self.ticks.pop_front();
        if self.ticks.is_empty() { self.read_chunk() } else { Ok(()) }
    }

    fn eof(&self) -> bool {
        self.ticks.is_empty()
    }

    fn column(&self, cell: &mut Context, column: c_int) -> rusqlite::Result<()> {
        let Some(VisitedTick { stored, worker }) = self.ticks.front() else { return Ok(()) };
        let tick = &stored.tick;
        match column {
            column::ID => cell.set_result(self.rowid()?),
            column::SYMBOL => cell.set_result(tick.symbol.as_str()),
            column::PRICE => cell.set_result(tick.price.to_string()),
            column::VOLUME => cell.set_result(tick.volume.map(|volume| volume.to_string())),
            column::TIMESTAMP => cell.set_result(instant::shown(tick.timestamp)),
            column::SOURCE => cell.set_result(tick.source.as_str()),
            column::INGESTED_AT => cell.set_result(instant::shown(stored.ingested_at)),
            column::WORKER_ID => cell.set_result(worker.as_str()),
            _ => cell.set_result(tick.metadata.as_ref().map(Metadata::as_str)),
        }
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        let arrival = self.ticks.front().map_or(0, |tick| tick.stored.arrival.0);
        i64::try_from(arrival).map_err(|fault| module_error(&fault))
    }
}

impl Feeds {
    fn read_chunk(&mut self) -> rusqlite::Result<()> {
        let mut visit = self.visit.lock().map_err(|fault| module_error(&fault))?;
        let ticks = self.walk.read(&mut visit, self.chunk);
        self.ticks = ticks.map_err(|fault| module_error(&chain(&fault)))?.into();
        self.chunk = (self.chunk * GROWTH).min(self.chunk_max);
        Ok(())
    }
}

/// Says all that an error says: SQLite hands on one text.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn module_error(fault: &dyn std::fmt::Display) -> SqliteError {
    SqliteError::ModuleError(fault.to_string())
}
