//! The trace, the moments, and the verdicts.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use anyhow::{Context, ensure};
use chrono_client::Client;
use chrono_domain::{Clock, SystemClock};
use chrono_testkit::ledger::SentBatch;
use chrono_testkit::{GatewayCommand, INTERNAL_KEY, scratch};
use tokio::task::JoinSet;

use crate::disk::{Disk, Image, Loss};
use crate::feeds::{FeedMaker, late_hours, late_stretches, posted};
use crate::images::{Sent, judge};
use crate::kills::rounds;
use crate::random::Random;
use crate::trace::{Call, Tracer, is_reply};

/// Writers at a time, and batches of each.
const WRITERS: usize = 4;
const BATCHES: usize = 60;
/// Images of one trace for each round: 150, unless other rounds are asked for.
const IMAGES_PER_ROUNDS: (u64, u64) = (3, 2);
/// What is traced: what changes files or makes them safe, and what comes in and goes out.
const TRACED: &str = "trace=read,recvfrom,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,\
    fsync,fdatasync,sync_file_range,fallocate,ftruncate,truncate,unlink,unlinkat,rename,renameat,renameat2";
/// Opens the line that names a batch in a request's head.
const KEY_LINE: &[u8] = b"idempotency-key: ";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_loses_nothing_that_was_acknowledged() -> anyhow::Result<()> {
    let run = Run::trace(&[], &[]).await?;
    for loss in [Loss::All, Loss::Some, Loss::Torn] {
        let verdict = run.cut(loss, images()?)?;
        eprintln!("power cuts, {loss:?} lost: {verdict:?}");
        ensure!(verdict.wrong.is_empty(), "{loss:?} lost: {}", verdict.wrong.join("\n"));
        ensure!(verdict.lost == 0, "{loss:?} lost: {verdict:?}");
        // Otherwise the moments are badly chosen, and nothing was shown.
        ensure!(verdict.least < verdict.most, "{loss:?} lost: {verdict:?}");
    }
    Ok(())
}

/// The control: without syncs nothing is safe, and that must be seen.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failpoints_a_build_that_does_not_sync_loses_what_it_acknowledged() -> anyhow::Result<()> {
    let run = Run::trace(&[("CHRONO_SYNCHRONOUS", "OFF")], &[]).await?;
    let verdict = run.cut(Loss::All, images()? / 5)?;
    eprintln!("control: {verdict:?}");
    ensure!(verdict.lost > 0, "the loss is not seen");
    Ok(())
}

/// The control: acknowledgements before the commit must be seen, too.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failpoints_a_build_that_acknowledges_early_loses_what_it_acknowledged()
-> anyhow::Result<()> {
    let run = Run::trace(&[("CHRONO_EARLY_ACK", "1")], &[]).await?;
    let verdict = run.cut(Loss::All, images()? / 5)?;
    eprintln!("control: {verdict:?}");
    ensure!(verdict.lost > 0, "the loss is not seen");
    Ok(())
}

/// Gives the number of images for each kind of loss.
fn images() -> anyhow::Result<u64> {
    let (images, of) = IMAGES_PER_ROUNDS;
    Ok(rounds()? * images / of / 3)
}

/// A traced run of a gateway.
struct Run {
    /// The path of the database, as it was then.
    database: String,
    sent: Sent,
    events: Vec<Event>,
    random: Mutex<Random>,
}

/// What happened, in order.
enum Event {
    /// A call that the disk must see.
    Disk(Call),
    /// The first byte of a reply left, for the batch with this number.
    Acknowledged(usize),
}

/// What many images came to.
#[derive(Debug, Default)]
struct Verdict {
    images: usize,
    /// Acknowledged batches that were gone, in all images together.
    lost: usize,
    /// The fewest and the most batches in an image.
    least: usize,
    most: usize,
    /// The first faults of other kinds.
    wrong: Vec<String>,
}

impl Run {
    /// Runs a gateway under load until it has answered everything; `variables` and `options` go to it and the tracer.
    async fn trace(variables: &[(&str, &str)], options: &[&str]) -> anyhow::Result<Self> {
        let directory = scratch()?;
        let data = directory.path().join("data");
        let tracer = Tracer::new(directory.path(), TRACED, options)?;
        let mut command =
            GatewayCommand::new(env!("CARGO_BIN_EXE_chrono-api"), &data).under(&tracer.words());
        for (name, value) in variables {
            command = command.with(name, value);
        }
        let clock = Arc::new(SystemClock::new());
        let mut random = Random::new(clock.now().micros().unsigned_abs());
        eprintln!("power cuts: seed {}", clock.now().micros());
        let gateway = command.start()?;
        let batches = load(&gateway.client(INTERNAL_KEY)?, &mut random, &clock).await?;
        ensure!(gateway.stop()?.success(), "the gateway does not stop as it should");
        let calls = tracer.calls().await?;
        let database = data.join("chrono.db").to_str().context("a path in UTF-8")?.to_owned();
        let sent = Sent::new(batches);
        let events = events(calls, &Disk::new(&database)?, &sent)?;
        let mut stat: std::collections::BTreeMap<String, usize> = Default::default();
        for e in &events { if let Event::Disk(c) = e { *stat.entry(format!("{} {}", c.name, c.file.rsplit('/').next().unwrap())).or_default() += 1; } }
        eprintln!("{stat:?}");
        Ok(Self { database, sent, events, random: Mutex::new(random) })
    }

