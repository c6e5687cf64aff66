//! One data directory through many gateways: start, settle what is open, check, load, end.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{bail, ensure};
use chrono_domain::{Clock, SystemClock};
use chrono_testkit::ledger::{Answer, Book, Fate, Ledger, Verdict};
use chrono_testkit::{Gateway, GatewayCommand, INTERNAL_KEY, PUBLIC_KEY, scratch};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::feeds::{FeedMaker, late_hours, late_stretches};
use crate::load::{Load, post};
use crate::random::Random;

/// Writers at a time.
const WRITERS: usize = 8;
/// Tries to get an answer for an open batch, and the rest between them.
const TRIES_MAX: usize = 100;
const TRY_EVERY: Duration = Duration::from_millis(50);
/// Acknowledged batches that are sent again after a restart.
const REPEATS: usize = 3;

/// A data directory, the ledger of all that was sent to it, and what is needed to go on.
pub(crate) struct Campaign {
    name: &'static str,
    directory: TempDir,
    pub(crate) random: Random,
    ledger: Arc<Mutex<Ledger>>,
    clock: Arc<SystemClock>,
    serial: Arc<AtomicU64>,
    late_hours: Vec<i64>,
    /// The first batch that was not checked yet.
    unchecked: usize,
    /// Makes the worker ids of each load others.
    loads: usize,
    slowest_start: Duration,
    /// What became of all the batches that the gateways' ends left open.
    open: Settled,
}

/// What became of the batches that were open.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Settled {
    /// Those that the gateway had stored before it ended.
    pub(crate) stored: usize,
    /// Those that were lost with it, rightly.
    pub(crate) gone: usize,
}

impl Settled {
    fn add(&mut self, more: Self) {
        self.stored += more.stored;
        self.gone += more.gone;
    }
}

impl Campaign {
    pub(crate) fn new(name: &'static str) -> anyhow::Result<Self> {
        let clock = Arc::new(SystemClock::new());
        let now = clock.now().micros();
        let mut random = Random::new(now.unsigned_abs());
        eprintln!("{name}: seed {now}");
        let directory = scratch()?;
        Ok(Self {
            name,
            ledger: Arc::new(Mutex::new(Ledger::create(&directory.path().join("ledger"))?)),
            directory,
            late_hours: late_hours(&mut random, now),
            random,
            clock,
            serial: Arc::default(),
            unchecked: 0,
            loads: 0,
            slowest_start: Duration::ZERO,
            open: Settled::default(),
        })
    }

    /// Starts a gateway with variables of its environment.
    pub(crate) fn start(&mut self, variables: &[(&str, &str)]) -> anyhow::Result<Gateway> {
        self.start_under(&[], variables)
    }

