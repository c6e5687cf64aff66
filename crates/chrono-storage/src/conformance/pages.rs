//! Whole answers, read page by page.

use chrono_domain::StoredTick;

use crate::{Bucket, CandleRange, DelegationRange, Store, StoredDelegation, TickRange};

/// More than any case stores; pages that come to so much repeat themselves.
const ITEMS_MAX: usize = 10_000;

/// Reads every tick of a range in pages of its limit.
pub(super) async fn ticks(store: &dyn Store, range: &TickRange) -> Vec<StoredTick> {
    let read = async |last: Option<&StoredTick>| {
        let page = TickRange { after: last.map(StoredTick::key), ..range.clone() };
        store.ticks(&page).await.unwrap()
    };
    join(range.limit, read).await
}

/// Reads every candle of a range in pages of its limit.
pub(super) async fn candles(store: &dyn Store, range: &CandleRange) -> Vec<Bucket> {
    let read = async |last: Option<&Bucket>| {
        let page = CandleRange { after: last.map(|bucket| bucket.start), ..range.clone() };
        store.candles(&page).await.unwrap()
    };
    join(range.limit, read).await
}

/// Reads every delegation of a range in pages of its limit.
pub(super) async fn delegations(
    store: &dyn Store,
    range: &DelegationRange,
) -> Vec<StoredDelegation> {
    let read = async |last: Option<&StoredDelegation>| {
        let after = last.map(|stored| (stored.delegation.timestamp, stored.id));
        store.delegations(&DelegationRange { after, ..range.clone() }).await.unwrap()
    };
    join(range.limit, read).await
}

async fn join<T>(limit: usize, read: impl AsyncFn(Option<&T>) -> Vec<T>) -> Vec<T> {
    let mut joined = Vec::new();
    loop {
        let page = read(joined.last()).await;
        assert!(page.len() <= limit, "a page holds more than was asked for");
        let ended = page.is_empty() || limit == usize::MAX;
        joined.extend(page);
        if ended {
            return joined;
        }
        assert!(joined.len() < ITEMS_MAX, "pages repeat themselves");
    }
}
