//! Going through ticks symbol by symbol, a chunk at a time.

use std::collections::VecDeque;

use chrono_domain::{OrderKey, Source, Symbol, Timestamp};
use chrono_storage::sqlite::{Visit, VisitedTick};
use chrono_storage::{Detail, Order, StoreError, TickRange};

/// Most ticks of a chunk without metadata, and of one with it, which may be 4 KiB a tick. Too few, and finding the place
/// again, which each chunk does, takes all the time; too many, and they fill the memory.
const CHUNK_PLAIN: usize = 65_536;
const CHUNK_METADATA: usize = 16_384;

/// Which ticks to go through.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// These symbols in this order; without them all, by name.
    pub(crate) symbols: Option<Vec<Symbol>>,
    pub(crate) source: Option<Source>,
    /// First moment, inclusive.
    pub(crate) from: Timestamp,
    /// Last moment, inclusive.
    pub(crate) to: Timestamp,
    /// The order within a symbol.
    pub(crate) order: Order,
    pub(crate) detail: Detail,
}

/// How far it has come.
#[derive(Debug)]
pub(crate) struct Walk {
    wanted: Wanted,
    /// Those still to come, once it is known which there are.
    symbols: Option<VecDeque<Symbol>>,
    after: Option<OrderKey>,
}

impl Wanted {
    /// Wants every tick.
    pub(crate) const fn all(detail: Detail) -> Self {
        Self {
            symbols: None,
            source: None,
            from: Timestamp::MIN,
            to: Timestamp::MAX,
            order: Order::OldestFirst,
            detail,
        }
    }

    /// Gives how many ticks a chunk may have, with what each may hold.
    pub(crate) const fn chunk_max(&self) -> usize {
        match self.detail {
            Detail::Plain => CHUNK_PLAIN,
            Detail::WithMetadata => CHUNK_METADATA,
        }
    }
}

impl Walk {
    pub(crate) fn new(mut wanted: Wanted) -> Self {
        let symbols = wanted.symbols.take().map(VecDeque::from);
        Self { wanted, symbols, after: None }
    }

    /// Reads the next ticks, at most so many; none at the end.
    ///
    /// All are of one moment, which is over before this answers: whoever writes them somewhere may take his time.
    pub(crate) fn read(
        &mut self,
        visit: &mut Visit,
        limit: usize,
    ) -> Result<Vec<VisitedTick>, StoreError> {
        let mut ticks: Vec<VisitedTick> = Vec::new();
        if self.wanted.from > self.wanted.to
            || self.symbols.as_ref().is_some_and(VecDeque::is_empty)
        {
            return Ok(ticks);
        }
        let moment = visit.moment()?;
        let symbols = match &mut self.symbols {
            Some(symbols) => symbols,
            unknown => unknown.insert(moment.names()?.symbols.into()),
        };
        while let Some(symbol) = symbols.front()
            && ticks.len() < limit
        {
            let missing = limit - ticks.len();
            let page = moment.ticks(&self.wanted.range(*symbol, self.after, missing))?;
            self.after = page.last().map(|tick| tick.stored.key());
            if page.len() < missing {
                symbols.pop_front();
                self.after = None;
            }
            ticks.extend(page);
        }
        Ok(ticks)
    }
}

impl Wanted {
    const fn range(&self, symbol: Symbol, after: Option<OrderKey>, limit: usize) -> TickRange {
        let Self { source, from, to, order, detail, .. } = *self;
        TickRange { symbol, source, from, to, after, order, limit, detail }
    }
}
