//! What a caller that leaves a read behind costs those who wait.

use std::num::NonZeroUsize;
use std::time::Duration;

use chrono_domain::SystemClock;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::*;

const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

#[tokio::test]
async fn a_read_whose_caller_left_frees_its_reader() {
    let dir = tempfile::tempdir().unwrap();
    let readers = NonZeroUsize::MIN;
    let settings = Settings { readers, ..Settings::new(dir.path().join("chrono.db")) };
    let (store, mut lanes) = SqliteStore::open(settings, &SystemClock::new()).unwrap();
    let reader = lanes.readers.remove(0);
    // Not in a scope: a read that never ended would keep the test from failing.
    let thread = std::thread::Builder::new().spawn(move || reader.run()).unwrap();

    let (begins, begun) = oneshot::channel();
    let endless = store.read(move |snapshot| {
        begins.send(()).unwrap();
        Ok(snapshot.query_row(ENDLESS, [], |row| row.get::<_, i64>(0))?)
    });
    tokio::select! {
        count = endless => panic!("{count:?}"),
        begun = begun => begun.unwrap(),
    }
    let stats = timeout(Duration::from_secs(30), store.stats()).await.expect("a free reader");
    assert_eq!(stats.unwrap().ticks, 0);
    store.close();
    thread.join().unwrap();
}
