//! The faults, and what must come of them.

use std::fs::{self, DirEntry};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use chrono_client::{Client, ClientError};
use chrono_domain::{Clock, SystemClock};
use chrono_testkit::ledger::{SentBatch, SentFeed};
use chrono_testkit::{Gateway, INTERNAL_KEY, has_program};
use tokio::time::sleep;

use crate::campaign::{Campaign, Repeats};
use crate::feeds::posted;
use crate::kills::rounds;

/// Rounds for each sync that fails.
const ROUNDS_PER_FAULT: u64 = 100;
const NEEDED: &str =
    "strace is needed to fail system calls: apt-get install strace, or your system's like";
const ATTACH: &str = "strace may not attach to the gateway: run the tests as root, or set kernel.yama.ptrace_scope to 0, \
    or give the container SYS_PTRACE";
/// Syncs that fail until one must have had a commit beside it: every third has or so.
const TRIES_BESIDE: usize = 30;
/// How a gateway ends whose disk failed to sync (`EX_IOERR`), and how long that may take.
const DISK_FAILED: i32 = 74;
const ENDS_WITHIN: Duration = Duration::from_secs(25);
/// How soon a start that cannot work must say so.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// How long a load may take to bring checkpoints about, on a busy machine.
const CHECKPOINTS: Duration = Duration::from_mins(2);
/// Acknowledgements before a stop: too few for a checkpoint of its own.
const ACKNOWLEDGED: usize = 50;

/// A checkpoint copies the log file and syncs the database: when that fails, no later sync may be believed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_fails_to_sync_ends_the_gateway_and_loses_nothing() -> anyhow::Result<()>
{
    for _ in 0..rounds()?.div_ceil(ROUNDS_PER_FAULT) {
        let mut campaign = Campaign::new("checkpoint that fails to sync")?;
        let nth = campaign.random.within(1, 3).to_string();
        let disk = BadDisk::failing_syncs(&mut campaign, &nth)?;
        let mut gateway = campaign.start_under(&disk.words(), &[("STORE_CYCLE_TICKS", "1")])?;
        let load = campaign.load(&gateway)?;
        let ended = gateway.wait(CHECKPOINTS);
        load.end().await?;
        ensure!(ended?.code() == Some(DISK_FAILED), "it ends otherwise");
        disk.is_said_by(&mut gateway)?;
        loses_nothing(campaign).await?;
    }
    Ok(())
}

/// The thread that copies the log file beside the commits fails to sync it: which page that was about, nobody knows, so
/// a commit of meanwhile is in doubt, and there is none after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_beside_a_sync_that_fails_is_in_doubt_and_never_lost() -> anyhow::Result<()> {
    for _ in 0..TRIES_BESIDE {
        let mut campaign = Campaign::new("commit beside a sync that fails")?;
        let mut gateway = campaign.start(&[("STORE_CYCLE_TICKS", "1")])?;
        let mut tracer = fail_first_sync(gateway.pid(), "store-upkeep").await?;
        let load = campaign.load(&gateway)?;
        let ended = gateway.wait(CHECKPOINTS);
        load.end().await?;
        ensure!(ended?.code() == Some(DISK_FAILED), "it ends otherwise");
        tracer.wait()?;
        loses_nothing(campaign).await?;
        if gateway.errors().iter().any(|line| line.contains("failed to sync beside the commit")) {
            return Ok(());
        }
    }
    bail!("no commit was beside one of {TRIES_BESIDE} syncs")
}

