//! Reading the file from another process, beside a server or without one: every tick with all that is kept of it.

use std::path::Path;
use std::sync::Arc;

use chrono_domain::{Clock, StoredTick, WorkerId};
use rusqlite::Transaction;

use super::connection::Reader;
use super::counters::Published;
use super::fault::Fault;
use super::generation::Generation;
use super::open::{Access, OpenError, Settings, StoreFile};
use super::pages::Pages;
use super::replay;
use super::ticks::{self, NamesById, SOURCE_NAME, WORKER_NAME};
use crate::{Names, StoreError, TickRange};

/// A file opened for reading.
///
/// ```
/// # use chrono_domain::{Symbol, SystemClock};
/// # use chrono_storage::{Detail, TickRange, sqlite::Visit};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let mut visit = Visit::open(&dir.path().join("chrono.db"), &SystemClock::new())?;
/// let range = TickRange { limit: 10_000, detail: Detail::WithMetadata, ..TickRange::of(Symbol::try_new("A/B")?) };
/// let page = visit.moment()?.ticks(&range)?;
/// assert!(page.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Visit {
    reader: Reader,
    /// What the last moment read of the log; kept until the next, up to some hundred thousand ticks.
    rest: Option<Generation>,
}

/// One moment of a file, which nothing that is written meanwhile changes.
///
/// The server's log file grows for as long as it is held, so a long export takes a new one every few pages.
#[derive(Debug)]
pub struct Moment<'v> {
    snapshot: Transaction<'v>,
    cycle: i64,
    /// What the pages do not cover.
    rest: &'v Generation,
}

/// A tick, and who sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisitedTick {
    /// The tick.
    pub stored: StoredTick,
    /// Who sent it.
    pub worker: WorkerId,
}

impl Visit {
    /// Opens a file; its schema is brought up to date if no server has it open.
    ///
    /// # Errors
    /// [`OpenError`], which says what to do.
    pub fn open(path: &Path, clock: &dyn Clock) -> Result<Self, OpenError> {
        let settings = Settings { access: Access::Tool, ..Settings::new(path) };
        let file = Arc::new(StoreFile::open(settings, clock)?);
        let reader = Reader::open(&file).map_err(OpenError::content(path))?;
        Ok(Self { reader, rest: None })
    }

    /// Takes the present moment, which holds every tick that was acknowledged before.
    ///
    /// It reads what of the log the pages do not cover, up to some hundred thousand ticks, and of that only what an
    /// earlier moment has not read.
    ///
    /// # Errors
    /// As [`crate::TickStore::ticks`].
    pub fn moment(&mut self) -> Result<Moment<'_>, StoreError> {
        let snapshot = self.reader.snapshot()?;
        let Published { sealed, cycle, next_arrival } = Published::load(&snapshot)?;
        let read = self.rest.take().filter(|rest| rest.base == sealed);
        let mut rest = read.unwrap_or_else(|| Generation::after(sealed, next_arrival));
        replay::extend(&snapshot, &mut rest)?;
        Ok(Moment { snapshot, cycle, rest: self.rest.insert(rest) })
    }
}

impl Moment<'_> {
    /// Reads every name in use.
    ///
    /// # Errors
    /// As [`crate::TickStore::names`].
    pub fn names(&self) -> Result<Names, StoreError> {
        Ok(ticks::names(&self.snapshot)?)
    }

    /// Reads a page of a symbol's ticks, as [`crate::TickStore::ticks`] does.
    ///
    /// # Errors
    /// As [`crate::TickStore::ticks`].
    pub fn ticks(&self, range: &TickRange) -> Result<Vec<VisitedTick>, StoreError> {
        Ok(self.read(range)?)
    }

    fn read(&self, range: &TickRange) -> Result<Vec<VisitedTick>, Fault> {
        let Some(wanted) = ticks::find(&self.snapshot, range)? else { return Ok(Vec::new()) };
        let parts = vec![ticks::held(self.rest, &wanted)];
        let pages = Pages { connection: &self.snapshot, cycle: self.cycle };
        let (mut sources, mut workers) = (NamesById::of(SOURCE_NAME), NamesById::of(WORKER_NAME));
        let rows = ticks::read(&pages, parts, &wanted)?.into_iter();
        let visited = rows.map(|(row, metadata)| {
            let source = sources.find(&self.snapshot, row.source_id)?;
            let worker = workers.find(&self.snapshot, row.worker_id)?;
            Ok(VisitedTick { stored: ticks::tick(range.symbol, source, row, metadata)?, worker })
        });
        visited.collect()
    }
}