    /// As [`Campaign::start`], under another program.
    pub(crate) fn start_under(
        &mut self,
        wrapper: &[&str],
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Gateway> {
        let started = self.clock.uptime();
        let gateway = self.command(wrapper, variables).start()?;
        self.slowest_start = self.slowest_start.max(self.clock.uptime().saturating_sub(started));
        Ok(gateway)
    }

    /// As [`Campaign::start_under`]; once it listens, its log is full and nobody reads it any more.
    pub(crate) fn start_unread(
        &self,
        wrapper: &[&str],
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Gateway> {
        self.command(wrapper, variables).start_unread()
    }

    fn command(&self, wrapper: &[&str], variables: &[(&str, &str)]) -> GatewayCommand {
        let command =
            GatewayCommand::new(env!("CARGO_BIN_EXE_chrono-api"), self.data()).under(wrapper);
        variables.iter().fold(command, |command, (name, value)| command.with(name, value))
    }

    /// Starts the writers and the reader.
    pub(crate) fn load(&mut self, gateway: &Gateway) -> anyhow::Result<Load> {
        self.loads += 1;
        let now = self.clock.now().micros();
        let late = late_stretches(&mut self.random, &self.late_hours, now);
        let makers = (0..WRITERS).map(|writer| FeedMaker {
            worker: format!("writer-{writer}"),
            random: self.random.fork(),
            serial: Arc::clone(&self.serial),
            clock: Arc::clone(&self.clock),
            late: late.clone(),
        });
        let makers = makers.collect();
        let (writing, reading) = (gateway.client(INTERNAL_KEY)?, gateway.client(PUBLIC_KEY)?);
        Ok(Load::start(&writing, &reading, &self.ledger, makers))
    }

    /// Sends every open batch that has a key again until it is answered, and some that were answered.
    pub(crate) async fn settle(
        &mut self,
        gateway: &Gateway,
        repeats: Repeats,
    ) -> anyhow::Result<Settled> {
        let client = gateway.client(INTERNAL_KEY)?;
        let mut settled = Settled::default();
        let open: Vec<_> = self.numbers(|fate| *fate == Fate::Open);
        for number in open {
            match self.send_again(&client, number).await? {
                Answer::Stored { repeated: true, .. } => settled.stored += 1,
                _ => settled.gone += 1,
            }
        }
        self.open.add(settled);
        if repeats == Repeats::Some {
            let answered = self.numbers(|fate| matches!(fate, Fate::Stored(_)));
            for _ in 0..REPEATS.min(answered.len()) {
                let number = *self.random.pick(&answered);
                self.send_again(&client, number).await?;
            }
        }
        Ok(settled)
    }

    /// Checks everything since the last check; what is found of open batches is written down and counted.
    pub(crate) async fn check(&mut self, gateway: &Gateway) -> anyhow::Result<(Verdict, Settled)> {
        let plan = self.ledger().book().plan_since(self.unchecked);
        let verdict = self.judge(gateway, plan).await?;
        self.open.add(verdict.1);
        let checked = self.ledger().book().batches().len();
        self.unchecked = checked;
        Ok(verdict)
    }

    /// Checks everything there is.
    pub(crate) async fn check_whole(
        &mut self,
        gateway: &Gateway,
    ) -> anyhow::Result<(Verdict, Settled)> {
        // First what is new, so that nothing is open.
        let (verdict, settled) = self.check(gateway).await?;
        if !verdict.is_clean() {
            return Ok((verdict, settled));
        }
        let plan = self.ledger().book().plan_whole();
        let (verdict, _) = self.judge(gateway, plan).await?;
        if verdict.is_clean() {
            let batches = self.ledger().book().batches().len();
            let Settled { stored, gone } = self.open;
            eprintln!(
                "{}: {} ends, {batches} batches ({} unanswered, {stored} of them stored), {verdict}, slowest start {:?}",
                self.name,
                self.loads,
                stored + gone,
                self.slowest_start
            );
        }
        Ok((verdict, settled))
    }

    /// Checks everything once more, by the ledger's file alone.
    pub(crate) async fn check_by_file(&self, gateway: &Gateway) -> anyhow::Result<Verdict> {
        let book = Book::read(&self.ledger_file())?;
        ensure!(book.lines() == self.ledger().book().lines(), "the ledger's file lacks lines");
        let seen = book.plan_whole().read(&gateway.client(PUBLIC_KEY)?).await?;
        Ok(book.judge(&seen))
    }

    async fn judge(
        &self,
        gateway: &Gateway,
        plan: chrono_testkit::ledger::Plan,
    ) -> anyhow::Result<(Verdict, Settled)> {
        let seen = plan.read(&gateway.client(PUBLIC_KEY)?).await?;
        let mut ledger = self.ledger();
        let verdict = ledger.book().judge(&seen);
        let mut settled = Settled::default();
        for (number, stored) in &verdict.found {
            ledger.found(*number, *stored)?;
            if *stored { settled.stored += 1 } else { settled.gone += 1 }
        }
        Ok((verdict, settled))
    }

    async fn send_again(
        &self,
        client: &chrono_client::Client,
        number: usize,
    ) -> anyhow::Result<Answer> {
        let batch = self.ledger().book().batches()[number].sent.clone();
        for _ in 0..TRIES_MAX {
            self.ledger().sending_again(number)?;
            let sent = post(client, &batch, self.clock.now().micros()).await?;
            self.ledger().answered(number, sent.answer.clone())?;
            match sent.answer {
                Answer::Unknown => sleep(TRY_EVERY).await,
                answer => return Ok(answer),
            }
        }
        bail!("batch {number} gets no answer")
    }

    /// Gives the numbers of the batches with a key and such a fate.
    fn numbers(&self, is: impl Fn(&Fate) -> bool) -> Vec<usize> {
        let ledger = self.ledger();
        let batches = ledger.book().batches().iter().enumerate();
        let held = batches.filter(|(_, batch)| batch.sent.key.is_some() && is(&batch.fate));
        held.map(|(number, _)| number).collect()
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    /// Gives the data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn ledger_file(&self) -> PathBuf {
        self.directory.path().join("ledger")
    }
}

/// Whether batches that were answered are sent again too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// Some are.
    Some,
    /// None is.
    #[cfg_attr(not(feature = "failpoints"), expect(dead_code, reason = "for controls only"))]
    None,
}
