//! Large bodies whose few ticks wait for the store: the rest of them takes no memory meanwhile.

use std::io::{BufRead, BufReader, Write};
use std::pin::pin;
use std::process::{Child, Command, Stdio};

use futures_util::future::join_all;
use tokio::task::yield_now;

use crate::client::Client;
use crate::feeds::{INGEST, batch, feed, post_head};
use crate::service::Service;

/// Workers whose batches wait at once, each of a mebibyte that is mostly white space.
const WORKERS: usize = 64;
/// What the gateway may grow by meanwhile: less than half of their bodies.
const COST_KIB_MAX: u64 = 24 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_body_does_not_wait_with_its_batch() {
    // What is larger than that, glibc gives back at once.
    let service = Service::start_with(&[("MALLOC_MMAP_THRESHOLD_", "65536")]);
    let good = batch(&[feed("1")]);
    let large = format!("{good}{}", " ".repeat((1 << 20) - good.len()));
    assert_eq!(service.post_text(INGEST, &[], &large).ok()["ingested"], 1);
    let before_kib = service.gateway.resident_kib().unwrap();
    let mut holder = hold(&service);
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        let mut worker = Client::connect(service.gateway.address()).await;
        let length = large.len();
        worker.send(&format!("{}Content-Length: {length}\r\n\r\n{large}", post_head())).await;
        workers.push(worker);
    }
    let (first, others) = workers.split_first_mut().unwrap();
    let (mut answer, mut waiting_kib) = (pin!(first.answer(true)), 0);
    let waited = loop {
        tokio::select! {
            answer = &mut answer => break answer,
            () = yield_now() => waiting_kib = service.gateway.resident_kib().unwrap(),
        }
    };
    let cost_kib = waiting_kib.saturating_sub(before_kib);
    assert!(cost_kib < COST_KIB_MAX, "{cost_kib} KiB");
    assert_eq!(waited.status, 503, "{waited:?}");
    for answer in join_all(others.iter_mut().map(|worker| worker.answer(true))).await {
        assert_eq!(answer.status, 503, "{answer:?}");
    }
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    assert!(service.gateway.stop().unwrap().success());
}

/// Keeps the gateway from writing, until the standard input of what is given ends.
fn hold(service: &Service) -> Child {
    let mut shell = Command::new("sqlite3");
    let shell = shell.arg(service.data_dir().join("chrono.db"));
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let begin = b"BEGIN IMMEDIATE;\nSELECT 'held';\n";
    shell.stdin.as_mut().unwrap().write_all(begin).unwrap();
    let mut said = String::new();
    BufReader::new(shell.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "held\n");
    shell
}
