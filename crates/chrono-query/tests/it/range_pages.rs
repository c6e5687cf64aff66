//! Pages join to the whole, in both orders, with and without gaps, against rows worked out by hand.

use chrono_domain::{Arrival, Interval, StoredTick, Timestamp};
use chrono_query::{Gaps, PAGE_METADATA_BYTES_MAX, PricedBucket, QueryError, RangeQuery};
use chrono_storage::{Detail, Order};
use proptest::prelude::*;

use crate::house::{House, at, block_on, source, symbol, tick_of, with_metadata};

const NOW: &str = "2025-10-09T12:34:56.789Z";
const SECOND: i64 = 1_000_000;

/// A tick: seconds before now, source, price and volume in cents.
type Row = (i64, bool, u32, Option<u32>);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (-4_i64..3_000, any::<bool>(), 1_u32..1_000, prop::option::of(0_u32..500));
    prop::collection::vec(row, 0..40)
}

fn ago(seconds: i64) -> Timestamp {
    Timestamp::from_micros(at(NOW).micros() - seconds * SECOND).unwrap()
}

fn cents(units: u32) -> String {
    format!("{}.{:02}", units / 100, units % 100)
}

async fn house_of(rows: &[Row]) -> House {
    let house = House::new(NOW);
    for (seconds, first, price, volume) in rows {
        let (name, volume) = (if *first { "a" } else { "b" }, volume.map(cents));
        let tick = tick_of("BTC/USD", name, ago(*seconds), &cents(*price), volume.as_deref());
        house.post(tick).await;
    }
    // So that no question is about an unknown symbol.
    house.post(tick_of("BTC/USD", "c", ago(80 * 86_400), "5.00", None)).await;
    house
}

/// One question about a span of some minutes.
#[derive(Debug, Clone)]
struct Asked {
    from: i64,
    to: i64,
    interval: Interval,
    gaps: Gaps,
    of_one: bool,
    limit: usize,
}

fn asked() -> impl Strategy<Value = Asked> {
    let interval =
        prop::sample::select(vec![Interval::M1, Interval::M5, Interval::M15, Interval::H1]);
    let gaps = prop::sample::select(vec![Gaps::Skip, Gaps::Fill]);
    (0_i64..3_600, -200_i64..2_000, interval, gaps, any::<bool>(), 1_usize..9).prop_map(
        |(span, to, interval, gaps, of_one, limit)| Asked {
            from: to + span,
            to,
            interval,
            gaps,
            of_one,
            limit,
        },
    )
}

impl Asked {
    fn query(&self, order: Order) -> RangeQuery {
        RangeQuery {
            source: self.of_one.then(|| source("a")),
            from: Some(ago(self.from)),
            to: Some(ago(self.to)),
            order,
            ..RangeQuery::of(symbol("BTC/USD"))
        }
    }

    async fn whole(&self, house: &House, order: Order) -> Vec<PricedBucket> {
        let query = RangeQuery { limit: Some(10_000), ..self.query(order) };
        let page = house.fresh.candles(&query, self.interval, self.gaps).await.unwrap();
        assert_eq!(page.next_cursor, None);
        page.rows
    }

    async fn pages(&self, house: &House, order: Order) -> Vec<PricedBucket> {
        let mut query = RangeQuery { limit: Some(self.limit), ..self.query(order) };
        let mut rows = Vec::new();
        loop {
            let page = house.fresh.candles(&query, self.interval, self.gaps).await.unwrap();
            assert!(page.rows.len() <= self.limit);
            assert!(page.next_cursor.is_none() || page.rows.len() == self.limit);
            rows.extend(page.rows);
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                return rows;
            }
        }
    }

    /// Works the rows out from the posted ones: bucket, open, high, low, close, volume, count.
    fn expected(&self, posted: &[Row]) -> Vec<(Timestamp, [u32; 4], Option<u32>, u64)> {
        let mut ticks: Vec<_> = posted
            .iter()
            .enumerate()
            .filter(|(_, (_, first, ..))| *first || !self.of_one)
            .map(|(arrival, row)| (ago(row.0), arrival, row.2, row.3))
            .collect();
        if !self.of_one {
            ticks.push((ago(80 * 86_400), usize::MAX, 500, None));
        }
        ticks.sort_unstable();
        let (from, to) = (ago(self.from), ago(self.to));
        let last = self.interval.bucket(to.min(at(NOW)));
        let mut start = self.interval.bucket(from);
        let mut found = Vec::new();
        while start <= to {
            let end = self.interval.bucket_end(start);
            let inside: Vec<_> = ticks
                .iter()
                .filter(|tick| tick.0 >= start.max(from) && tick.0 < end && tick.0 <= to)
                .collect();
            let before = ticks.iter().rev().find(|tick| tick.0 < start.max(from));
            if let (Some(open), Some(close)) = (inside.first(), inside.last()) {
                let prices = || inside.iter().map(|tick| tick.2);
                let volumes: Vec<u32> = inside.iter().filter_map(|tick| tick.3).collect();
                let volume = (!volumes.is_empty()).then(|| volumes.iter().sum());
                let (high, low) = (prices().max().unwrap(), prices().min().unwrap());
                let figures = [open.2, high, low, close.2];
                found.push((start, figures, volume, inside.len() as u64));
            } else if let Some(before) = before
                && self.gaps == Gaps::Fill
                && start <= last
            {
                found.push((start, [before.2; 4], None, 0));
            }
            start = end;
        }
        found
    }
}

