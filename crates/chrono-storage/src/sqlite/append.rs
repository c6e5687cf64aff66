//! Appending: all batches of a call in one commit, each whole or not at all.

use std::sync::Arc;

use chrono_domain::{Arrival, WorkerId};
use foldhash::{HashMap, HashMapExt};
use rusqlite::{Connection, params};

use super::codec::whole;
use super::connection::Writer;
use super::fault::Fault;
use super::hit;
use super::idempotency;
use super::memory::Memory;
use super::names::Names;
use super::packed::log::{self, LoggedBatch, LoggedCommit, LoggedTick};
use crate::{Appended, Idempotency, IdempotencyKey, NewBatch, StoreError};

const ADD_COMMIT: &str = "INSERT INTO log (number, body) VALUES (?1, ?2)";

/// What became of one batch of a call.
type Outcome = Result<Appended, StoreError>;

/// What a transaction is going to log.
struct Draft<'a> {
    connection: &'a Connection,
    names: &'a mut Names,
    memory: &'a Memory,
    commit: LoggedCommit,
    next_arrival: u64,
    /// Where in the commit the batches with keys are.
    keyed: HashMap<(WorkerId, &'a IdempotencyKey), usize>,
}

/// Stores batches in one commit, and leaves it for [`Writer::rest`] to take into memory.
pub(super) fn append(
    writer: &mut Writer,
    batches: &[Arc<NewBatch>],
) -> Result<Vec<Outcome>, Fault> {
    hit("before_begin");
    let (last, next_arrival) = writer.memory.position();
    let number = last + 1;
    let (outcomes, logged) = writer.transact(|connection, names, memory| {
        let commit = LoggedCommit { first_arrival: next_arrival, batches: Vec::new() };
        let keyed = HashMap::new();
        let mut draft = Draft { connection, names, memory, commit, next_arrival, keyed };
        let outcomes = batches.iter().map(|batch| draft.take(batch)).collect::<Result<_, _>>()?;
        let commit = draft.commit;
        let logged = if commit.batches.is_empty() {
            None
        } else {
            let body = log::encode(&commit);
            connection.prepare_cached(ADD_COMMIT)?.execute(params![whole(number), body])?;
            Some((commit, body.len()))
        };
        hit("after_insert");
        hit("before_commit");
        Ok((outcomes, logged))
    })?;
    hit("after_commit");
    if let Some((commit, bytes)) = logged {
        writer.memory.expect(&commit, bytes);
        writer.fresh = Some((number, commit));
    }
    Ok(outcomes)
}

impl<'a> Draft<'a> {
    /// Takes one batch in, unless it is there already.
    fn take(&mut self, batch: &'a NewBatch) -> Result<Outcome, Fault> {
        if let Some(idempotency) = &batch.idempotency {
            if let Some(answer) = self.find_repeat(batch.worker, idempotency)? {
                return Ok(Ok(answer));
            }
            self.keyed.insert((batch.worker, &idempotency.key), self.commit.batches.len());
        }
        let logged = self.logged(batch)?;
        let first = Arrival(self.next_arrival);
        self.next_arrival += logged.ticks.len() as u64;
        self.commit.batches.push(logged);
        Ok(Ok(Appended::Stored(first)))
    }

    fn logged(&mut self, batch: &NewBatch) -> Result<LoggedBatch, Fault> {
        let worker_id = self.names.workers.id(self.connection, batch.worker)?;
        let mut ticks = Vec::with_capacity(batch.ticks.len());
        for tick in &batch.ticks {
            ticks.push(LoggedTick {
                symbol_id: self.names.symbols.id(self.connection, tick.symbol)?,
                source_id: self.names.sources.id(self.connection, tick.source)?,
                timestamp: tick.timestamp,
                price: tick.price,
                volume: tick.volume,
                metadata: tick.metadata.clone(),
            });
        }
        let repeatable = batch.idempotency.clone().map(|name| (name, batch.receipt.clone()));
        Ok(LoggedBatch { worker_id, received_at: batch.received_at, repeatable, ticks })
    }

