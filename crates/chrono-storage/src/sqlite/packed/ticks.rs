//! Pages of ticks: column by column, so that rows of one symbol take some eight bytes each.
//!
//! After the head (whether metadata lies beside, number of rows, unit of time, kinds, wide integers) come the columns: time of the tick, arrival,
//! kind, price, volume, time from tick to gateway. Times are counted in the largest of 1 s, 1 ms and 1 µs that fits
//! all. A price or volume whose integer needs more than 63 bits is kept apart by its row, so that a single one does
//! not widen its column.

use std::ops::Range;

use chrono_domain::{Arrival, OrderKey, Price, Volume};

use super::column::{self, BLOCK, Column, PLACES, Places};
use super::cursor::{Cursor, put_unsigned, put_wide};
use super::kinds::{self, Entry, Kind, Kinds};
use super::seal::{self, Format};
use super::{Damage, Row, values};

/// Microseconds that times of a page may be whole multiples of.
const UNITS: [i64; 3] = [1_000_000, 1_000, 1];
/// Least bytes of a wide integer: whose it is, and at least nine of its own.
const WIDE_BYTES_MIN: usize = 10;
/// Bytes of a row, roughly, to make room for.
const ROW_BYTES: usize = 12;

mod window;

const DISORDER: Damage = Damage("rows that are not in order");

/// Whose a wide integer is: twice the row's index, and one more for the volume.
type Owner = u64;

/// A page whose checksum and heads are right and whose rows are still packed.
#[derive(Debug)]
pub(in super::super) struct Page<'a> {
    beside: Beside,
    len: usize,
    unit: i64,
    kinds: Vec<Entry>,
    wide: Vec<(Owner, u128)>,
    times: Column<'a>,
    arrivals: Column<'a>,
    delays: Column<'a>,
    numbers: Column<'a>,
    prices: Column<'a>,
    volumes: Column<'a>,
}

/// What belongs to a page of ticks and is stored beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in super::super) enum Beside {
    /// Nothing: no row has metadata.
    Nothing = 0,
    /// A page of metadata.
    Metadata = 1,
}

/// Packs rows of one symbol, sorted by key.
pub(in super::super) fn encode(rows: &[Row], beside: Beside) -> Vec<u8> {
    debug_assert!(rows.is_sorted_by(|a, b| a.key < b.key), "rows are sorted by key");
    let mut out = seal::begin(Format::Ticks, rows.len() * ROW_BYTES);
    out.push(beside as u8);
    put_unsigned(&mut out, rows.len() as u64);
    let unit = unit_of(rows);
    put_unsigned(&mut out, unit.cast_unsigned());
    let numbers = Numbers::of(rows);
    numbers.kinds.put(&mut out);
    put_unsigned(&mut out, numbers.wide.len() as u64);
    for (owner, integer) in &numbers.wide {
        put_unsigned(&mut out, *owner);
        put_wide(&mut out, *integer);
    }
    let column = |value: &dyn Fn(&Row) -> i64| rows.iter().map(value).collect::<Vec<_>>();
    let times = column(&|row| row.key.timestamp.micros() / unit);
    let arrivals = column(&|row| row.key.arrival.0.cast_signed());
    let delays = column(&|row| row.ingested_at.micros() - row.key.timestamp.micros());
    for values in [times, arrivals, delays, numbers.kind, numbers.price, numbers.volume] {
        column::encode(&mut out, &values);
    }
    seal::finish(out)
}

/// Gives the largest unit that all times are whole multiples of.
fn unit_of(rows: &[Row]) -> i64 {
    let fits = |unit: &&i64| rows.iter().all(|row| row.key.timestamp.micros() % **unit == 0);
    UNITS.iter().find(fits).copied().unwrap_or(1)
}

/// What the columns of kinds, prices and volumes hold.
#[derive(Debug, Default)]
struct Numbers {
    kinds: Kinds,
    wide: Vec<(Owner, u128)>,
    kind: Vec<i64>,
    price: Vec<i64>,
    volume: Vec<i64>,
}

