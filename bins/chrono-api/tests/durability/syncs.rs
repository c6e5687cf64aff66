//! Every reply comes after the fsync of its commit: a killed process keeps the page cache, so kills cannot show it.
//!
//! The system calls of a running gateway are traced while batches are posted one after the other. For each batch, the
//! transaction that holds its marker must have been written to the log file, up to the page of its commit frame, and
//! the log file synced after that, before the first byte of the reply was sent.

#[cfg(not(target_os = "linux"))]
#[test]
fn system_calls_are_traced_on_linux_only() {
    println!("not checked here: that each reply comes after its fsync; strace runs on Linux only");
}

#[cfg(target_os = "linux")]
mod linux {
    use anyhow::{Context, ensure};
    use chrono_domain::{Clock, SystemClock};
    use chrono_testkit::ledger::{SentBatch, SentFeed};
    use chrono_testkit::{GatewayCommand, INTERNAL_KEY, scratch};

    use crate::feeds::posted;
    use crate::trace::{Call, Tracer, holds, is_reply};

    /// Batches posted one after the other.
    const BATCHES: usize = 50;
    /// What is traced: all that writes or syncs.
    const TRACED: &str = "trace=write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,sendmmsg,fsync,fdatasync,sync_file_range,msync";
    /// The head of a frame in SQLite's log file, and where in it a commit says how large the database became:
    /// <https://www.sqlite.org/fileformat2.html#walformat>.
    const FRAME_HEAD_BYTES: usize = 24;
    const FRAME_COMMIT: std::ops::Range<usize> = 4..8;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn each_reply_comes_after_its_fsync() -> anyhow::Result<()> {
        let early = early_replies(&[]).await?;
        ensure!(early.is_empty(), "{} of {BATCHES} replies came early: {early:?}", early.len());
        Ok(())
    }

