//! Cutting a file into batches, the same ones at every run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono_client::Feed;

use super::Run;
use super::run_id::file_tag;

/// Longest time that a tick waits for others of its batch in a paced replay.
const WINDOW: Duration = Duration::from_millis(100);
/// Size at which a batch is full, whatever its count: half of what the gateway takes in one body.
const BATCH_BYTES: usize = 512 << 10;

/// Ticks of one file and one lane, in the file's order.
#[derive(Debug)]
pub struct Batch {
    /// The idempotency key.
    pub key: String,
    /// The ticks.
    pub feeds: Vec<Feed>,
    /// Where they stand.
    pub origin: Origin,
    /// When to post, counted from the start of the replay: the time of the last tick.
    pub due: Duration,
    bytes: usize,
    first_due: Duration,
}

/// Where the ticks of a batch stand.
#[derive(Debug)]
pub struct Origin {
    file: Arc<str>,
    lines: Vec<u64>,
}

/// Cuts the ticks of one file into batches, one open batch per lane.
///
/// Where a batch ends depends on the run and the file alone, never on the clock: so a resumed run makes the same.
#[derive(Debug)]
pub struct Batcher<'a> {
    run: &'a Run,
    file: Arc<str>,
    tag: String,
    open: Vec<Option<Batch>>,
}

impl Origin {
    /// Names a feed's place, or the batch's first line.
    pub fn place(&self, index: Option<usize>) -> String {
        let line = self.lines.get(index.unwrap_or(0)).or(self.lines.first());
        format!("{}:{}", self.file, line.copied().unwrap_or(0))
    }
}

impl<'a> Batcher<'a> {
    /// Starts a file, named by its path as given; `identity` is the same for each spelling of the path.
    pub fn new(run: &'a Run, file: &str, identity: &Path) -> Self {
        let open = std::iter::repeat_with(|| None).take(run.lanes).collect();
        Self { run, file: file.into(), tag: file_tag(identity), open }
    }

    /// Takes the tick of line `row`; gives the batches that are complete now, with their lanes.
    pub fn push(&mut self, row: u64, feed: Feed, due: Duration) -> Vec<(usize, Batch)> {
        let mut complete = self.close(|batch| due.saturating_sub(batch.first_due) > WINDOW);
        let lane = self.run.lane(&feed.symbol);
        let Some(open) = self.open.get_mut(lane) else { return complete };
        let batch = open.get_or_insert_with(|| Batch {
            key: self.run.key(&self.tag, row),
            feeds: Vec::with_capacity(self.run.batch),
            origin: Origin { file: Arc::clone(&self.file), lines: Vec::new() },
            due,
            bytes: 0,
            first_due: due,
        });
        batch.bytes += text_bytes(&feed);
        batch.feeds.push(feed);
        batch.origin.lines.push(row);
        batch.due = due;
        if batch.feeds.len() >= self.run.batch || batch.bytes >= BATCH_BYTES {
            complete.extend(open.take().map(|batch| (lane, batch)));
        }
        complete
    }

    /// Ends the file; gives what is left, with the lanes.
    pub fn finish(mut self) -> Vec<(usize, Batch)> {
        self.close(|_batch| true)
    }

    fn close(&mut self, done: impl Fn(&Batch) -> bool) -> Vec<(usize, Batch)> {
        let lanes = self.open.iter_mut().enumerate();
        lanes.filter_map(|(lane, open)| Some((lane, open.take_if(|batch| done(batch))?))).collect()
    }
}