impl Numbers {
    fn of(rows: &[Row]) -> Self {
        let room = || Vec::with_capacity(rows.len());
        let mut numbers = Self { kind: room(), price: room(), volume: room(), ..Self::default() };
        for (row, owner) in rows.iter().zip((0..).step_by(2)) {
            numbers.push(row, owner);
        }
        numbers
    }

    fn push(&mut self, row: &Row, owner: Owner) {
        let mantissa = values::mantissa(row.price);
        let (kind, start) = self.kinds.number(row, i64::try_from(mantissa).unwrap_or_default());
        let price = self.narrow(owner, mantissa, start);
        self.kind.push(kind);
        self.price.push(price.wrapping_sub(start));
        // Where there is none, the one before: it widens no block.
        let before = self.volume.last().copied().unwrap_or_default();
        let size = row.volume.map(|volume| self.narrow(owner + 1, values::size(volume), before));
        self.volume.push(size.unwrap_or(before));
    }

    /// Gives an integer for its column, or what stands there instead of a wide one.
    fn narrow(&mut self, owner: Owner, integer: u128, instead: i64) -> i64 {
        i64::try_from(integer).unwrap_or_else(|_wide| {
            self.wide.push((owner, integer));
            instead
        })
    }
}

impl<'a> Page<'a> {
    /// Checks a blob's checksum and heads.
    ///
    /// # Errors
    /// [`Damage`].
    pub(in super::super) fn open(blob: &'a [u8]) -> Result<Self, Damage> {
        let mut cursor = Cursor::new(seal::open(Format::Ticks, blob)?);
        let beside = match cursor.byte()? {
            0 => Beside::Nothing,
            1 => Beside::Metadata,
            _ => return Err(Damage("something unknown beside it")),
        };
        // Each block of each column has two bytes at least.
        let len = cursor.unsigned().map(|len| usize::try_from(len).unwrap_or(usize::MAX))?;
        if len / BLOCK > cursor.left() {
            return Err(Damage("more rows than bytes"));
        }
        let unit = cursor.unsigned()?.cast_signed();
        if !UNITS.contains(&unit) {
            return Err(Damage("an unknown unit of time"));
        }
        let kinds = kinds::read(&mut cursor)?;
        let wide = (0..cursor.count(WIDE_BYTES_MIN)?)
            .map(|_| Ok((cursor.unsigned()?, cursor.wide()?)))
            .collect::<Result<_, Damage>>()?;
        let mut column = || Column::open(&mut cursor, len);
        let [times, arrivals, delays] = [column()?, column()?, column()?];
        let [numbers, prices, volumes] = [column()?, column()?, column()?];
        cursor.end()?;
        Ok(Self {
            beside,
            len,
            unit,
            kinds,
            wide,
            times,
            arrivals,
            delays,
            numbers,
            prices,
            volumes,
        })
    }

    /// Tells what is stored beside it.
    pub(in super::super) const fn beside(&self) -> Beside {
        self.beside
    }

    /// Gives how many rows there are.
    pub(in super::super) const fn len(&self) -> usize {
        self.len
    }

    /// Decodes the places of all rows, growing.
    ///
    /// # Errors
    /// [`Damage`].
    pub(in super::super) fn keys(&self) -> Result<Vec<OrderKey>, Damage> {
        let mut keys = Vec::with_capacity(self.len);
        let (mut times, mut arrivals) = (PLACES, PLACES);
        for block in 0..self.len.div_ceil(BLOCK) {
            let times = self.times.decode(block, &mut times);
            for (time, arrival) in times.iter().zip(self.arrivals.decode(block, &mut arrivals)) {
                keys.push(self.key(*time, *arrival)?);
            }
        }
        if keys.is_sorted_by(|a, b| a < b) { Ok(keys) } else { Err(DISORDER) }
    }