/// Fails the first sync of one thread from here on.
async fn fail_first_sync(pid: u32, thread: &str) -> anyhow::Result<Child> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))?.collect::<Result<Vec<_>, _>>()?;
    let is_meant = |task: &DirEntry| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim_end() == thread)
    };
    let task = tasks.iter().find(|task| is_meant(task)).context("no such thread")?;
    let failing = "inject=fsync,fdatasync:error=EIO:when=1";
    let mut strace = Command::new("strace");
    strace.args(["-q", "-e", "trace=fsync,fdatasync", "-e", failing, "-o", "/dev/null", "-p"]);
    let mut tracer = strace.arg(task.file_name()).spawn().context(NEEDED)?;
    let clock = SystemClock::new();
    while fs::read_to_string(task.path().join("status"))?.contains("TracerPid:\t0\n") {
        ensure!(tracer.try_wait()?.is_none(), "{ATTACH}");
        ensure!(clock.uptime() < ENDS_WITHIN, "strace does not attach");
        sleep(Duration::from_millis(5)).await;
    }
    Ok(tracer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_fails_to_sync_says_so_and_loses_nothing() -> anyhow::Result<()> {
    let mut campaign = Campaign::new("stop that fails to sync")?;
    let disk = BadDisk::failing_syncs(&mut campaign, "1")?;
    let mut gateway = campaign.start_under(&disk.words(), &[])?;
    let load = campaign.load(&gateway)?;
    for _ in 0..ACKNOWLEDGED {
        load.acknowledged().await?;
    }
    gateway.terminate()?;
    load.end().await?;
    let status = gateway.wait(ENDS_WITHIN)?;
    ensure!(status.code() == Some(DISK_FAILED), "{status}");
    disk.is_said_by(&mut gateway)?;
    loses_nothing(campaign).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_to_sync_ends_the_gateway_while_nobody_reads_the_log()
-> anyhow::Result<()> {
    let mut campaign = Campaign::new("failed sync without a reader of the log")?;
    let disk = BadDisk::failing_syncs(&mut campaign, "1")?;
    let mut gateway = campaign.start_unread(&disk.words(), &[("STORE_CYCLE_TICKS", "1")])?;
    let load = campaign.load(&gateway)?;
    let ended = gateway.wait(CHECKPOINTS);
    load.end().await?;
    ensure!(ended?.code() == Some(DISK_FAILED), "it ends otherwise");
    loses_nothing(campaign).await
}

/// A crash leaves a log file, and the disk does not take it: it is not built upon, and kept for a disk that does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_fails_to_sync_says_so_and_loses_nothing() -> anyhow::Result<()> {
    let mut campaign = Campaign::new("start that fails to sync")?;
    let disk = BadDisk::failing_syncs(&mut campaign, "1+")?;
    let gateway = campaign.start(&[])?;
    let load = campaign.load(&gateway)?;
    for _ in 0..ACKNOWLEDGED {
        load.acknowledged().await?;
    }
    gateway.kill()?;
    load.end().await?;
    let clock = SystemClock::new();
    let refused = campaign.start_under(&disk.words(), &[]).err().context("it starts")?.to_string();
    let took = clock.uptime();
    ensure!(refused.contains("chrono.db cannot be brought over"), "{refused}");
    ensure!(took < TOLD_WITHIN, "it takes {took:?} to say so");
    loses_nothing(campaign).await
}

/// For a while there is no room: batches are refused as not stored, reads go on, and with room again all is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_for_a_while_refuses_batches_and_nothing_else() -> anyhow::Result<()> {
    let mut campaign = Campaign::new("disk that is full for a while")?;
    let disk = BadDisk::new(
        &mut campaign,
        "trace=pwrite64",
        "inject=pwrite64:error=ENOSPC:when=300..500",
        &["chrono.db", "chrono.db-wal"],
    )?;
    let mut gateway = campaign.start_under(&disk.words(), &[])?;
    // It reads all the time, and demands answers.
    let load = campaign.load(&gateway)?;
    let (client, clock) = (gateway.client(INTERNAL_KEY)?, SystemClock::new());
    let mut probes = Vec::new();
    while !is_healed(&probes) {
        ensure!(clock.uptime() < CHECKPOINTS, "it does not heal: {probes:?}");
        probes.push(probe(&client, clock.now().micros()).await?);
    }
    gateway.terminate()?;
    load.end().await?;
    let status = gateway.wait(ENDS_WITHIN)?;
    ensure!(status.success(), "{status}");
    ensure!(fs::read_to_string(&disk.trace)?.contains("ENOSPC"), "no write was failed");
    loses_nothing(campaign).await
}

