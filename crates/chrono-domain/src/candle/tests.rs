//! Merging against a fold that shares no code with it.

use std::str::FromStr;

use proptest::prelude::*;

use super::*;
use crate::{Arrival, Source, Symbol, Tick, Timestamp, Volume};

fn stored(arrival: u64, micros: i64, price: &str, volume: Option<&str>) -> StoredTick {
    let tick = Tick::try_new(
        Symbol::try_new("BTC/USD").unwrap(),
        Source::try_new("kraken").unwrap(),
        Price::try_new(price).unwrap(),
        volume.map(|text| Volume::try_new(text).unwrap()),
        Timestamp::from_micros(micros).unwrap(),
    );
    let ingested_at = Timestamp::from_micros(0).unwrap();
    StoredTick { tick: tick.unwrap(), arrival: Arrival(arrival), ingested_at }
}

fn fold(ticks: &[StoredTick]) -> Candle {
    let mut whole = None;
    for tick in ticks {
        Candle::merge_into(&mut whole, Candle::of(tick));
    }
    whole.unwrap()
}

#[test]
fn breaks_ties_of_a_timestamp_by_arrival() {
    let ticks = [stored(3, 5, "3", None), stored(1, 5, "1", None), stored(2, 5, "2", None)];
    let candle = fold(&ticks);
    assert_eq!((candle.open.to_string(), candle.close.to_string()), ("1".into(), "3".into()));
}

#[test]
fn has_no_volume_when_no_tick_has_one() {
    assert_eq!(fold(&[stored(1, 1, "1", None), stored(2, 2, "1", None)]).volume, None);
    let some = fold(&[stored(1, 1, "2", None), stored(2, 2, "3", Some("0.50"))]);
    assert_eq!(some.volume.unwrap().to_string(), "0.50");
    assert_eq!(some.notional.unwrap().to_string(), "1.50");
}

#[test]
fn weighs_prices_by_volume() {
    let vwap = |ticks: &[StoredTick]| fold(ticks).vwap().map(|price| price.to_string());
    let half = [stored(1, 1, "1.00", Some("1")), stored(2, 2, "2.00", Some("3"))];
    assert_eq!(vwap(&half).as_deref(), Some("1.75"));
    let third = [stored(1, 1, "1.00", Some("1")), stored(2, 2, "2.00", Some("2"))];
    assert_eq!(vwap(&third).as_deref(), Some("1.66666667"));
    let unsaid = [stored(1, 1, "1.00", Some("1")), stored(2, 2, "9.00", None)];
    assert_eq!(vwap(&unsaid).as_deref(), Some("1.00"));
    assert_eq!(vwap(&[stored(1, 1, "1.00", None)]), None);
    assert_eq!(vwap(&[stored(1, 1, "1.00", Some("0.00"))]), None);
}

prop_compose! {
    fn any_tick()(micros in 0_i64..6, price in 1_u32..9, scale in 0_usize..3, volume in prop::option::of(0_u32..50)) -> (i64, String, Option<String>) {
        let price = if scale == 0 { price.to_string() } else { format!("{price}.{}", "0".repeat(scale)) };
        (micros, price, volume.map(|units| format!("{}.{}", units / 10, units % 10)))
    }
}

proptest! {
    #[test]
    fn any_split_and_order_gives_the_candle_of_the_whole(
        rows in prop::collection::vec(any_tick(), 1..24),
        order in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let ticks: Vec<_> = rows.iter().enumerate()
            .map(|(arrival, (micros, price, volume))| stored(arrival as u64, *micros, price, volume.as_deref())).collect();
        let mut shuffled = ticks.clone();
        shuffled.rotate_left(order.index(ticks.len()));
        shuffled.reverse();
        let (left, right) = shuffled.split_at(cut.index(ticks.len()));
        let mut merged = fold(right);
        if !left.is_empty() {
            merged.merge(&fold(left));
        }

        let mut sorted = ticks.clone();
        sorted.sort_by_key(|tick| (tick.tick.timestamp, tick.arrival));
        let text = |tick: &StoredTick| tick.tick.price.to_string();
        prop_assert_eq!(merged.open.to_string(), text(sorted.first().unwrap()));
        prop_assert_eq!(merged.close.to_string(), text(sorted.last().unwrap()));
        let by_value = |tick: &&StoredTick| rust_decimal::Decimal::from_str(&text(tick)).unwrap();
        prop_assert_eq!(merged.high.decimal(), by_value(&sorted.iter().max_by_key(by_value).unwrap()));
        prop_assert_eq!(merged.low.decimal(), by_value(&sorted.iter().min_by_key(by_value).unwrap()));
        prop_assert_eq!(merged.count, ticks.len() as u64);
        let tenths: Vec<i64> = rows.iter().filter_map(|(_, _, volume)| volume.as_ref())
            .map(|text| text.replace('.', "").parse::<i64>().unwrap()).collect();
        let expected = (!tenths.is_empty()).then(|| { let sum: i64 = tenths.iter().sum(); format!("{}.{}", sum / 10, sum % 10) });
        prop_assert_eq!(merged.volume.map(|sum| sum.to_string()), expected);
        prop_assert_eq!(merged, fold(&ticks));
    }
}