    /// Decodes the rows of a range of indices, of one source or all, in order; what lies past the end is left out.
    ///
    /// # Errors
    /// [`Damage`].
    pub(in super::super) fn rows(
        &self,
        range: Range<usize>,
        source_id: Option<u32>,
    ) -> Result<Vec<(usize, Row)>, Damage> {
        let range = range.start..range.end.min(self.len);
        let mut rows = Vec::with_capacity(if source_id.is_none() { range.len() } else { 0 });
        let mut places = [PLACES; 6];
        for block in range.start / BLOCK..range.end.div_ceil(BLOCK) {
            self.decode(block, &mut places, (&range, source_id), &mut rows)?;
        }
        Ok(rows)
    }

    /// Appends what is wanted of one block.
    fn decode(
        &self,
        block: usize,
        places: &mut [Places; 6],
        (range, source_id): (&Range<usize>, Option<u32>),
        rows: &mut Vec<(usize, Row)>,
    ) -> Result<(), Damage> {
        let [times, arrivals, delays, numbers, prices, volumes] = places;
        let numbers = self.numbers.decode(block, numbers);
        let is_wanted = |number: &u64| {
            source_id.is_none_or(|wanted| {
                self.kind(*number).is_ok_and(|(kind, _)| kind.source_id == wanted)
            })
        };
        if !numbers.iter().any(is_wanted) {
            return Ok(());
        }
        let times = self.times.decode(block, times).iter();
        let keys = times.zip(self.arrivals.decode(block, arrivals));
        let delays = self.delays.decode(block, delays).iter();
        let prices = self.prices.decode(block, prices).iter();
        let values = delays.zip(prices).zip(self.volumes.decode(block, volumes));
        let cells = numbers.iter().zip(keys).zip(values);
        for (index, ((number, (time, arrival)), ((delay, price), volume))) in
            (block * BLOCK..).zip(cells)
        {
            if !range.contains(&index) || !is_wanted(number) {
                continue;
            }
            let key = self.key(*time, *arrival)?;
            if rows.last().is_some_and(|(_, row)| row.key >= key) {
                return Err(DISORDER);
            }
            let (kind, start) = self.kind(*number)?;
            let price = self.price(index, price.wrapping_add(start.cast_unsigned()), *kind)?;
            let volume = self.volume(index, *volume, *kind)?;
            let ingested_at = key.timestamp.micros().wrapping_add(delay.cast_signed());
            let ingested_at = values::time(ingested_at)?;
            let Kind { source_id, worker_id, .. } = *kind;
            rows.push((index, Row { key, source_id, worker_id, price, volume, ingested_at }));
        }
        Ok(())
    }

    fn price(&self, index: usize, narrow: u64, kind: Kind) -> Result<Price, Damage> {
        values::price(self.integer(2 * index as u64, narrow), kind.price_scale)
    }

    fn volume(&self, index: usize, narrow: u64, kind: Kind) -> Result<Option<Volume>, Damage> {
        let Some(scale) = kind.volume_scale.checked_sub(1) else { return Ok(None) };
        values::volume(self.integer(2 * index as u64 + 1, narrow), scale).map(Some)
    }

    fn kind(&self, number: u64) -> Result<&Entry, Damage> {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        self.kinds.get(index).ok_or(Damage("a row of no kind"))
    }

    /// Gives the integer of a price or volume: from its column, unless it is wide.
    fn integer(&self, owner: Owner, narrow: u64) -> u128 {
        if self.wide.is_empty() {
            return narrow.into();
        }
        let wide = self.wide.binary_search_by_key(&owner, |(owner, _)| *owner).ok();
        wide.and_then(|at| self.wide.get(at)).map_or(narrow.into(), |(_, integer)| *integer)
    }

    fn key(&self, time: u64, arrival: u64) -> Result<OrderKey, Damage> {
        let timestamp = values::time(time.cast_signed().wrapping_mul(self.unit))?;
        Ok(OrderKey { timestamp, arrival: Arrival(arrival) })
    }
}
