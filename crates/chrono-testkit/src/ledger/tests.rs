//! Every kind of broken promise is planted once and must be seen, and nothing else with it.

use serde_json::value::RawValue;

use super::readback::{CandlesSeen, Readback, WindowSeen};
use super::recount::{Interval, recount};
use super::*;
use chrono_client::{RangeCandle, RangeTick};

/// A minute of 2025.
const NOON: i64 = 1_760_011_200_000_000;

fn feed(price: &str, at: i64) -> SentFeed {
    SentFeed {
        symbol: "A/B".to_owned(),
        source: "s".to_owned(),
        at: NOON + at,
        price: price.to_owned(),
        volume: Some("0.50".to_owned()),
        metadata: Some(r#"{"a":"1"}"#.to_owned()),
    }
}

fn batch(key: Option<&str>, feeds: Vec<SentFeed>) -> SentBatch {
    SentBatch { worker: "w".to_owned(), key: key.map(str::to_owned), feeds }
}

fn stored(refused: &[usize]) -> Answer {
    Answer::Stored { refused: refused.to_vec(), repeated: false }
}

/// Three batches in a row, ties among them; the third is without key and answer.
fn scene() -> (tempfile::TempDir, Ledger) {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::create(&dir.path().join("ledger")).unwrap();
    let first = batch(Some("1"), vec![feed("1.5", 0), feed("2.5", 7), feed("9.5", 8)]);
    let first = ledger.sending(first).unwrap();
    ledger.answered(first, stored(&[2])).unwrap();
    let second =
        ledger.sending(batch(Some("2"), vec![feed("3.5", 7), feed("4.50", 90_000_000)])).unwrap();
    ledger.answered(second, Answer::Unknown).unwrap();
    ledger.sending_again(second).unwrap();
    ledger.answered(second, Answer::Stored { refused: vec![], repeated: true }).unwrap();
    let third = batch(None, vec![feed("5.5", 90_000_001), feed("6.5", 90_000_002)]);
    let third = ledger.sending(third).unwrap();
    ledger.answered(third, Answer::Unknown).unwrap();
    (dir, ledger)
}

/// What a gateway that keeps its promises gives back when it stored these prices.
fn honest(book: &Book, prices: &[&str]) -> Readback {
    let feeds: Vec<SentFeed> = prices
        .iter()
        .map(|price| book.feed(book.place(price).unwrap()).unwrap().1.clone())
        .collect();
    let ticks = feeds.iter().map(tick).collect();
    let candles = Interval::ALL.map(|interval| CandlesSeen {
        interval,
        source: None,
        candles: recount(interval, feeds.iter())
            .unwrap()
            .into_iter()
            .map(RangeCandle::from)
            .collect(),
    });
    let window = book.whole_windows().remove(0);
    let latest = prices.last().map(|price| ("A/B".to_owned(), (*price).to_owned()));
    Readback {
        windows: vec![WindowSeen { window, ticks, candles: candles.into() }],
        latest: latest.into_iter().collect(),
        whole: true,
    }
}

fn tick(feed: &SentFeed) -> RangeTick {
    RangeTick {
        timestamp: rfc3339(feed.at, if feed.at % 1_000 == 0 { 3 } else { 6 }),
        price: feed.price.clone(),
        volume: feed.volume.clone(),
        source: feed.source.clone(),
        metadata: feed.metadata.clone().map(|json| RawValue::from_string(json).unwrap()),
    }
}

const ALL: [&str; 6] = ["1.5", "2.5", "3.5", "4.50", "5.5", "6.5"];

/// Demands one kind of fault, so often, and no other.
fn assert_only(verdict: &Verdict, wrong: Wrong, count: u64) {
    let mut expected = Verdict::default();
    (0..count).for_each(|_| expected.note(wrong, String::new));
    assert_eq!(verdict.counts(), expected.counts(), "{verdict}");
}

fn ticks(seen: &mut Readback) -> &mut Vec<RangeTick> {
    &mut seen.windows[0].ticks
}

#[test]
fn finds_nothing_wrong_with_an_honest_gateway() {
    let (dir, ledger) = scene();
    for (prices, there) in [(&ALL[..], true), (&ALL[..4], false)] {
        let verdict = ledger.book().judge(&honest(ledger.book(), prices));
        assert!(verdict.is_clean(), "{verdict}");
        assert_eq!(verdict.found, [(2, there)]);
        assert_eq!(verdict.feeds, prices.len() as u64);
    }
    let again = Book::read(&dir.path().join("ledger")).unwrap();
    assert!(again.judge(&honest(&again, &ALL)).is_clean());
    assert_eq!(again.lines(), ledger.book().lines());
}

#[test]
fn sees_a_lost_batch_and_a_torn_one() {
    let (_dir, ledger) = scene();
    let mut seen = honest(ledger.book(), &["1.5", "2.5", "5.5", "6.5"]);
    seen.windows[0].candles.clear();
    assert_only(&ledger.book().judge(&seen), Wrong::Lost, 2);
    let torn = ledger.book().judge(&honest(ledger.book(), &ALL[..5]));
    assert_only(&torn, Wrong::Torn, 1);
    assert!(torn.found.is_empty());
}

#[test]
fn sees_what_is_there_twice_or_was_never_sent() {
    let (_dir, ledger) = scene();
    let mut seen = honest(ledger.book(), &ALL);
    let last = ticks(&mut seen).last().unwrap().clone();
    ticks(&mut seen).push(last);
    assert_only(&ledger.book().judge(&seen), Wrong::Duplicate, 1);
    ticks(&mut seen).last_mut().unwrap().price = "6.50".to_owned();
    assert_only(&ledger.book().judge(&seen), Wrong::Phantom, 1);
}

#[test]
fn sees_what_should_not_be_there() {
    let (_dir, mut ledger) = scene();
    let mut seen = honest(ledger.book(), &ALL);
    let refused = tick(&feed("9.5", 8));
    ticks(&mut seen).insert(3, refused);
    assert_only(&ledger.book().judge(&seen), Wrong::Ghost, 1);
    ledger.found(2, false).unwrap();
    let back = ledger.book().judge(&honest(ledger.book(), &ALL));
    assert_eq!(back.count(Wrong::Ghost), 2, "{back}");
}

#[test]
fn sees_a_digit_that_changed() {
    let (_dir, ledger) = scene();
    let changes: [fn(&mut RangeTick); 4] = [
        |tick| tick.volume = Some("0.5".to_owned()),
        |tick| tick.timestamp = rfc3339(NOON, 6),
        |tick| tick.source = "t".to_owned(),
        |tick| tick.metadata = None,
    ];
    for change in changes {
        let mut seen = honest(ledger.book(), &ALL);
        change(&mut ticks(&mut seen)[0]);
        assert_only(&ledger.book().judge(&seen), Wrong::Altered, 1);
    }
}

#[test]
fn sees_ties_in_an_order_that_cannot_be() {
    let (_dir, ledger) = scene();
    let mut seen = honest(ledger.book(), &ALL);
    seen.windows[0].candles.clear();
    // The first batch was answered before the second was sent.
    ticks(&mut seen).swap(1, 2);
    assert_only(&ledger.book().judge(&seen), Wrong::Misordered, 1);
    ticks(&mut seen).swap(1, 2);
    // Later before earlier.
    ticks(&mut seen).swap(3, 4);
    assert_only(&ledger.book().judge(&seen), Wrong::Misordered, 1);
}

#[test]
fn sees_a_wrong_candle_and_a_missing_one() {
    let (_dir, ledger) = scene();
    let changes: [fn(&mut Vec<RangeCandle>); 4] = [
        |candles| candles[0].volume = Some("1.5".to_owned()),
        |candles| candles[0].close = "2.5".to_owned(),
        |candles| candles[1].num_feeds += 1,
        |candles| drop(candles.pop()),
    ];
    for change in changes {
        let mut seen = honest(ledger.book(), &ALL);
        change(&mut seen.windows[0].candles[0].candles);
        assert_only(&ledger.book().judge(&seen), Wrong::Candle, 1);
    }
}

#[test]
fn sees_a_stale_latest_price_and_one_that_goes_back() {
    let (_dir, mut ledger) = scene();
    let mut seen = honest(ledger.book(), &ALL);
    seen.latest.insert("A/B".to_owned(), "5.5".to_owned());
    assert_only(&ledger.book().judge(&seen), Wrong::Stale, 1);
    let seen = honest(ledger.book(), &ALL);
    // The second batch is acknowledged; then 6.5 is shown, and 5.5 after it; then a price that is gone; then none.
    for (shown, faults) in [("4.50", 0), ("6.5", 0), ("6.5", 0), ("5.5", 1), ("9.5", 2), ("", 3)] {
        let asked = ledger.book().lines();
        let prices = Some(("A/B".to_owned(), shown.to_owned())).filter(|_| !shown.is_empty());
        ledger.saw(Sighting { asked, prices: prices.into_iter().collect() }).unwrap();
        assert_only(&ledger.book().judge(&seen), Wrong::Regressed, faults);
    }
}

#[test]
fn sees_an_acknowledged_tick_that_is_not_shown() {
    let (_dir, mut ledger) = scene();
    let asked = ledger.book().lines();
    let prices = [("A/B".to_owned(), "2.5".to_owned())].into();
    ledger.saw(Sighting { asked, prices }).unwrap();
    assert_only(&ledger.book().judge(&honest(ledger.book(), &ALL)), Wrong::Regressed, 1);
}

#[test]
fn sees_what_came_on_a_stream_before_it_was_stored() {
    let (_dir, mut ledger) = scene();
    let seen = honest(ledger.book(), &ALL);
    for (streamed, faults) in [(["1.5", "2.5"], 0), (["1.5", "1.5"], 1), (["9.5", "7.5"], 3)] {
        ledger.followed(streamed.map(str::to_owned).to_vec()).unwrap();
        assert_only(&ledger.book().judge(&seen), Wrong::Early, faults);
    }
}

#[test]
fn sees_a_key_that_was_forgotten() {
    let (_dir, mut ledger) = scene();
    ledger.sending_again(0).unwrap();
    ledger.answered(0, stored(&[2])).unwrap();
    assert_only(&ledger.book().judge(&honest(ledger.book(), &ALL)), Wrong::StoredAnew, 1);
}

#[test]
fn refuses_a_price_that_was_sent_before() {
    let (_dir, mut ledger) = scene();
    assert!(ledger.sending(batch(None, vec![feed("1.5", 3)])).is_err());
    assert!(ledger.sending_again(2).is_err());
}
