//! What batches that wait take of the process, whatever was refused of them.
//!
//! Memory is looked at in a process of its own: this test binary again, running one test in a directory that holds a plan.

use std::process::Command;
use std::{env, fs, process};

use chrono_testkit::{resident_kib, scratch};

use super::*;

/// What they may hold together.
const BYTES: usize = 8 << 20;
/// What the process comes to take beside it: what was read of a batch, and what an allocator keeps.
const BESIDE_KIB: u64 = 16 << 10;
/// The file that tells the process to fill the queue.
const PLAN: &str = "fill-the-queue";

/// A feed of a time that is too far ahead, or not, with 4 KiB of metadata.
fn feed(at: &str) -> String {
    let metadata = format!("{{\"a\":\"{}\"}}", "x".repeat(4_000));
    format!(
        r#"{{"symbol":"A/B","price":"1","source":"s","timestamp":"{at}","metadata":{metadata}}}"#
    )
}

#[tokio::test]
async fn the_process_whose_queue_is_full() {
    if !fs::exists(PLAN).unwrap() {
        return;
    }
    let mut feeds = vec![feed("2025-10-09T13:00:00Z"); 99];
    feeds.push(feed("2025-10-09T12:34:56Z"));
    let body = format!(
        r#"{{"worker_id":"w","timestamp":"2025-10-09T12:34:56Z","feeds":[{}]}}"#,
        feeds.join(",")
    );
    let house = house(IngestSettings { queue_bytes: BYTES, ..IngestSettings::default() }).await;
    let before = resident_kib(process::id()).unwrap();
    let mut waiting = JoinSet::new();
    while waiting.try_join_next().is_none() {
        let batch = ParsedBatch::parse(&mut body.clone().into_bytes(), now()).unwrap();
        let ingest = Arc::clone(&house.ingest);
        waiting.spawn(async move { ingest.submit(batch, None).await });
        tokio::task::yield_now().await;
    }
    let taken = resident_kib(process::id()).unwrap().saturating_sub(before);
    println!("{} batches wait and take {taken} KiB", house.ingest.waiting());
    assert!(house.ingest.waiting() > 100);
    assert!(taken <= (BYTES as u64 >> 10) + BESIDE_KIB, "{taken} KiB taken");
}

#[tokio::test]
async fn a_receipt_that_is_kept_with_its_key_takes_no_more_than_its_length() {
    let house = house(IngestSettings::default()).await;
    for refused in 0..100 {
        let prices = [vec!["1"], vec!["x"; refused]].concat();
        {
            let mut sent =
                std::pin::pin!(house.ingest.submit(batch("A/B", &prices), Some(key("k"))));
            let poll = poll_fn(|context| Poll::Ready(sent.as_mut().poll(context))).await;
            assert!(poll.is_pending());
        }
        let job = house.writer.jobs.lock().await.try_recv().unwrap();
        let NewBatch { receipt, .. } = Arc::into_inner(job.batch).unwrap();
        let length = receipt.len();
        let room = receipt.try_into_mut().unwrap().capacity();
        assert!(refused == 0 || length > 100 * refused, "{length} bytes of {refused}");
        assert!(room <= length + 8, "{room} bytes of room for {length}");
    }
}

#[test]
fn what_was_refused_of_a_batch_does_not_wait_with_it() {
    let dir = scratch().unwrap();
    fs::write(dir.path().join(PLAN), "").unwrap();
    let test = "writer::tests::waiting::the_process_whose_queue_is_full";
    let mut run = Command::new(env::current_exe().unwrap());
    let ended = run.args(["--exact", test, "--nocapture"]).current_dir(dir.path()).output();
    let ended = ended.unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && said.contains("batches wait"), "{said}");
}