fn figures(row: &PricedBucket) -> (Timestamp, [u32; 4], Option<u32>, u64) {
    let cents = |text: String| text.replace('.', "").parse::<u32>().unwrap();
    let prices = [row.open, row.high, row.low, row.close].map(|price| cents(price.to_string()));
    (row.start, prices, row.volume.map(|volume| cents(volume.to_string())), row.num_feeds)
}

proptest! {
    #[test]
    fn candles_equal_rows_worked_out_by_hand(posted in rows(), asked in asked()) {
        let house = block_on(house_of(&posted));
        let found = block_on(asked.whole(&house, Order::OldestFirst));
        let figures: Vec<_> = found.iter().map(figures).collect();
        prop_assert_eq!(figures, asked.expected(&posted));
    }

    #[test]
    fn pages_of_candles_join_to_the_whole_in_both_orders(posted in rows(), asked in asked()) {
        let house = block_on(house_of(&posted));
        let whole = block_on(asked.whole(&house, Order::OldestFirst));
        prop_assert_eq!(&block_on(asked.pages(&house, Order::OldestFirst)), &whole);
        let mut backward = block_on(asked.pages(&house, Order::NewestFirst));
        prop_assert_eq!(&block_on(asked.whole(&house, Order::NewestFirst)), &backward);
        backward.reverse();
        prop_assert_eq!(backward, whole);
    }

    #[test]
    fn pages_of_ticks_join_to_the_whole_in_both_orders(posted in rows(), asked in asked()) {
        let house = block_on(house_of(&posted));
        let read = |limit, order| block_on(async {
            let mut query = RangeQuery { limit: Some(limit), ..asked.query(order) };
            let mut rows = Vec::new();
            loop {
                let page = house.fresh.ticks(&query, Detail::Plain).await.unwrap();
                rows.extend(page.rows.iter().map(|stored| stored.arrival));
                query.cursor = page.next_cursor;
                if query.cursor.is_none() {
                    break rows;
                }
            }
        });
        let whole: Vec<Arrival> = read(10_000, Order::OldestFirst);
        prop_assert_eq!(&read(asked.limit, Order::OldestFirst), &whole);
        let mut backward = read(asked.limit, Order::NewestFirst);
        backward.reverse();
        prop_assert_eq!(backward, whole);
    }

    #[test]
    fn a_range_split_anywhere_holds_what_the_whole_holds(
        posted in rows(),
        asked in asked(),
        cut in any::<prop::sample::Index>(),
    ) {
        let house = block_on(house_of(&posted));
        let asked = Asked { gaps: Gaps::Skip, ..asked };
        let cut = asked.to + i64::try_from(cut.index(3_600)).unwrap() % (asked.from - asked.to + 1);
        let rows = |query: RangeQuery| {
            block_on(house.fresh.candles(&query, asked.interval, Gaps::Skip)).unwrap().rows
        };
        let query = asked.query(Order::OldestFirst);
        let before = Timestamp::from_micros(ago(cut).micros() - 1).unwrap();
        let older = if before < ago(asked.from) {
            Vec::new()
        } else {
            rows(RangeQuery { to: Some(before), ..query.clone() })
        };
        let newer = rows(RangeQuery { from: Some(ago(cut)), ..query.clone() });
        let mut joined: Vec<_> = older.iter().map(figures).collect();
        for row in newer.iter().map(figures) {
            match joined.last_mut().filter(|last| last.0 == row.0) {
                Some((_, [_, high, low, close], volume, count)) => {
                    let (_, [_, row_high, row_low, row_close], row_volume, row_count) = row;
                    (*high, *low, *close) = ((*high).max(row_high), (*low).min(row_low), row_close);
                    *volume = match (*volume, row_volume) {
                        (Some(left), Some(right)) => Some(left + right),
                        (left, right) => left.or(right),
                    };
                    *count += row_count;
                }
                None => joined.push(row),
            }
        }
        prop_assert_eq!(joined, rows(query).iter().map(figures).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_cursor_goes_on_with_the_ends_of_its_first_page() {
    let house = house_of(&[(10, true, 1, None), (20, true, 2, None)]).await;
    let first = RangeQuery { limit: Some(1), ..RangeQuery::of(symbol("BTC/USD")) };
    let page = house.kept.ticks(&first, Detail::Plain).await.unwrap();
    house.advance_ms(24 * 3_600_000);
    let next = RangeQuery { cursor: page.next_cursor, ..first };
    let page = house.kept.ticks(&next, Detail::Plain).await.unwrap();
    assert_eq!(page.rows[0].tick.price.to_string(), "0.02");
    assert_eq!(page.next_cursor, None);
}

#[tokio::test]
async fn a_cursor_of_another_question_is_refused() {
    let house = house_of(&[(10, true, 1, None), (20, true, 2, None)]).await;
    let first = RangeQuery { limit: Some(1), ..RangeQuery::of(symbol("BTC/USD")) };
    let page = house.kept.ticks(&first, Detail::Plain).await.unwrap();
    let next = RangeQuery { cursor: page.next_cursor, ..first };
    assert!(house.kept.ticks(&next, Detail::Plain).await.is_ok());
    let others = [
        RangeQuery { symbol: symbol("ETH/USD"), ..next.clone() },
        RangeQuery { source: Some(source("a")), ..next.clone() },
        RangeQuery { order: Order::OldestFirst, ..next.clone() },
        RangeQuery { from: Some(ago(60)), ..next.clone() },
        RangeQuery { to: Some(ago(0).minus(std::time::Duration::from_micros(1))), ..next.clone() },
        RangeQuery { cursor: Some("00".into()), ..next.clone() },
        RangeQuery { cursor: Some(String::new()), ..next.clone() },
    ];
    let refused = |error| matches!(error, QueryError::Invalid { field: "cursor", .. });
    for other in others {
        assert!(refused(house.kept.ticks(&other, Detail::Plain).await.unwrap_err()), "{other:?}");
    }
    assert!(refused(house.kept.ticks(&next, Detail::WithMetadata).await.unwrap_err()));
    assert!(refused(house.kept.candles(&next, Interval::M1, Gaps::Skip).await.unwrap_err()));
    let same_ends =
        RangeQuery { from: Some(ago(86_400)), to: Some(ago(0)), limit: Some(7), ..next };
    assert!(house.kept.ticks(&same_ends, Detail::Plain).await.is_ok());
}

#[tokio::test]
async fn a_page_of_large_metadata_ends_early_and_the_next_goes_on() {
    const ROWS: i64 = 600;
    let large = format!("{{\"x\":\"{}\"}}", "y".repeat(4_088));
    let house = House::new(NOW);
    for row in 0..ROWS {
        let tick = tick_of("BTC/USD", "a", ago(ROWS - row), "1.00", None);
        // Some are small, so that pages do not end where portions do.
        let metadata = if row % 3 == 0 { "{}" } else { &large };
        house.post(with_metadata(tick, metadata)).await;
    }
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let mut query =
            RangeQuery { order, limit: Some(10_000), ..RangeQuery::of(symbol("BTC/USD")) };
        let whole = house.fresh.ticks(&query, Detail::Plain).await.unwrap();
        assert_eq!((whole.rows.len(), whole.next_cursor), (600, None));
        let mut joined = Vec::new();
        loop {
            let page = house.fresh.ticks(&query, Detail::WithMetadata).await.unwrap();
            let bytes: usize = page
                .rows
                .iter()
                .map(|row| row.tick.metadata.as_ref().unwrap().as_str().len())
                .sum();
            assert!(bytes < PAGE_METADATA_BYTES_MAX + 4_096, "{bytes} bytes");
            assert!(page.next_cursor.is_none() || bytes >= PAGE_METADATA_BYTES_MAX);
            joined.extend(page.rows.into_iter().map(|row| row.key()));
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                break;
            }
        }
        assert_eq!(joined, whole.rows.iter().map(StoredTick::key).collect::<Vec<_>>());
    }
}
