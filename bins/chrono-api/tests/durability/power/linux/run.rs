//! Gateways under a tracer, the disks that cuts leave, and the verdicts.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use chrono_client::Client;
use chrono_domain::{Clock, Source, SystemClock};
use chrono_testkit::ledger::{Answer, SentBatch};
use chrono_testkit::{GatewayCommand, INTERNAL_KEY, scratch};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::events::{Event, events};
use super::rows;
use crate::disk::{Disk, Image, Loss};
use crate::feeds::{FeedMaker, late_hours, late_stretches};
use crate::images::{Sent, judge, lay_out};
use crate::kills::rounds;
use crate::load::{Sent as Posting, post};
use crate::random::Random;
use crate::trace::Tracer;

/// Writers at a time, and batches of each.
const WRITERS: usize = 4;
const BATCHES: usize = 60;
/// Batches of each writer after rows were carried over.
const BATCHES_AFTER_ROWS: usize = 5;
/// The store's file.
const DATABASE: &str = "chrono.db";
/// Rounds for each image of a kind of loss: 34 images, unless other rounds are asked for.
const ROUNDS_PER_IMAGE: u64 = 3;
/// Most images of a control: it has to be found out once, and a file that was torn takes long to judge.
#[cfg(feature = "failpoints")]
const CONTROL_IMAGES_MAX: u64 = 34;
/// The ways to lose what was not synced.
pub(super) const LOSSES: [Loss; 3] = [Loss::All, Loss::Some, Loss::Torn];
/// How a gateway ends whose disk failed to sync (`EX_IOERR`), and how long that may take.
const DISK_FAILED: i32 = 74;
const ENDS_WITHIN: Duration = Duration::from_secs(25);
/// What is traced: what changes files or makes them safe, and what comes in and goes out.
const TRACED: &str = "trace=read,recvfrom,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,\
    fsync,fdatasync,sync_file_range,fallocate,ftruncate,truncate,unlink,unlinkat,rename,renameat,renameat2";

/// Gives the number of images for each kind of loss.
fn images() -> anyhow::Result<u64> {
    Ok(rounds()?.div_ceil(ROUNDS_PER_IMAGE))
}

/// Gives the number of images of a control for each kind of loss.
#[cfg(feature = "failpoints")]
pub(super) fn images_of_a_control() -> anyhow::Result<u64> {
    Ok(images()?.min(CONTROL_IMAGES_MAX))
}

/// Gateways on one data directory, one after the other, all traced.
pub(super) struct Run {
    directory: TempDir,
    sent: Sent,
    events: Vec<Event>,
    /// Lines of the traces so far.
    lines: usize,
    serial: Arc<AtomicU64>,
    random: Mutex<Random>,
    /// Batches of each writer.
    batches: usize,
    /// The database that lies on the disk from the beginning, and how many of the batches it holds: the first.
    seed: Option<Vec<u8>>,
    seeded: usize,
}

/// How a gateway is ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Stop,
    Kill,
    /// Nobody ends it: it finds that its disk failed.
    ByItself,
}

/// How a gateway stood at the end of its load.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub(super) acknowledged: usize,
    pub(super) refused: usize,
    /// Batches of a writer that were acknowledged after one of its own was refused.
    pub(super) after: usize,
}

/// A batch, and whether it was acknowledged.
type Posted = (SentBatch, bool);

/// What many images came to.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    images: usize,
    /// Acknowledged batches that were gone, in all images together.
    pub(super) lost: usize,
    /// The fewest and the most batches in an image.
    least: usize,
    most: usize,
    /// How many images lacked how many migrations, if that could be seen.
    pub(super) pending: BTreeMap<Option<usize>, usize>,
    /// The first faults of other kinds.
    pub(super) wrong: Vec<String>,
}

impl Run {
    pub(super) fn new() -> anyhow::Result<Self> {
        let seed = SystemClock::new().now().micros();
        eprintln!("power cuts: seed {seed}");
        Ok(Self {
            directory: scratch()?,
            sent: Sent::default(),
            events: Vec::new(),
            lines: 0,
            serial: Arc::default(),
            random: Mutex::new(Random::new(seed.unsigned_abs())),
            batches: BATCHES,
            seed: None,
            seeded: 0,
        })
    }

    /// Begins with a file of the row layout, whose batches were acknowledged long ago; few follow.
    pub(super) fn on_rows() -> anyhow::Result<Self> {
        let mut run = Self::new()?;
        let mut maker = run.makers("row-writer", 1).remove(0);
        let batches: Vec<_> =
            (0..BATCHES).filter_map(|number| sendable(&mut maker, number)).collect();
        let database = run.database()?;
        rows::make(Path::new(&database), &batches)?;
        run.seed = Some(std::fs::read(database)?);
        run.seeded = batches.len();
        run.batches = BATCHES_AFTER_ROWS;
        run.sent.add(batches.into_iter());
        Ok(run)
    }