fn text_bytes(feed: &Feed) -> usize {
    let metadata = feed.metadata.as_ref().map_or(0, |metadata| metadata.get().len());
    let texts = [&feed.symbol, &feed.price, &feed.source, &feed.timestamp];
    metadata + texts.iter().map(|text| text.len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn run(batch: usize, lanes: usize) -> Run {
        Run { nonce: 7, batch, lanes, speed: super::super::Speed::Max, shift_micros: 0 }
    }

    fn feed(symbol: &str, metadata: usize) -> Feed {
        let metadata = format!("\"{}\"", "x".repeat(metadata));
        Feed {
            symbol: symbol.to_owned(),
            price: "1".to_owned(),
            volume: None,
            source: "s".to_owned(),
            timestamp: "t".to_owned(),
            metadata: Some(RawValue::from_string(metadata).unwrap()),
        }
    }

    /// Pushes (symbol, due in ms) rows as lines 1, 2, …
    fn cut(run: &Run, rows: &[(u8, u64)]) -> Vec<(usize, Batch)> {
        let mut cutter = Batcher::new(run, "a.ndjson", Path::new("/a.ndjson"));
        let mut batches = Vec::new();
        for (line, (symbol, due)) in (1..).zip(rows) {
            let feed = feed(&format!("S{symbol}/USD"), 0);
            batches.extend(cutter.push(line, feed, Duration::from_millis(*due)));
        }
        batches.extend(cutter.finish());
        batches
    }

    #[test]
    fn a_batch_ends_with_its_count_and_with_the_file() {
        let batches = cut(&run(3, 1), &[(0, 0); 7]);
        let lines: Vec<&[u64]> =
            batches.iter().map(|(_lane, batch)| batch.origin.lines.as_slice()).collect();
        assert_eq!(lines, [&[1, 2, 3][..], &[4, 5, 6], &[7]]);
        let place = batches[1].1.origin.place(Some(2));
        assert_eq!(
            (place.as_str(), batches[1].1.origin.place(None)),
            ("a.ndjson:6", "a.ndjson:4".to_owned())
        );
    }

    #[test]
    fn a_paced_batch_ends_with_its_window_in_every_lane() {
        let rows = [(0, 0), (1, 10), (0, 100), (0, 101), (0, 150)];
        let due: Vec<u128> =
            cut(&run(100, 1), &rows).iter().map(|(_lane, batch)| batch.due.as_millis()).collect();
        assert_eq!(due, [100, 150]);
        let many = run(100, 64);
        assert_ne!(many.lane("S0/USD"), many.lane("S1/USD"));
        let mut batcher = Batcher::new(&many, "a", Path::new("a"));
        assert!(batcher.push(1, feed("S0/USD", 0), Duration::ZERO).is_empty());
        let complete = batcher.push(2, feed("S1/USD", 0), Duration::from_millis(101));
        assert_eq!(complete.len(), 1, "the other lane's batch does not wait for its own next tick");
    }

    #[test]
    fn a_batch_ends_before_its_body_is_too_large() {
        let run = run(100, 1);
        let mut batcher = Batcher::new(&run, "a", Path::new("a"));
        let sizes: Vec<usize> = (1..=64)
            .flat_map(|line| batcher.push(line, feed("A/B", 60_000), Duration::ZERO))
            .map(|(_lane, batch)| serde_json::to_vec(&batch.feeds).unwrap().len())
            .collect();
        assert!(sizes.len() >= 5 && sizes.iter().all(|&size| size < 1 << 20), "{sizes:?}");
    }

    proptest! {
        #[test]
        fn every_row_is_in_one_batch_in_order_under_a_key_of_its_own(
            rows in prop::collection::vec((0_u8..6, 0_u64..500), 0..200),
            batch in 1_usize..20,
            lanes in 1_usize..8,
        ) {
            let mut rows = rows;
            rows.sort_by_key(|&(_symbol, due)| due);
            let run = run(batch, lanes);
            let batches = cut(&run, &rows);
            let mut keys = HashSet::new();
            let mut last_line: HashMap<usize, u64> = HashMap::new();
            let mut seen = 0;
            for (lane, batch) in &batches {
                prop_assert!(keys.insert(batch.key.clone()));
                prop_assert!(batch.feeds.len() <= run.batch);
                for (feed, &line) in batch.feeds.iter().zip(&batch.origin.lines) {
                    prop_assert_eq!(run.lane(&feed.symbol), *lane);
                    prop_assert!(last_line.insert(*lane, line).is_none_or(|last| last < line));
                    seen += 1;
                }
            }
            prop_assert_eq!(seen, rows.len());
            let again: HashSet<String> =
                cut(&run, &rows).into_iter().map(|(_lane, batch)| batch.key).collect();
            prop_assert_eq!(keys, again);
        }
    }
}