    /// Cuts the power at many moments, most of them just after an acknowledgement.
    fn cut(&self, loss: Loss, images: u64) -> anyhow::Result<Verdict> {
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
        let mut moment = |_| {
            if random.percent(60) { *random.pick(&replies) } else { anywhere(&mut random) }
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
            let found = judge(directory.path(), &image, &self.sent, &acknowledged);
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
        }
        Ok(())
    }

    /// Gives the disk after a cut, and the batches that were acknowledged by then.
    fn image(&self, moment: usize, loss: Loss) -> anyhow::Result<(Image, HashSet<usize>)> {
        let mut disk = Disk::new(&self.database)?;
        let mut acknowledged = HashSet::new();
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

/// Posts batches, several at a time, each with a key; gives what was sent.
async fn load(
    client: &Client,
    random: &mut Random,
    clock: &Arc<SystemClock>,
) -> anyhow::Result<Vec<SentBatch>> {
    let now = clock.now().micros();
    let (serial, hours) = (Arc::default(), late_hours(random, now));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let maker = FeedMaker {
            worker: format!("writer-{writer}"),
            late: late_stretches(random, &hours, now),
            random: random.fork(),
            serial: Arc::clone(&serial),
            clock: Arc::clone(clock),
        };
        writers.spawn(post_each(client.clone(), maker));
    }
    let mut sent = Vec::new();
    while let Some(batches) = writers.join_next().await {
        sent.extend(batches??);
    }
    Ok(sent)
}

async fn post_each(client: Client, mut maker: FeedMaker) -> anyhow::Result<Vec<SentBatch>> {
    let mut sent = Vec::new();
    for number in 0..BATCHES {
        let mut batch = maker.batch();
        batch.feeds.retain(|feed| feed.source.parse::<chrono_domain::Source>().is_ok());
        if batch.feeds.is_empty() {
            continue;
        }
        let key = format!("{}:{number}", maker.worker);
        let reply = client.ingest(&posted(&batch, maker.clock.now().micros()), Some(&key)).await?;
        ensure!(reply.ingested == batch.feeds.len(), "batch {key}: {}", reply.message);
        batch.key = Some(key);
        sent.push(batch);
    }
    Ok(sent)
}

/// Puts what matters in order: writes and replies by their beginnings, syncs by their ends.
fn events(calls: Vec<Call>, disk: &Disk, sent: &Sent) -> anyhow::Result<Vec<Event>> {
    let keys = sent.batches().iter().enumerate();
    let keys: HashMap<_, _> =
        keys.filter_map(|(at, batch)| Some((batch.key.as_deref()?, at))).collect();
    let mut events = Vec::new();
    let mut asked: HashMap<String, usize> = HashMap::new();
    for call in calls {
        let socket = call.file.starts_with("socket:");
        if let Some(key) = key_of(&call).filter(|_| socket) {
            let batch = *keys.get(key.as_str()).with_context(|| format!("an unknown key {key}"))?;
            asked.insert(call.file, batch);
        } else if socket && is_reply(&call) {
            let batch = asked.remove(&call.file).context("a reply without a request")?;
            events.push((call.begin, Event::Acknowledged(batch)));
        } else if disk.concerns(&call) {
            let syncs = matches!(call.name.as_str(), "fsync" | "fdatasync");
            if call.name != "read" {
                events.push((if syncs { call.end } else { call.begin }, Event::Disk(call)));
            }
        }
    }
    let replies = events.iter().filter(|(_, event)| matches!(event, Event::Acknowledged(_)));
    ensure!(replies.count() == sent.batches().len(), "replies are missing in the trace");
    events.sort_by_key(|(line, _)| *line);
    Ok(events.into_iter().map(|(_, event)| event).collect())
}

/// Finds the key in the head of a request.
fn key_of(call: &Call) -> Option<String> {
    let at = call.bytes.windows(KEY_LINE.len()).position(|bytes| bytes == KEY_LINE)?;
    let key = call.bytes[at + KEY_LINE.len()..].split(|byte| *byte == b'\r').next()?;
    String::from_utf8(key.to_vec()).ok()
}
