//! The late ticks whose consequences are not stored yet.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono_domain::{Symbol, Timestamp};

/// Spans kept apart per symbol; one more joins the two that are closest.
const SPANS_MAX: usize = 16;

/// Times of one symbol, both ends inclusive, whose consequences must be looked at again.
///
/// Consequences reach beyond the last moment. Once those up to it are dealt with, `from` lies after `to`: what is left
/// are the consequences at and after `from` of what changed up to `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateSpan {
    /// The symbol.
    pub symbol: Symbol,
    /// First moment that changed.
    pub from: Timestamp,
    /// Last moment that changed.
    pub to: Timestamp,
}

/// Times at which ticks came in behind the watermark, until somebody has dealt with them.
///
/// Per symbol at most 16 spans are kept, so memory is bounded by the number of symbols; joined spans hold
/// times between them that did not change, which costs whoever deals with them time and never truth. A span that was
/// taken stays pending until [`LateTicks::done`].
#[derive(Debug)]
pub struct LateTicks {
    watermark: AtomicI64,
    spans: Mutex<Spans>,
}

#[derive(Debug, Default)]
struct Spans {
    waiting: BTreeMap<Symbol, Vec<LateSpan>>,
    taken: Vec<LateSpan>,
    /// Whose spans were taken last.
    turn: Option<Symbol>,
    /// How many late ticks were ever noted.
    noted: BTreeMap<Symbol, u64>,
}

impl Default for LateTicks {
    /// Every tick is late until [`LateTicks::watch_from`] says otherwise.
    fn default() -> Self {
        Self { watermark: AtomicI64::new(i64::MAX), spans: Mutex::default() }
    }
}

impl LateTicks {
    /// Counts ticks of up to this time as late from now on.
    ///
    /// Call it before reading what the late ticks would change: a tick that is committed after the read is then noted.
    pub fn watch_from(&self, watermark: Timestamp) {
        self.watermark.store(watermark.micros(), Ordering::SeqCst);
    }

    /// Notes the time of a committed tick if it is late.
    pub fn note(&self, symbol: Symbol, at: Timestamp) {
        if at.micros() <= self.watermark.load(Ordering::SeqCst) {
            let mut spans = self.lock();
            *spans.noted.entry(symbol).or_default() += 1;
            spans.add(LateSpan { symbol, from: at, to: at });
        }
    }

    /// Gives how many late ticks of a symbol were ever noted; it grows before their consequences can be seen.
    pub fn noted(&self, symbol: &Symbol) -> u64 {
        self.lock().noted.get(symbol).copied().unwrap_or(0)
    }

    /// Adds a span, late or not.
    pub fn add(&self, span: LateSpan) {
        self.lock().add(span);
    }

    /// Tells whether anything from `from` to `to`, both inclusive, waits or was taken and is not done.
    pub fn is_pending(&self, symbol: &Symbol, from: Timestamp, to: Timestamp) -> bool {
        let spans = self.lock();
        let waiting = spans.waiting.get(symbol).into_iter().flatten();
        let taken = spans.taken.iter().filter(|span| span.symbol == *symbol);
        waiting.chain(taken).any(|span| span.from <= to && span.to >= from)
    }

    /// Takes the spans of one symbol, each symbol in turn; none when nothing waits.
    ///
    /// There is one taker. What it took before and never said to be done, say because it panicked, waits again.
    pub fn take(&self) -> Vec<LateSpan> {
        let mut spans = self.lock();
        let given_up = std::mem::take(&mut spans.taken);
        for span in given_up {
            spans.add(span);
        }
        let after = spans.turn.map_or(Bound::Unbounded, Bound::Excluded);
        let next = spans.waiting.range((after, Bound::Unbounded)).next();
        let symbol = next.or_else(|| spans.waiting.iter().next()).map(|(symbol, _)| *symbol);
        spans.turn = symbol;
        spans.taken = symbol.and_then(|symbol| spans.waiting.remove(&symbol)).unwrap_or_default();
        spans.taken.clone()
    }

