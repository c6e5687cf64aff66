//! What of a statement the table does itself: conditions on names and times, and the order.

use std::ffi::c_int;

use chrono_domain::{Source, Symbol, Timestamp};
use chrono_storage::{Detail, Order};
use rusqlite::types::ValueRef;
use rusqlite::vtab::{Filters, IndexConstraintOp as Operator, IndexInfo};

use crate::instant;
use crate::walk::Wanted;

/// The columns, as the statement that declares the table numbers them.
pub(crate) mod column {
    use std::ffi::c_int;

    pub(crate) const ID: c_int = 0;
    pub(crate) const SYMBOL: c_int = 1;
    pub(crate) const PRICE: c_int = 2;
    pub(crate) const VOLUME: c_int = 3;
    pub(crate) const TIMESTAMP: c_int = 4;
    pub(crate) const SOURCE: c_int = 5;
    pub(crate) const INGESTED_AT: c_int = 6;
    pub(crate) const WORKER_ID: c_int = 7;
    pub(crate) const METADATA: c_int = 8;
}

/// Rows that a scan without conditions is reckoned to have; only to compare plans by.
const ROWS: u32 = 100_000_000;
/// What a plan's number says besides its conditions.
const NEWEST_FIRST: c_int = 1 << 8;
const WITH_METADATA: c_int = 1 << 9;

/// A condition that narrows what is read; SQLite checks each row once more, so that too much may be read, never too
/// little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Symbol,
    Source,
    At,
    From,
    To,
}

impl Condition {
    /// All, in the order of their values.
    const ALL: [Self; 5] = [Self::Symbol, Self::Source, Self::At, Self::From, Self::To];

    const fn bit(self) -> c_int {
        1 << self as c_int
    }

    /// Gives which part of the rows is reckoned to meet it.
    const fn share(self) -> u32 {
        match self {
            Self::Symbol => 100,
            Self::Source => 4,
            Self::At => 10_000,
            Self::From | Self::To => 10,
        }
    }

    fn find(column: c_int, operator: &Operator) -> Option<Self> {
        use Operator as O;
        match (column, operator) {
            (column::SYMBOL, O::SQLITE_INDEX_CONSTRAINT_EQ) => Some(Self::Symbol),
            (column::SOURCE, O::SQLITE_INDEX_CONSTRAINT_EQ) => Some(Self::Source),
            (column::TIMESTAMP, O::SQLITE_INDEX_CONSTRAINT_EQ) => Some(Self::At),
            (column::TIMESTAMP, O::SQLITE_INDEX_CONSTRAINT_GE | O::SQLITE_INDEX_CONSTRAINT_GT) => {
                Some(Self::From)
            }
            (column::TIMESTAMP, O::SQLITE_INDEX_CONSTRAINT_LE | O::SQLITE_INDEX_CONSTRAINT_LT) => {
                Some(Self::To)
            }
            _ => None,
        }
    }
}

/// Chooses what the table does itself, and tells SQLite.
pub(crate) fn choose(info: &mut IndexInfo) -> rusqlite::Result<()> {
    let places = conditions(info)?;
    let (mut number, mut rows, mut values) = (0, ROWS, 0);
    for condition in Condition::ALL {
        let place = places.iter().find(|(found, _)| *found == condition);
        let Some((_, place)) = place else { continue };
        values += 1;
        info.constraint_usage(*place).set_argv_index(values);
        number |= condition.bit();
        rows /= condition.share();
    }
    if let Some(order) = order(info, number & Condition::Symbol.bit() != 0) {
        info.set_order_by_consumed(info.num_of_order_by() > 0);
        number |= if order == Order::NewestFirst { NEWEST_FIRST } else { 0 };
    }
    if info.col_used() & (1 << column::METADATA) != 0 {
        number |= WITH_METADATA;
    }
    let rows = rows.max(1);
    info.set_estimated_rows(rows.into());
    info.set_estimated_cost(rows.into());
    info.set_idx_num(number);
    Ok(())
}

/// Finds conditions that can be used, with their places; at most one of a kind is used.
fn conditions(info: &IndexInfo) -> rusqlite::Result<Vec<(Condition, usize)>> {
    let mut found = Vec::new();
    for (place, constraint) in info.constraints().enumerate() {
        let condition = Condition::find(constraint.column(), &constraint.operator());
        // Under another collation more texts are equal.
        if let Some(condition) = condition
            && constraint.is_usable()
            && info.collation(place)? == "BINARY"
        {
            found.push((condition, place));
        }
    }
    Ok(found)
}

/// Tells in which order to read so that nothing needs sorting; none where it must be sorted.
fn order(info: &IndexInfo, is_one_symbol: bool) -> Option<Order> {
    let terms = info.order_bys().map(|term| (term.column(), term.is_order_by_desc()));
    let mut terms: Vec<(c_int, bool)> = terms.collect();
    if is_one_symbol {
        terms.retain(|(column, _)| *column != column::SYMBOL);
    } else if let Some((first, _)) = terms.split_first() {
        // Symbols are read by name.
        if *first != (column::SYMBOL, false) {
            return None;
        }
        terms.remove(0);
    }
    match terms.as_slice() {
        [] => Some(Order::OldestFirst),
        [(column::TIMESTAMP, desc)] => Some(direction(*desc)),
        [(column::TIMESTAMP, desc), (column::ID, same)] if desc == same => Some(direction(*desc)),
        _ => None,
    }
}

const fn direction(is_falling: bool) -> Order {
    if is_falling { Order::NewestFirst } else { Order::OldestFirst }
}

/// Makes of a plan and its values what to read.
pub(crate) fn wanted(number: c_int, values: &Filters<'_>) -> Wanted {
    let has_metadata = number & WITH_METADATA != 0;
    let detail = if has_metadata { Detail::WithMetadata } else { Detail::Plain };
    let order = direction(number & NEWEST_FIRST != 0);
    let mut wanted = Wanted { order, ..Wanted::all(detail) };
    let conditions = Condition::ALL.iter().filter(|condition| number & condition.bit() != 0);
    for (condition, value) in conditions.zip(values.iter()) {
        narrow(&mut wanted, *condition, value);
    }
    wanted
}

fn narrow(wanted: &mut Wanted, condition: Condition, value: ValueRef<'_>) {
    // Numbers become texts before they are compared: SQLite does that, and finds next to nothing.
    let ValueRef::Text(bytes) = value else { return };
    // No name and no time has other characters.
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match condition {
        Condition::Symbol => wanted.symbols = Some(Symbol::try_new(text).into_iter().collect()),
        Condition::Source => match Source::try_new(text) {
            Ok(source) => wanted.source = Some(source),
            Err(_no_source) => wanted.symbols = Some(Vec::new()),
        },
        Condition::At => {
            after(wanted, instant::first_not_below(text));
            before(wanted, instant::last_not_above(text));
        }
        Condition::From => after(wanted, instant::first_not_below(text)),
        Condition::To => before(wanted, instant::last_not_above(text)),
    }
}

fn after(wanted: &mut Wanted, from: Option<Timestamp>) {
    match from {
        Some(from) => wanted.from = wanted.from.max(from),
        None => wanted.symbols = Some(Vec::new()),
    }
}

fn before(wanted: &mut Wanted, to: Option<Timestamp>) {
    match to {
        Some(to) => wanted.to = wanted.to.min(to),
        None => wanted.symbols = Some(Vec::new()),
    }
}
