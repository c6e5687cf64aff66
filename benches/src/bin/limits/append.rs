//! Durable ingest with nothing else: hyper, simd-json, compact rows appended to one file, one fdatasync for all who wait.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use tokio::sync::oneshot;

use crate::row::{Batch, Names};

/// How many requests a commit serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commit {
    /// All that wait.
    Shared,
    /// One: what group commit is measured against.
    Each,
}

/// Rows that wait for the disk, and who waits for them.
struct Waiting {
    rows: Vec<u8>,
    done: oneshot::Sender<()>,
}

/// The way to the thread that commits.
#[derive(Default)]
struct Queue {
    waiting: Mutex<VecDeque<Waiting>>,
    wake: Condvar,
}

/// Takes batches in and appends them to a file of the directory.
///
/// The file has room of so many mebibytes that was written before, and grows once that is full. Rows that are written
/// into it change neither the file's size nor its blocks, so that syncing them takes no commit of the file system's
/// journal.
pub(crate) fn run(directory: &Path, commit: Commit, room_mib: usize) -> anyhow::Result<()> {
    let file = create(&directory.join("rows"), room_mib)?;
    let queue = Arc::new(Queue::default());
    let names = Arc::new(Names::default());
    let writer = Arc::clone(&queue);
    std::thread::spawn(move || {
        if let Err(fault) = write(&writer, file, commit) {
            eprintln!("cannot append: {fault:#}");
            std::process::exit(1);
        }
    });
    crate::http::serve(move |request| {
        let (queue, names) = (Arc::clone(&queue), Arc::clone(&names));
        async move {
            let mut body = Vec::from(request.into_body().collect().await?.to_bytes());
            let batch: Batch<'_> = simd_json::from_slice(&mut body)?;
            let feeds = batch.feeds.len();
            let rows = batch.rows(&names).context("a feed in our form")?;
            queue.append(rows).await?;
            Ok(answer(feeds))
        }
    })
}

fn create(path: &Path, room_mib: usize) -> anyhow::Result<File> {
    let mut file = File::create(path)?;
    let nothing = vec![0; 1 << 20];
    for _ in 0..room_mib {
        file.write_all(&nothing)?;
    }
    file.sync_all()?;
    file.rewind()?;
    Ok(file)
}

fn answer(feeds: usize) -> Response<Full<Bytes>> {
    let body = format!(
        r#"{{"status":"success","ingested":{feeds},"failed":0,"latency_ms":1,"message":"{feeds} price feeds ingested successfully"}}"#
    );
    let mut response = Response::new(Full::new(body.into()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl Queue {
    async fn append(&self, rows: Vec<u8>) -> anyhow::Result<()> {
        let (done, committed) = oneshot::channel();
        let waiting = Waiting { rows, done };
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(waiting);
        self.wake.notify_one();
        Ok(committed.await?)
    }

    fn take(&self, commit: Commit) -> VecDeque<Waiting> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = self
            .wake
            .wait_while(waiting, |waiting| waiting.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        match commit {
            Commit::Shared => std::mem::take(&mut *waiting),
            Commit::Each => waiting.drain(..1).collect(),
        }
    }
}

fn write(queue: &Queue, mut file: File, commit: Commit) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    loop {
        let group = queue.take(commit);
        rows.clear();
        for waiting in &group {
            rows.extend_from_slice(&waiting.rows);
        }
        file.write_all(&rows)?;
        file.sync_data()?;
        for waiting in group {
            // It fails for a client that has left, who needs no answer.
            waiting.done.send(()).unwrap_or_default();
        }
    }
}