    /// Runs a gateway under load until it has answered everything; `variables` and `options` go to it and the tracer.
    pub(super) async fn go(
        &mut self,
        variables: &[(&str, &str)],
        options: &[&str],
        end: End,
    ) -> anyhow::Result<State> {
        let tracer = Tracer::new(self.directory.path(), TRACED, options)?;
        let data = self.directory.path().join("data");
        let mut command =
            GatewayCommand::new(env!("CARGO_BIN_EXE_chrono-api"), data).under(&tracer.words());
        for (name, value) in variables {
            command = command.with(name, value);
        }
        let mut gateway = command.start()?;
        let process = gateway.pid();
        let posted = self.load(&gateway.client(INTERNAL_KEY)?).await?;
        let acknowledged = posted.iter().filter(|(_, acknowledged)| *acknowledged).count();
        let of_one = |pair: &[Posted]| pair[0].0.worker == pair[1].0.worker;
        let state = State {
            acknowledged,
            refused: posted.len() - acknowledged,
            after: posted.windows(2).filter(|pair| of_one(pair) && !pair[0].1 && pair[1].1).count(),
        };
        match end {
            End::Stop => {
                ensure!(is_ready(gateway.url()).await?, "it says that it is not ready");
                ensure!(gateway.stop()?.success(), "the gateway does not stop as it should");
            }
            End::Kill => gateway.kill()?,
            End::ByItself => {
                let status = gateway.wait(ENDS_WITHIN)?;
                ensure!(status.code() == Some(DISK_FAILED), "{status}");
                let errors = gateway.errors().join("\n");
                ensure!(errors.contains("the disk failed to sync"), "it says {errors}");
            }
        }
        self.sent.add(posted.into_iter().map(|(batch, _)| batch));
        let calls = tracer.calls(process).await?;
        let disk = self.disk()?;
        let (mut events, lines) = events(calls, &disk, &self.sent, self.lines)?;
        let replies = events.iter().filter(|event| matches!(event, Event::Acknowledged(_))).count();
        ensure!(replies == acknowledged, "{replies} replies in the trace, {acknowledged} came");
        self.events.append(&mut events);
        self.lines = lines;
        Ok(state)
    }

    /// Gives what makes the tracer fail one sync of the thread that commits.
    pub(super) fn failing_sync(&self) -> String {
        let nth = self.random.lock().unwrap().within(20, 120);
        format!("inject=fsync,fdatasync:error=EIO:when={nth}")
    }

    /// Gives the disk as it was before the first gateway.
    fn disk(&self) -> anyhow::Result<Disk> {
        let mut disk = Disk::new(&self.database()?)?;
        if let Some(seed) = &self.seed {
            disk.hold(DATABASE, seed.clone());
        }
        Ok(disk)
    }

    fn database(&self) -> anyhow::Result<String> {
        let path = self.directory.path().join("data").join(DATABASE);
        Ok(path.to_str().context("a path in UTF-8")?.to_owned())
    }

    pub(super) fn loses_nothing(&self) -> anyhow::Result<Vec<Verdict>> {
        let mut verdicts = Vec::new();
        for loss in LOSSES {
            let verdict = self.cut(loss, images()?)?;
            eprintln!("power cuts, {loss:?} lost: {verdict:?}");
            ensure!(verdict.wrong.is_empty(), "{loss:?} lost: {}", verdict.wrong.join("\n"));
            ensure!(verdict.lost == 0, "{loss:?} lost: {verdict:?}");
            // Otherwise the moments are badly chosen, and nothing was shown.
            ensure!(verdict.least < verdict.most, "{loss:?} lost: {verdict:?}");
            verdicts.push(verdict);
        }
        Ok(verdicts)
    }

    /// Posts batches, several at a time, each with a key; gives what was sent.
    async fn load(&self, client: &Client) -> anyhow::Result<Vec<Posted>> {
        let mut writers = JoinSet::new();
        for maker in self.makers("writer", WRITERS) {
            writers.spawn(post_each(client.clone(), maker, self.batches));
        }
        let mut sent = Vec::new();
        while let Some(batches) = writers.join_next().await {
            sent.extend(batches??);
        }
        Ok(sent)
    }

    /// Gives what makes the batches of writers.
    fn makers(&self, name: &str, count: usize) -> Vec<FeedMaker> {
        let clock = Arc::new(SystemClock::new());
        let now = clock.now().micros();
        let maker = |writer| {
            let mut random = self.random.lock().unwrap().fork();
            let hours = late_hours(&mut random, now);
            FeedMaker {
                worker: format!("{name}-{writer}-{}", self.lines),
                late: late_stretches(&mut random, &hours, now),
                random,
                serial: Arc::clone(&self.serial),
                clock: Arc::clone(&clock),
            }
        };
        (0..count).map(maker).collect()
    }

