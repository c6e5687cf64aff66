//! The market's promises: the same for the same seed, always possible, never too tame.

use std::collections::{HashMap, HashSet};

use chrono_domain::{Price, Tick, Volume};
use proptest::prelude::*;

use super::super::SYMBOLS;
use super::*;

fn market(seed: u64, exchanges: usize, rate: u32) -> Market {
    let symbols: Vec<Symbol> =
        SYMBOLS.iter().map(|symbol| Symbol::try_new(symbol).unwrap()).collect();
    Market::new(seed, exchanges, &symbols, rate)
}

fn steps(market: &mut Market, steps: usize) -> Vec<Vec<Vec<Quote>>> {
    (0..steps).map(|_step| market.step()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_same_seed_gives_the_same_ticks(seed: u64) {
        let ticks = steps(&mut market(seed, 3, 25), 100);
        prop_assert_eq!(&ticks, &steps(&mut market(seed, 3, 25), 100));
        prop_assert_ne!(&ticks, &steps(&mut market(seed.wrapping_add(1), 3, 25), 100));
    }

    #[test]
    fn every_tick_is_one_that_a_gateway_takes(seed: u64, rate in 1_u32..200) {
        let begun = Timestamp::parse_rfc3339("2025-10-09T12:00:00Z").unwrap();
        let source = Source::try_new("sim-a").unwrap();
        for quote in steps(&mut market(seed, 2, rate), 50).into_iter().flatten().flatten() {
            prop_assert!(quote.bid.units > 0 && quote.bid.units < quote.ask.units);
            prop_assert!(quote.price == quote.bid || quote.price == quote.ask);
            prop_assert!(quote.volume.units > 0);
            let feed = quote.feed(source, begun);
            let tick = Tick::try_new(
                Symbol::try_new(&feed.symbol).unwrap(),
                Source::try_new(&feed.source).unwrap(),
                Price::try_new(&feed.price).unwrap(),
                feed.volume.map(|volume| Volume::try_new(&volume).unwrap()),
                Timestamp::parse_rfc3339(&feed.timestamp).unwrap(),
            );
            prop_assert!(tick.is_ok());
        }
    }

    #[test]
    fn spreads_between_exchanges_stay_below_a_tenth_of_a_percent(seed: u64) {
        let mut market = market(seed, 4, 100);
        for step in steps(&mut market, 50) {
            let mut range: HashMap<(Symbol, u32), (u64, u64)> = HashMap::new();
            for quote in step.into_iter().flatten() {
                let (low, high) = range
                    .entry((quote.symbol, quote.price.scale))
                    .or_insert((quote.bid.units, quote.ask.units));
                *low = (*low).min(quote.bid.units);
                *high = (*high).max(quote.ask.units);
            }
            for (low, high) in range.into_values() {
                // Two offsets of 150 and two half spreads of 60 millionths, and a unit of rounding at either end.
                prop_assert!(high - low <= 2 + low / 1_000, "{low} to {high}");
            }
        }
    }
}

#[test]
fn the_rate_is_kept_also_when_steps_do_not_divide_it() {
    for rate in [1, 7, 10, 33] {
        let mut market = market(7, 1, rate);
        let mut counts: Vec<usize> = Vec::new();
        for _second in 0..30 {
            counts.push(steps(&mut market, 10).into_iter().flatten().flatten().count());
        }
        let full = usize::try_from(rate).unwrap();
        assert!(
            counts.contains(&full) && counts.iter().all(|&count| count <= full + 1),
            "{counts:?}"
        );
    }
}

#[test]
fn offsets_and_trade_numbers_grow() {
    let mut market = market(7, 2, 300);
    let mut last = [0_u64; 2];
    for step in steps(&mut market, 20) {
        for (last, quotes) in last.iter_mut().zip(step) {
            assert!(quotes.is_sorted_by_key(|quote| quote.offset));
            assert!(quotes.iter().all(|quote| quote.offset < STEP));
            for quote in quotes {
                *last += 1;
                assert_eq!(quote.trade, *last);
            }
        }
    }
}

#[test]
fn exchanges_fall_silent_for_some_seconds_and_come_back() {
    let mut market = market(7, 3, 100);
    let mut silences: Vec<usize> = Vec::new();
    let mut running = [0_usize; 3];
    for step in steps(&mut market, 20_000) {
        for (running, quotes) in running.iter_mut().zip(step) {
            if quotes.is_empty() {
                *running += 1;
            } else if *running > 0 {
                silences.push(std::mem::take(running));
            }
        }
    }
    assert!(silences.len() > 20, "{} silences in 100 minutes of exchange time", silences.len());
    assert!(silences.iter().all(|steps| (30..=100).contains(steps)), "{silences:?}");
}

#[test]
fn every_symbol_is_traded_and_a_market_without_symbols_is_silent() {
    let traded: HashSet<Symbol> = steps(&mut market(7, 1, 100), 50)
        .into_iter()
        .flatten()
        .flatten()
        .map(|quote| quote.symbol)
        .collect();
    assert_eq!(traded.len(), SYMBOLS.len());
    assert_eq!(Market::new(7, 1, &[], 100).step(), [Vec::new()]);
}