    /// Answers a batch whose key is stored already, or is going to be.
    fn find_repeat(
        &self,
        worker: WorkerId,
        idempotency: &Idempotency,
    ) -> Result<Option<Appended>, Fault> {
        let here = self.keyed.get(&(worker, &idempotency.key));
        if let Some((held, receipt)) =
            here.and_then(|idx| self.commit.batches.get(*idx)?.repeatable.as_ref())
        {
            let same = held.fingerprint == idempotency.fingerprint;
            let repeated = || Appended::Repeated(receipt.clone());
            return Ok(Some(if same { repeated() } else { Appended::KeyClash }));
        }
        let Some(worker_id) = self.names.workers.find(worker) else { return Ok(None) };
        let name = (worker_id, idempotency.key.clone());
        let kept = match self.memory.find_key(&name) {
            Some(kept) => Some((kept.fingerprint, kept.receipt)),
            None => idempotency::find(self.connection, &name)?,
        };
        Ok(kept.map(|(fingerprint, receipt)| {
            let same = fingerprint == idempotency.fingerprint;
            if same { Appended::Repeated(receipt) } else { Appended::KeyClash }
        }))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono_domain::{ManualClock, Price, Source, Symbol, Tick, Timestamp};

    use super::super::connection::Reader;
    use super::super::generation::Generation;
    use super::super::open::{Settings, StoreFile};
    use super::*;

    fn batch(ticks: i64) -> Vec<Arc<NewBatch>> {
        let tick = |nth| {
            let (symbol, source) = (Symbol::try_new("A/B").unwrap(), Source::try_new("s").unwrap());
            let at = Timestamp::from_micros(nth).unwrap();
            Tick::try_new(symbol, source, Price::try_new("1").unwrap(), None, at).unwrap()
        };
        vec![Arc::new(NewBatch {
            worker: WorkerId::try_new("w").unwrap(),
            idempotency: None,
            ticks: (0..ticks).map(tick).collect(),
            receipt: Bytes::new(),
            received_at: Timestamp::MIN,
        })]
    }

    #[test]
    fn a_commit_is_read_before_it_is_in_memory_and_once_after() {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(Timestamp::MIN);
        let file = StoreFile::open(Settings::new(dir.path().join("chrono.db")), &clock).unwrap();
        let file = Arc::new(file);
        let mut writer = Writer::open(&file).unwrap();
        let reader = Reader::open(&file).unwrap();
        let counts = || {
            let parts = reader.view(|generation| generation.ticks, |view| Ok(view.parts));
            (parts.unwrap().iter().sum::<u64>(), file.memory.load().ticks)
        };
        for before in [0, 3] {
            append(&mut writer, &batch(3)).unwrap();
            assert_eq!(file.memory.position().1, before + 1);
            assert_eq!(counts(), (before + 3, before + 3));
            writer.rest();
            assert_eq!(file.memory.position().1, before + 4);
            assert_eq!(counts(), (before + 3, before + 3));
        }
    }

    #[test]
    fn a_commit_that_a_panic_kept_out_of_memory_is_taken_in_by_the_next_writer() {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(Timestamp::MIN);
        let file = StoreFile::open(Settings::new(dir.path().join("chrono.db")), &clock).unwrap();
        let mut writer = Writer::open(&file).unwrap();
        append(&mut writer, &batch(3)).unwrap();
        drop(writer);
        let mut writer = Writer::open(&file).unwrap();
        assert_eq!((file.memory.position(), file.memory.load().ticks), ((1, 4), 3));
        let outcomes = append(&mut writer, &batch(1)).unwrap();
        assert!(matches!(&outcomes[..], [Ok(Appended::Stored(Arrival(4)))]));
    }

    #[test]
    fn what_a_panic_tore_is_read_from_the_log_and_then_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(Timestamp::MIN);
        let file = StoreFile::open(Settings::new(dir.path().join("chrono.db")), &clock).unwrap();
        let file = Arc::new(file);
        let reader = Reader::open(&file).unwrap();
        let ticks = |generation: &Generation| {
            generation.series.values().map(|series| series.ticks.len() as u64).sum::<u64>()
        };
        let read = || reader.view(ticks, |view| Ok(view.parts.iter().sum::<u64>())).unwrap();
        let mut writer = Writer::open(&file).unwrap();
        let mut stored = 0;
        for is_frozen in [false, true, true] {
            append(&mut writer, &batch(3)).unwrap();
            writer.rest();
            if is_frozen {
                file.memory.freeze();
                append(&mut writer, &batch(2)).unwrap();
                writer.rest();
                stored += 2;
            }
            stored += 3;
            file.memory.tear();
            assert_eq!(read(), stored);
            writer = Writer::open(&file).unwrap();
            assert_eq!(read(), stored);
            assert_eq!((file.memory.load().ticks, file.memory.position().1), (stored, stored + 1));
        }
    }

    #[test]
    fn a_full_disk_stores_nothing_and_a_writer_opened_anew_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(Timestamp::MIN);
        let file = StoreFile::open(Settings::new(dir.path().join("chrono.db")), &clock).unwrap();
        let mut writer = Writer::open(&file).unwrap();
        append(&mut writer, &batch(3)).unwrap();
        writer.rest();
        writer.connection.pragma_update(None, "max_page_count", 1).unwrap();
        let fault = append(&mut writer, &batch(10_000)).unwrap_err();
        assert!(matches!(StoreError::from(fault), StoreError::Unavailable(_)));
        drop(writer);
        let mut writer = Writer::open(&file).unwrap();
        let outcomes = append(&mut writer, &batch(1)).unwrap();
        writer.rest();
        assert!(matches!(&outcomes[..], [Ok(Appended::Stored(Arrival(4)))]));
        assert_eq!(file.memory.load().ticks, 4);
    }
}