    /// Cuts the power at many moments, most of them just after an acknowledgement.
    pub(super) fn cut(&self, loss: Loss, images: u64) -> anyhow::Result<Verdict> {
        let moments = self.moments(images);
        let (next, verdict) = (AtomicUsize::new(0), Mutex::new(Verdict::default()));
        let found = thread::scope(|scope| {
            let judges: Vec<_> = (0..2)
                .map(|_| scope.spawn(|| self.judge_each(&moments, loss, &next, &verdict)))
                .collect();
            judges.into_iter().try_for_each(|judge| judge.join().unwrap())
        });
        found.map(|()| verdict.into_inner().unwrap())
    }

    fn moments(&self, images: u64) -> Vec<usize> {
        let mut random = self.random.lock().unwrap();
        let acknowledged = |event: &Event| matches!(event, Event::Acknowledged(_));
        let replies: Vec<_> =
            (1..=self.events.len()).filter(|at| acknowledged(&self.events[at - 1])).collect();
        let anywhere = |random: &mut Random| {
            usize::try_from(random.within(0, self.events.len() as u64)).unwrap()
        };
        // The carrying over of rows comes before all replies.
        let often = if self.seed.is_some() { 20 } else { 60 };
        let mut moment = |_| {
            if random.percent(often) { *random.pick(&replies) } else { anywhere(&mut random) }
        };
        (0..images).map(&mut moment).collect()
    }

    fn judge_each(
        &self,
        moments: &[usize],
        loss: Loss,
        next: &AtomicUsize,
        verdict: &Mutex<Verdict>,
    ) -> anyhow::Result<()> {
        while let Some(moment) = moments.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (image, acknowledged) = self.image(*moment, loss)?;
            let directory = scratch()?;
            let pending = lay_out(directory.path(), &image)?;
            let found = judge(directory.path(), &self.sent, &acknowledged).and_then(|found| {
                if self.seed.is_some() {
                    rows::check(&directory.path().join(DATABASE))?;
                }
                Ok(found)
            });
            let mut verdict = verdict.lock().unwrap();
            match found {
                Ok(found) => {
                    let first = verdict.images == 0;
                    verdict.lost += found.lost;
                    verdict.least =
                        if first { found.batches } else { verdict.least.min(found.batches) };
                    verdict.most = verdict.most.max(found.batches);
                }
                Err(fault) => verdict.wrong.push(format!("after event {moment}: {fault:#}")),
            }
            verdict.images += 1;
            *verdict.pending.entry(pending).or_default() += 1;
        }
        Ok(())
    }

    /// Gives the disk after a cut, and the batches that were acknowledged by then.
    fn image(&self, moment: usize, loss: Loss) -> anyhow::Result<(Image, HashSet<usize>)> {
        let mut disk = self.disk()?;
        let mut acknowledged: HashSet<_> = (0..self.seeded).collect();
        for event in &self.events[..moment] {
            match event {
                Event::Disk(call) => disk.take(call)?,
                Event::Acknowledged(batch) => drop(acknowledged.insert(*batch)),
            }
        }
        let mut random = self.random.lock().unwrap().fork();
        Ok((disk.image(loss, &mut random), acknowledged))
    }
}

/// Makes a batch with a key and no feed that must be refused, unless there is no other.
fn sendable(maker: &mut FeedMaker, number: usize) -> Option<SentBatch> {
    let mut batch = maker.batch();
    batch.feeds.retain(|feed| feed.source.parse::<Source>().is_ok());
    batch.key = Some(format!("{}:{number}", maker.worker));
    (!batch.feeds.is_empty()).then_some(batch)
}

async fn post_each(
    client: Client,
    mut maker: FeedMaker,
    batches: usize,
) -> anyhow::Result<Vec<Posted>> {
    let mut sent = Vec::new();
    for number in 0..batches {
        let Some(batch) = sendable(&mut maker, number) else { continue };
        let Posting { answer, gone } = post(&client, &batch, maker.clock.now().micros()).await?;
        let acknowledged = matches!(answer, Answer::Stored { .. });
        let whole = Answer::Stored { refused: Vec::new(), repeated: false };
        ensure!(!acknowledged || answer == whole, "{:?} is answered {answer:?}", batch.key);
        sent.push((batch, acknowledged));
        if gone {
            break;
        }
    }
    Ok(sent)
}

/// Asks for readiness.
async fn is_ready(url: &str) -> anyhow::Result<bool> {
    let address = url.strip_prefix("http://").context("an address")?;
    let mut socket = TcpStream::connect(address).await?;
    let head =
        format!("GET /health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    eprintln!("readiness: {}", answer.lines().last().unwrap_or_default());
    Ok(answer.starts_with("HTTP/1.1 200 "))
}