    /// A power cut must not take the name of the file away that shows the first keys, once they work.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_first_keys_are_shown_for_good_before_they_are_stored() -> anyhow::Result<()> {
        let directory = scratch()?;
        let tracer = Tracer::new(directory.path(), TRACED, &[])?;
        let data = directory.path().join("data");
        let command = GatewayCommand::new(env!("CARGO_BIN_EXE_chrono-api"), data);
        let names = ["INTERNAL_API_KEYS", "PUBLIC_PAID_API_KEYS", "ADMIN_API_KEYS"];
        let command = names.iter().fold(command, |command, name| command.with(name, ""));
        let gateway = command.under(&tracer.words()).start()?;
        let process = gateway.pid();
        ensure!(gateway.stop()?.success(), "the gateway does not stop as it should");
        let calls = tracer.calls(process).await?;
        let synced = |file: &str, after: usize| {
            let is_sync = |call: &&Call| {
                call.name == "fsync" && call.file.ends_with(file) && call.answer == 0
            };
            calls.iter().filter(is_sync).find(|call| call.begin > after).map(|call| call.end)
        };
        let file = synced("/keys.txt.new", 0).context("the file is not synced")?;
        let name = synced("/data", file).context("its name is not synced")?;
        let stored = calls.iter().find(|call| is_log(call) && holds(call, "first start"));
        ensure!(stored.context("no key is stored")?.begin > name, "the keys are stored before");
        Ok(())
    }

    /// The control: without syncs the test must fail, for every batch.
    #[cfg(feature = "failpoints")]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn failpoints_a_build_that_does_not_sync_is_found_out() -> anyhow::Result<()> {
        let early = early_replies(&[("CHRONO_SYNCHRONOUS", "OFF")]).await?;
        ensure!(early.len() == BATCHES, "only {} of {BATCHES} are found out", early.len());
        Ok(())
    }

    /// The control: replies before the commit must be seen, too.
    #[cfg(feature = "failpoints")]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn failpoints_a_build_that_acknowledges_before_the_commit_is_found_out()
    -> anyhow::Result<()> {
        let early = early_replies(&[("CHRONO_EARLY_ACK", "1")]).await?;
        eprintln!("control: {} of {BATCHES} early replies found out", early.len());
        ensure!(!early.is_empty(), "not one early reply is found out");
        Ok(())
    }

    /// Posts batches to a traced gateway; gives what is wrong with each reply that came before its sync.
    async fn early_replies(variables: &[(&str, &str)]) -> anyhow::Result<Vec<String>> {
        let directory = scratch()?;
        let tracer = Tracer::new(directory.path(), TRACED, &[])?;
        let data = directory.path().join("data");
        let mut command =
            GatewayCommand::new(env!("CARGO_BIN_EXE_chrono-api"), data).under(&tracer.words());
        for (name, value) in variables {
            command = command.with(name, value);
        }
        let gateway = command.start()?;
        let (client, clock) = (gateway.client(INTERNAL_KEY)?, SystemClock::new());
        for number in 0..BATCHES {
            let batch = batch(number, clock.now().micros());
            let reply = client.ingest(&posted(&batch, clock.now().micros()), None).await?;
            ensure!(reply.ingested == batch.feeds.len(), "batch {number}: {}", reply.message);
        }
        let process = gateway.pid();
        ensure!(gateway.stop()?.success(), "the gateway does not stop as it should");
        judge(&tracer.calls(process).await?)
    }

    /// A batch that the trace can be searched for.
    fn batch(number: usize, at: i64) -> SentBatch {
        let feed = |index: usize| SentFeed {
            symbol: format!("S{index}/USD"),
            source: "traced".to_owned(),
            at,
            price: format!("{}.5", number + 1),
            volume: None,
            metadata: Some(format!(r#"{{"marker":"{}"}}"#, marker(number))),
        };
        let feeds = (0..=number % 7).map(feed).collect();
        SentBatch { worker: "tracer".to_owned(), key: None, feeds }
    }

    fn marker(number: usize) -> String {
        format!("batch-{number:04}-is-here")
    }

    /// Finds the replies that came before their batch was synced.
    fn judge(calls: &[Call]) -> anyhow::Result<Vec<String>> {
        let replies: Vec<_> = calls.iter().filter(|call| !is_log(call) && is_reply(call)).collect();
        ensure!(replies.len() == BATCHES, "{} replies in the trace", replies.len());
        let mut wrong = Vec::new();
        for (number, reply) in replies.into_iter().enumerate() {
            if let Err(reason) = is_synced(calls, &marker(number), reply) {
                wrong.push(format!("batch {number}: {reason}"));
            }
        }
        Ok(wrong)
    }

    /// Demands that the transaction with the marker was synced before the reply began.
    fn is_synced(calls: &[Call], marker: &str, reply: &Call) -> Result<(), &'static str> {
        let before = || calls.iter().filter(|call| call.end < reply.begin && is_log(call));
        let written = |call: &&Call| call.name.starts_with("pwrite") || call.name == "write";
        let mut writes = before().filter(written).skip_while(|call| !holds(call, marker));
        let first = writes.next().ok_or("not written before its reply")?;
        // The frame that commits is its head, and then its page; the marker may be in that page itself.
        let commit = before().filter(written).filter(|call| is_commit(call));
        let page = commit
            .filter_map(|head| before().filter(written).find(|call| call.begin > head.end))
            .find(|page| page.end >= first.end)
            .ok_or("not committed before its reply")?;
        let syncs = |call: &Call| matches!(call.name.as_str(), "fsync" | "fdatasync");
        let synced = before().any(|call| syncs(call) && call.begin > page.end && call.answer == 0);
        if synced { Ok(()) } else { Err("not synced before its reply") }
    }

    /// Tells whether a call is about the log file of the database.
    fn is_log(call: &Call) -> bool {
        call.file.ends_with(".db-wal")
    }

    /// Tells whether a write is the head of a frame that ends a transaction.
    fn is_commit(call: &Call) -> bool {
        let size = call.bytes.get(FRAME_COMMIT);
        call.bytes.len() == FRAME_HEAD_BYTES && size.is_some_and(|size| size != [0; 4])
    }
}
