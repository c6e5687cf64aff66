//! Snapshots: a list of revisions for each symbol and time.

use chrono_domain::{Symbol, Timestamp};

use super::ModelStore;
use crate::{Snapshot, SnapshotStore, StoreError};

#[async_trait::async_trait]
impl SnapshotStore for ModelStore {
    async fn put_snapshots(&self, snapshots: Vec<Snapshot>) -> Result<u64, StoreError> {
        self.commit_whole(|state| {
            let mut changes = 0;
            for new in snapshots {
                let revisions = state.snapshots.entry((new.symbol, new.at)).or_default();
                if revisions.last().is_some_and(|newest| says_the_same(newest, &new)) {
                    continue;
                }
                let revision = u32::try_from(revisions.len()).unwrap_or(u32::MAX);
                revisions.push(Snapshot { revision, ..new });
                changes += 1;
            }
            Ok(changes)
        })
        .await
    }

    async fn snapshot(
        &self,
        symbol: Symbol,
        at: Timestamp,
    ) -> Result<Option<Snapshot>, StoreError> {
        self.read(|state| state.snapshots.get(&(symbol, at))?.last().cloned()).await
    }

    async fn snapshot_times(
        &self,
        symbol: Symbol,
        from: Timestamp,
        to: Timestamp,
        limit: usize,
    ) -> Result<Vec<Timestamp>, StoreError> {
        self.read(|state| {
            let times = state.snapshots.keys().filter(|(held, _)| *held == symbol);
            let within = times.map(|(_, at)| *at).filter(|at| (from..=to).contains(at));
            within.take(limit).collect()
        })
        .await
    }
}

fn says_the_same(left: &Snapshot, right: &Snapshot) -> bool {
    let right =
        Snapshot { revision: left.revision, computed_at: left.computed_at, ..right.clone() };
    *left == right
}
