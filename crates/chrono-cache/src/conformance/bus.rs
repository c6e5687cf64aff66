//! Cases of [`Bus`].

use std::ops::RangeInclusive;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use chrono_domain::{Seq, Timestamp};
use tokio::time::timeout;

use super::sample::ticks;
use crate::{Bus, BusEntry, BusRead};

/// How long a wait may take that must end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Within an epoch ticks get the numbers 1, 2, 3 … in the order of the calls; the head is the newest, zero at first.
pub async fn ticks_are_numbered_from_one_without_holes(bus: &dyn Bus) {
    let epoch = bus.epoch();
    assert_eq!(bus.head(), Seq(0));
    for (arrivals, last) in [(10..=12, 3), (20..=20, 4), (30..=31, 6)] {
        assert_eq!(publish(bus, arrivals).await, Seq(last));
        assert_eq!(bus.head(), Seq(last));
    }
    let read = read_to(bus, Seq(0), Seq(6)).await;
    let expected = [(1, 10), (2, 11), (3, 12), (4, 20), (5, 30), (6, 31)];
    assert_eq!(read, expected);
    assert_eq!(bus.epoch(), epoch);
}

/// Publishing no ticks publishes nothing, and answers the head.
pub async fn publishing_no_ticks_publishes_nothing(bus: &dyn Bus) {
    let nothing = RangeInclusive::new(1, 0);
    assert_eq!(publish(bus, nothing.clone()).await, Seq(0));
    publish(bus, 1..=2).await;
    assert_eq!(publish(bus, nothing).await, Seq(2));
    assert_eq!((bus.head(), waits(bus, Seq(2))), (Seq(2), true));
}

/// Publishes at the same time are numbered one after the other, the ticks of each together.
pub async fn publishes_at_the_same_time_are_numbered_one_after_the_other(bus: &dyn Bus) {
    let (first, second, third) =
        tokio::join!(publish(bus, 10..=14), publish(bus, 20..=22), publish(bus, 30..=30));
    let read = read_to(bus, Seq(0), Seq(9)).await;
    for (last, arrivals) in [(first, 10..=14), (second, 20..=22), (third, 30..=30)] {
        let len = arrivals.clone().count() as u64;
        let expected: Vec<_> = (last.0 + 1 - len..=last.0).zip(arrivals.clone()).collect();
        let own: Vec<_> =
            read.iter().copied().filter(|(_, arrival)| arrivals.contains(arrival)).collect();
        assert_eq!(own, expected);
    }
}

/// A reader that reads after the last number it saw gets every tick exactly once, in order, with its commit's time.
pub async fn a_reader_gets_every_tick_once_in_order(bus: &dyn Bus) {
    let mut seen = Vec::new();
    for round in 0..20_u64 {
        let first = round * 10 + 1;
        publish(bus, first..=first + round % 4).await;
        if round % 3 == 0 {
            let after = seen.last().map_or(Seq(0), |(seq, _)| Seq(*seq));
            seen.extend(read_to(bus, after, bus.head()).await);
        }
    }
    let after = seen.last().map_or(Seq(0), |(seq, _)| Seq(*seq));
    seen.extend(read_to(bus, after, bus.head()).await);
    let published = (0..20).flat_map(|round| round * 10 + 1..=round * 10 + 1 + round % 4);
    let expected: Vec<_> = (1..).zip(published).collect();
    assert_eq!(seen, expected);
    let BusRead::Entries(entries) = read(bus, Seq(0)).await else { unreachable!() };
    assert!(entries.iter().all(|entry| entry.published_at == Timestamp::MAX));
}

/// A reader may go on after any number, also one inside an entry.
pub async fn a_reader_may_go_on_inside_an_entry(bus: &dyn Bus) {
    publish(bus, 1..=5).await;
    publish(bus, 6..=8).await;
    let whole = read_to(bus, Seq(0), Seq(8)).await;
    for after in 0..8_u64 {
        let rest: Vec<_> = whole.iter().copied().filter(|(seq, _)| *seq > after).collect();
        assert_eq!(read_to(bus, Seq(after), Seq(8)).await, rest);
    }
}

/// A read waits while nothing follows, and wakes at the next publish, also one after a number not reached yet.
pub async fn a_read_waits_and_wakes_at_the_next_publish(bus: &dyn Bus) {
    assert!(waits(bus, Seq(0)));
    let (woken, _) = tokio::join!(read(bus, Seq(0)), publish(bus, 1..=2));
    assert_eq!(numbered(woken), [(1, 1), (2, 2)]);
    assert!(waits(bus, Seq(2)) && waits(bus, Seq(3)));
    let later = async {
        publish(bus, 3..=3).await;
        tokio::task::yield_now().await;
        publish(bus, 4..=4).await;
    };
    let (woken, ()) = tokio::join!(read(bus, Seq(3)), later);
    assert_eq!(numbered(woken), [(4, 4)]);
}

