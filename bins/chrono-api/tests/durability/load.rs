//! Eight writers and two readers that work until the gateway is gone, and write down what they were told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use chrono_client::{Client, ClientError, Event, Mode, StreamAuth, StreamOptions};
use chrono_domain::{Clock, SystemClock};
use chrono_testkit::ledger::{self, Answer, Ledger, SentBatch, Sighting};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::feeds::{FeedMaker, SYMBOLS, posted};

/// How long writers may take to see that the gateway is gone.
const END: Duration = Duration::from_mins(1);
/// The reader's rest between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Everybody who talks to a gateway.
pub(crate) struct Load {
    tasks: JoinSet<anyhow::Result<()>>,
    acknowledged: Arc<Notify>,
}

/// What a writer shares with the others.
#[derive(Clone)]
struct Desk {
    client: Client,
    ledger: Arc<Mutex<Ledger>>,
    clock: Arc<SystemClock>,
    acknowledged: Arc<Notify>,
}

impl Load {
    /// Starts a writer for each maker of batches, a reader of the latest prices, and one of the stream.
    pub(crate) fn start(
        writing: &Client,
        reading: &Client,
        ledger: &Arc<Mutex<Ledger>>,
        makers: Vec<FeedMaker>,
    ) -> Self {
        let acknowledged = Arc::new(Notify::new());
        let mut tasks = JoinSet::new();
        for maker in makers {
            let desk = Desk {
                client: writing.clone(),
                ledger: Arc::clone(ledger),
                clock: Arc::clone(&maker.clock),
                acknowledged: Arc::clone(&acknowledged),
            };
            tasks.spawn(write(desk, maker));
        }
        tasks.spawn(watch_latest(reading.clone(), Arc::clone(ledger)));
        tasks.spawn(follow(reading.clone(), Arc::clone(ledger)));
        Self { tasks, acknowledged }
    }

    /// Waits for the first acknowledgement.
    pub(crate) async fn acknowledged(&self) -> anyhow::Result<()> {
        timeout(END, self.acknowledged.notified()).await.context("nothing is acknowledged")
    }

    /// Waits until everybody has seen that the gateway is gone.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                ended??;
            }
            anyhow::Ok(())
        };
        timeout(END, all).await.context("the writers do not end")?
    }
}

async fn write(desk: Desk, mut maker: FeedMaker) -> anyhow::Result<()> {
    loop {
        let batch = maker.batch();
        let number = desk.ledger.lock().unwrap().sending(batch.clone())?;
        let sent = post(&desk.client, &batch, desk.clock.now().micros()).await?;
        desk.ledger.lock().unwrap().answered(number, sent.answer.clone())?;
        if sent.gone {
            return Ok(());
        }
        if matches!(sent.answer, Answer::Stored { .. }) {
            desk.acknowledged.notify_one();
        }
    }
}

/// Looks at the latest prices all the time, and notes those that changed.
async fn watch_latest(client: Client, ledger: Arc<Mutex<Ledger>>) -> anyhow::Result<()> {
    let mut last = None;
    loop {
        let (asked, symbols) = {
            let ledger = ledger.lock().unwrap();
            let symbols: Vec<_> = ledger.book().symbols().map(str::to_owned).collect();
            (ledger.book().lines(), symbols)
        };
        match ledger::latest(&client, &symbols).await {
            Ok(prices) if last.as_ref() != Some(&prices) => {
                ledger.lock().unwrap().saw(Sighting { asked, prices: prices.clone() })?;
                last = Some(prices);
            }
            Ok(_) => {}
            Err(ClientError::Transport(_)) => return Ok(()),
            Err(fault) => return Err(fault.into()),
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Follows every symbol, and notes what came.
async fn follow(client: Client, ledger: Arc<Mutex<Ledger>>) -> anyhow::Result<()> {
    let mut prices = Vec::new();
    let fault = follow_until_fault(&client, &mut prices).await;
    ledger.lock().unwrap().followed(prices)?;
    match fault {
        ClientError::Transport(_) | ClientError::Closed { .. } => Ok(()),
        fault => Err(fault.into()),
    }
}

async fn follow_until_fault(client: &Client, prices: &mut Vec<String>) -> ClientError {
    let options =
        StreamOptions { auth: StreamAuth::Query, mode: Mode::All, ..StreamOptions::default() };
    let following = async {
        let mut stream = client.stream(options).await?;
        stream.subscribe(&SYMBOLS).await?;
        loop {
            match stream.next().await? {
                Event::PriceUpdate(update) if !update.snapshot => prices.push(update.price),
                _ => {}
            }
        }
    };
    let ended: Result<std::convert::Infallible, _> = following.await;
    match ended {
        Err(fault) => fault,
    }
}

/// What came of one try.
pub(crate) struct Sent {
    pub(crate) answer: Answer,
    /// Whether the gateway did not answer at all.
    pub(crate) gone: bool,
}

/// Sends a batch once.
pub(crate) async fn post(client: &Client, batch: &SentBatch, now: i64) -> anyhow::Result<Sent> {
    let answer = match client.ingest(&posted(batch, now), batch.key.as_deref()).await {
        Ok(reply) => {
            let refused = reply.errors.iter().map(|fault| fault.index).collect();
            Answer::Stored { refused, repeated: reply.replayed }
        }
        Err(ClientError::Refused(refusal)) if refusal.errors.len() == batch.feeds.len() => {
            Answer::Refused
        }
        // Nothing was done; with its key it is tried again later.
        Err(ClientError::Unavailable { .. }) if batch.key.is_none() => Answer::Refused,
        Err(ClientError::Unavailable { .. } | ClientError::OutcomeUnknown { .. }) => {
            Answer::Unknown
        }
        Err(ClientError::Transport(_)) => return Ok(Sent { answer: Answer::Unknown, gone: true }),
        Err(fault) => bail!("an answer that no batch deserves: {fault}"),
    };
    Ok(Sent { answer, gone: false })
}