/// Tells whether a batch was stored after one that was not.
fn is_healed(probes: &[bool]) -> bool {
    probes.iter().skip_while(|stored| **stored).any(|stored| *stored)
}

/// Posts a batch of a symbol that nobody else has; tells whether it was stored, or surely not.
async fn probe(client: &Client, now: i64) -> anyhow::Result<bool> {
    let feed = SentFeed {
        symbol: "PROBE/USD".to_owned(),
        source: "probe".to_owned(),
        at: now,
        price: "1.5".to_owned(),
        volume: None,
        metadata: None,
    };
    let batch = SentBatch { worker: "probe".to_owned(), key: None, feeds: vec![feed] };
    match client.ingest(&posted(&batch, now), None).await {
        Ok(_) => Ok(true),
        Err(ClientError::Unavailable { .. }) => Ok(false),
        Err(fault) => Err(fault.into()),
    }
}

/// Starts anew on a disk that is well again, and holds everything against the ledger.
async fn loses_nothing(mut campaign: Campaign) -> anyhow::Result<()> {
    let gateway = campaign.start(&[])?;
    campaign.settle(&gateway, Repeats::Some).await?;
    let (verdict, _) = campaign.check_whole(&gateway).await?;
    ensure!(verdict.is_clean(), "{verdict}");
    ensure!(gateway.stop()?.success(), "the gateway does not stop as it should");
    Ok(())
}

/// A tracer that fails calls of the store's files.
struct BadDisk {
    trace: PathBuf,
    words: Vec<String>,
}

impl BadDisk {
    /// Fails syncs of the database: the nth of each thread, and all that follow with a plus behind the number.
    fn failing_syncs(campaign: &mut Campaign, nth: &str) -> anyhow::Result<Self> {
        let failing = format!("inject=fsync,fdatasync:error=EIO:when={nth}");
        Self::new(campaign, "trace=fsync,fdatasync", &failing, &["chrono.db"])
    }

    /// Makes the database first: its making syncs as well.
    fn new(
        campaign: &mut Campaign,
        traced: &str,
        failing: &str,
        names: &[&str],
    ) -> anyhow::Result<Self> {
        ensure!(has_program("strace"), "{NEEDED}");
        ensure!(campaign.start(&[])?.stop()?.success(), "the gateway does not stop as it should");
        let text = |path: PathBuf| Some(path.to_str().context("a path in UTF-8").ok()?.to_owned());
        let trace = campaign.data().with_extension("trace");
        // With -D the gateway is our own child, and not the tracer's.
        let words = ["strace", "-D", "-f", "--seccomp-bpf", "-e", traced, "-e", failing, "-o"];
        let mut words: Vec<_> = words.map(str::to_owned).into();
        words.extend(text(trace.clone()));
        for name in names {
            words.push("-P".to_owned());
            words.extend(text(campaign.data().join(name)));
        }
        Ok(Self { trace, words })
    }

    fn words(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).collect()
    }

    /// Demands that a sync was failed, and that the gateway, which has ended, said so in its log and to people.
    fn is_said_by(&self, gateway: &mut Gateway) -> anyhow::Result<()> {
        let trace = fs::read_to_string(&self.trace)?;
        ensure!(trace.contains("(INJECTED)"), "no sync was failed: {trace}");
        let errors = gateway.errors();
        let said = |words: &str| errors.iter().any(|line| line.contains(words));
        let as_it_must = said("writes nothing any more") && said("stopped because the disk failed");
        ensure!(as_it_must, "it says {errors:?}");
        Ok(())
    }
}