    /// Says that what was taken is dealt with, but for the `rest`, which waits again.
    pub fn done(&self, rest: impl IntoIterator<Item = LateSpan>) {
        let mut spans = self.lock();
        spans.taken.clear();
        for span in rest {
            spans.add(span);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Spans> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spans {
    fn add(&mut self, span: LateSpan) {
        let held = self.waiting.entry(span.symbol).or_default();
        if held.iter().any(|held| held.from <= span.from && span.to <= held.to) {
            return;
        }
        let at = held.partition_point(|held| held.from < span.from);
        held.insert(at, span);
        if held.len() > SPANS_MAX {
            join_closest(held);
        }
    }
}

/// Joins the two neighbours with the smallest hole between them.
fn join_closest(spans: &mut Vec<LateSpan>) {
    let holes = spans.windows(2).enumerate().filter_map(|(idx, pair)| match pair {
        [left, right] => Some((right.from.since(left.to), idx)),
        _ => None,
    });
    let Some((_hole, idx)) = holes.min() else { return };
    let right = spans.remove(idx + 1);
    if let Some(left) = spans.get_mut(idx) {
        left.to = left.to.max(right.to);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros).unwrap()
    }

    fn symbol(text: &str) -> Symbol {
        Symbol::try_new(text).unwrap()
    }

    #[test]
    fn notes_what_lies_behind_the_watermark_only() {
        let (late, symbol) = (LateTicks::default(), symbol("A/B"));
        late.watch_from(at(100));
        late.note(symbol, at(101));
        assert!(!late.is_pending(&symbol, Timestamp::MIN, Timestamp::MAX));
        assert_eq!(late.noted(&symbol), 0);
        late.note(symbol, at(100));
        assert_eq!(late.noted(&symbol), 1);
        assert!(late.is_pending(&symbol, at(100), at(100)));
        assert!(!late.is_pending(&symbol, at(101), at(200)));
    }

    #[test]
    fn what_was_taken_stays_pending_until_it_is_done() {
        let (late, first, second) = (LateTicks::default(), symbol("A/B"), symbol("C/D"));
        late.note(first, at(5));
        late.note(second, at(6));
        assert_eq!(late.take(), [LateSpan { symbol: first, from: at(5), to: at(5) }]);
        assert!(late.is_pending(&first, at(5), at(5)));
        late.done([]);
        assert!(!late.is_pending(&first, at(5), at(5)));
        assert_eq!(late.take(), [LateSpan { symbol: second, from: at(6), to: at(6) }]);
        assert_eq!(late.take().len(), 1, "what was never done waits again");
        late.done([]);
        assert_eq!(late.take(), []);
    }

    #[test]
    fn a_symbol_with_much_left_does_not_hold_up_the_others() {
        let (late, first, second) = (LateTicks::default(), symbol("A/B"), symbol("C/D"));
        late.note(first, at(5));
        late.note(second, at(6));
        let symbols: Vec<_> = (0..4)
            .map(|_| {
                let taken = late.take();
                let symbol = taken.first().unwrap().symbol;
                late.done(taken);
                symbol
            })
            .collect();
        assert_eq!(symbols, [first, second, first, second]);
    }

    proptest! {
        #[test]
        fn keeps_few_spans_and_forgets_no_time(times in prop::collection::vec(0_i64..100_000, 1..80)) {
            let (late, symbol) = (LateTicks::default(), symbol("A/B"));
            for time in &times {
                late.note(symbol, at(*time));
            }
            for time in &times {
                prop_assert!(late.is_pending(&symbol, at(*time), at(*time)));
            }
            let spans = late.take();
            prop_assert!(spans.len() <= SPANS_MAX);
            prop_assert!(spans.iter().all(|span| span.from <= span.to));
        }
    }
}
