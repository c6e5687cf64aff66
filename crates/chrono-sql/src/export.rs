//! Ticks as files for other programs, and to be replayed.

use std::io::Write;

use chrono_domain::{Source, Symbol, Timestamp};
use chrono_storage::sqlite::VisitedTick;
use chrono_storage::{Detail, Order};

use crate::archive::Archive;
use crate::error::ReadError;
use crate::form::{Cell, Format};
use crate::instant;
use crate::walk::{Walk, Wanted};

/// The columns, as those of `price_feeds`.
const COLUMNS: [&str; 8] =
    ["id", "symbol", "price", "volume", "timestamp", "source", "ingested_at", "worker_id"];
const METADATA: &str = "metadata";

/// Which ticks to write, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// These symbols, in this order; none of them stands for all, by name.
    pub symbols: Vec<Symbol>,
    /// One source, or all.
    pub source: Option<Source>,
    /// First moment, inclusive.
    pub from: Timestamp,
    /// Last moment, inclusive.
    pub to: Timestamp,
    /// Whether metadata are written, too.
    pub detail: Detail,
    /// The form of what is written.
    pub format: Format,
}

impl Archive {
    /// Writes ticks by symbol and time, and tells `progress` after each chunk how many there are so far.
    ///
    /// A line of NDJSON is a feed as batches hold it, with more fields. Each chunk is of a moment of its own, so that the
    /// gateway's log file can shrink meanwhile: ticks that come during an export may be in it.
    ///
    /// # Errors
    /// [`ReadError::Reversed`] and [`ReadError::Unknown`] before anything is written; [`ReadError::Store`] and [`ReadError::Output`] at any time.
    pub fn export(
        &mut self,
        wanted: &Export,
        out: &mut dyn Write,
        progress: &mut dyn FnMut(u64),
    ) -> Result<u64, ReadError> {
        let Export { from, to, .. } = *wanted;
        if from > to {
            return Err(ReadError::Reversed { from, to });
        }
        self.check_names(wanted)?;
        let has_metadata = wanted.detail == Detail::WithMetadata;
        let names = COLUMNS.into_iter().chain(has_metadata.then_some(METADATA));
        let names: Vec<String> = names.map(str::to_owned).collect();
        let mut form = wanted.format.begin(&names, out)?;
        let (wanted, mut count) = (wanted.walked(), 0);
        let chunk_max = wanted.chunk_max();
        let mut walk = Walk::new(wanted);
        loop {
            let ticks = walk.read(&mut self.visit, chunk_max)?;
            if ticks.is_empty() {
                form.finish()?;
                return Ok(count);
            }
            for tick in &ticks {
                form.row(&cells(tick, has_metadata))?;
                count += 1;
            }
            progress(count);
        }
    }

    /// Refuses names without a tick: a typo must not look like an empty store.
    fn check_names(&mut self, wanted: &Export) -> Result<(), ReadError> {
        let names = self.visit.moment()?.names()?;
        let symbol = wanted.symbols.iter().find(|symbol| !names.symbols.contains(symbol));
        let source = wanted.source.filter(|source| !names.sources.contains(source));
        let unknown = symbol.map(ToString::to_string).or(source.map(|source| source.to_string()));
        unknown.map_or(Ok(()), |name| Err(ReadError::Unknown(name)))
    }
}

impl Export {
    fn walked(&self) -> Wanted {
        Wanted {
            symbols: (!self.symbols.is_empty()).then(|| self.symbols.clone()),
            source: self.source,
            from: self.from,
            to: self.to,
            order: Order::OldestFirst,
            detail: self.detail,
        }
    }
}

fn cells(tick: &VisitedTick, has_metadata: bool) -> Vec<Cell<'_>> {
    let VisitedTick { stored, worker } = tick;
    let tick = &stored.tick;
    let text = |text: String| Cell::Text(text.into());
    let id = i64::try_from(stored.arrival.0).unwrap_or(i64::MAX);
    let mut cells = vec![
        Cell::Integer(id),
        Cell::Text(tick.symbol.as_str().into()),
        text(tick.price.to_string()),
        tick.volume.map_or(Cell::Null, |volume| text(volume.to_string())),
        text(instant::shown(tick.timestamp)),
        Cell::Text(tick.source.as_str().into()),
        text(instant::shown(stored.ingested_at)),
        Cell::Text(worker.as_str().into()),
    ];
    if has_metadata {
        let metadata = tick.metadata.as_ref();
        cells.push(metadata.map_or(Cell::Null, |metadata| Cell::Json(metadata.as_str())));
    }
    cells
}