/// Dropping the future of a read loses nothing, before and after something was published.
pub async fn dropping_a_read_loses_nothing(bus: &dyn Bus) {
    {
        let mut dropped = pin!(bus.read(Seq(0)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(dropped.as_mut().poll(&mut context).is_pending());
        publish(bus, 1..=3).await;
    }
    drop(read(bus, Seq(0)).await);
    assert_eq!(read_to(bus, Seq(0), Seq(3)).await, [(1, 1), (2, 2), (3, 3)]);
}

/// Readers do not take from each other: each gets everything.
pub async fn readers_do_not_take_from_each_other(bus: &dyn Bus) {
    let (one, other, _) = tokio::join!(read(bus, Seq(0)), read(bus, Seq(0)), publish(bus, 1..=3));
    assert_eq!(numbered(one), [(1, 1), (2, 2), (3, 3)]);
    assert_eq!(numbered(other), [(1, 1), (2, 2), (3, 3)]);
}

/// A reader too far behind learns what it lost, and goes on from there without a hole.
pub async fn a_reader_too_far_behind_learns_what_it_lost(bus: &dyn Bus, history_ticks: usize) {
    let total = 3 * history_ticks as u64 + 7;
    for first in (1..=total).step_by(3) {
        publish(bus, first..=total.min(first + 2)).await;
    }
    let BusRead::Lost(lost) = read(bus, Seq(0)).await else {
        unreachable!("{total} ticks are held")
    };
    assert!(lost > Seq(0) && lost < Seq(total), "{lost:?} of {total}");
    let held = read_to(bus, lost, Seq(total)).await;
    let expected: Vec<_> = (lost.0 + 1..=total).map(|seq| (seq, seq)).collect();
    assert_eq!(held, expected);
    let before = Seq(lost.0 - 1);
    assert!(matches!(read(bus, before).await, BusRead::Lost(again) if again == lost));
}

/// Publishing never waits for readers that have stalled.
pub async fn publishing_never_waits_for_readers(bus: &dyn Bus, history_ticks: usize) {
    let mut stalled = pin!(bus.read(Seq(0)));
    let mut context = Context::from_waker(Waker::noop());
    assert!(stalled.as_mut().poll(&mut context).is_pending());
    let total = 2 * history_ticks as u64 + 1;
    for arrival in 1..=total {
        publish(bus, arrival..=arrival).await;
    }
    assert_eq!(bus.head(), Seq(total));
    match timeout(PATIENCE, stalled).await.unwrap().unwrap() {
        BusRead::Lost(lost) => assert!(lost < Seq(total), "nothing is left to read"),
        begun @ BusRead::Entries(_) => assert_eq!(numbered(begun).first(), Some(&(1, 1))),
    }
}

/// Every sequence has an epoch of its own.
pub fn every_sequence_has_an_epoch_of_its_own(one: &dyn Bus, other: &dyn Bus) {
    assert_ne!(one.epoch(), other.epoch());
}

async fn publish(bus: &dyn Bus, arrivals: RangeInclusive<u64>) -> Seq {
    let published = bus.publish(ticks(arrivals), Timestamp::MAX);
    timeout(PATIENCE, published).await.unwrap().unwrap()
}

async fn read(bus: &dyn Bus, after: Seq) -> BusRead {
    timeout(PATIENCE, bus.read(after)).await.unwrap().unwrap()
}

/// Reads what follows a number up to another, as (number, arrival).
async fn read_to(bus: &dyn Bus, after: Seq, to: Seq) -> Vec<(u64, u64)> {
    let mut joined: Vec<(u64, u64)> = Vec::new();
    let mut seen = after;
    while seen < to {
        joined.extend(numbered(read(bus, seen).await));
        let last = joined.last().map(|(seq, _)| Seq(*seq));
        assert!(last > Some(seen), "nothing was read after {seen:?}");
        seen = last.unwrap();
    }
    joined
}

fn numbered(read: BusRead) -> Vec<(u64, u64)> {
    let BusRead::Entries(entries) = read else { unreachable!("{read:?}") };
    assert!(!entries.is_empty());
    assert!(entries.iter().all(|entry| !entry.ticks.is_empty()));
    assert!(entries.is_sorted_by(|entry, next| entry.last().next() == next.first));
    let of_entry = |entry: &BusEntry| {
        let arrivals: Vec<_> = entry.ticks.iter().map(|stored| stored.arrival.0).collect();
        (entry.first.0..).zip(arrivals)
    };
    entries.iter().flat_map(|entry| of_entry(entry)).collect()
}

/// Tells whether a read after a number waits.
fn waits(bus: &dyn Bus, after: Seq) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    pin!(bus.read(after)).poll(&mut context).is_pending()
}
