//! Clients that do as they should, beside those that do not.

use std::time::Duration;

use chrono_client::{Client, Feed, IngestBatch};
use chrono_domain::{Clock, SystemClock};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::service::Service;

/// How long an answer may take, on a busy machine.
const ANSWER: Duration = Duration::from_secs(5);
/// Rest between two rounds.
const REST: Duration = Duration::from_millis(10);

/// Somebody who posts a price and reads it back, again and again.
pub(crate) struct Honest {
    tasks: JoinSet<usize>,
    stop: oneshot::Sender<()>,
}

impl Honest {
    /// Starts with a first round, so that what follows falls on a gateway that works.
    pub(crate) async fn start(service: &Service) -> Self {
        let mut work = Work { worker: service.worker(), reader: service.reader(), round: 0 };
        work.round().await;
        let (stop, mut stopped) = oneshot::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while stopped.try_recv().is_err() {
                work.round().await;
                sleep(REST).await;
            }
            work.round
        });
        Self { tasks, stop }
    }

    /// Ends, having been answered rightly all the while.
    pub(crate) async fn end(mut self) {
        self.stop.send(()).expect("an honest client failed");
        let rounds = self.tasks.join_next().await.unwrap().expect("an honest client failed");
        assert!(rounds > 1, "the honest client did not get its turn");
    }
}

struct Work {
    worker: Client,
    reader: Client,
    round: usize,
}

impl Work {
    async fn round(&mut self) {
        self.round += 1;
        let now = SystemClock::new().now().to_string();
        let price = format!("{}.50", self.round);
        let feed = Feed {
            symbol: "HONEST/USD".to_owned(),
            price: price.clone(),
            volume: None,
            source: "s".to_owned(),
            timestamp: now.clone(),
            metadata: None,
        };
        let batch =
            IngestBatch { worker_id: "honest".to_owned(), timestamp: now, feeds: vec![feed] };
        let both = async {
            assert_eq!(self.worker.ingest(&batch, None).await.unwrap().ingested, 1);
            let latest = self.reader.latest(&["HONEST/USD"]).await.unwrap();
            assert_eq!(latest.data[0].price, price);
        };
        timeout(2 * ANSWER, both).await.expect("an honest client waits too long");
    }
}
