//! Random schedules of publishers, clients, stalls, reconnects and restarts against a ledger.
//!
//! The judge knows only the ledger of what was published and what each client asked for and was told. It holds every
//! message against the promises at once: numbers grow, nothing comes twice, uninvited or after an end, every position
//! told is true, every `since` is answered, what is missing was declared, and whoever is up to date has the newest.

mod judge;

use proptest::prelude::*;

use super::*;
use judge::{Account, Judge, Published};

const SYMBOLS: [&str; 5] = ["A/X", "A/Y", "B/X", "B/Y", "C/X"];
const TOPICS: [&str; 9] = ["A/X", "A/Y", "B/X", "B/Y", "C/X", "A/*", "*/X", "*/Y", "*/*"];
const SOURCES: [&str; 2] = ["s", "t"];
const CLIENTS: usize = 3;

/// One step of a schedule.
#[derive(Debug, Clone)]
enum Step {
    /// A commit of (symbol, source, time) by index.
    Publish(Vec<(usize, usize, i64)>),
    /// The bus drops a commit before this hub read it.
    Lose(Vec<(usize, usize, i64)>),
    /// `since` is so much before the head.
    Subscribe {
        client: usize,
        topics: Vec<usize>,
        snapshot: bool,
        since: Option<u64>,
    },
    Unsubscribe {
        client: usize,
        topics: Vec<usize>,
    },
    Take {
        client: usize,
        bytes_max: usize,
    },
    Flow {
        client: usize,
        flow: Flow,
    },
    Heartbeat {
        client: usize,
    },
    Reconnect {
        client: usize,
        mode: Mode,
        topics: Vec<usize>,
        since: Since,
    },
    /// The process starts anew: a new epoch, the values from the book, every connection gone.
    Restart,
}

/// What a client that comes back says.
#[derive(Debug, Clone, Copy)]
enum Since {
    Nothing,
    /// The newest number it was told.
    Last,
    /// So much earlier.
    Earlier(u64),
    /// So much later than anything published.
    Future(u64),
}

fn ticks() -> impl Strategy<Value = Vec<(usize, usize, i64)>> {
    proptest::collection::vec((0..SYMBOLS.len(), 0..SOURCES.len(), 0..12_i64), 1..5)
}

fn some_topics() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0..TOPICS.len(), 1..4)
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    let mode = prop_oneof![Just(Mode::Latest), Just(Mode::All)];
    let flow =
        prop_oneof![2 => Just(Flow::Open), 1 => Just(Flow::Handed), 1 => Just(Flow::Blocked)];
    let since = prop_oneof![
        2 => Just(Since::Nothing),
        4 => Just(Since::Last),
        2 => (1..20_u64).prop_map(Since::Earlier),
        1 => (1..5_u64).prop_map(Since::Future),
    ];
    let again = proptest::option::weighted(0.3, 0..4_u64);
    prop_oneof![
        12 => ticks().prop_map(Step::Publish),
        1 => ticks().prop_map(Step::Lose),
        4 => (client.clone(), some_topics(), any::<bool>(), again).prop_map(
            |(client, topics, snapshot, since)| Step::Subscribe { client, topics, snapshot, since }
        ),
        2 => (client.clone(), some_topics())
            .prop_map(|(client, topics)| Step::Unsubscribe { client, topics }),
        12 => (client.clone(), prop_oneof![Just(1_usize), Just(1_000), Just(100_000)])
            .prop_map(|(client, bytes_max)| Step::Take { client, bytes_max }),
        5 => (client.clone(), flow).prop_map(|(client, flow)| Step::Flow { client, flow }),
        2 => client.clone().prop_map(|client| Step::Heartbeat { client }),
        3 => (client, mode, some_topics(), since).prop_map(|(client, mode, topics, since)| {
            Step::Reconnect { client, mode, topics, since }
        }),
        1 => Just(Step::Restart),
    ]
}

/// The gateway, its clients, and the judge beside them.
struct World {
    desk: Desk,
    epoch: u64,
    judge: Judge,
    clients: Vec<(Client, Account)>,
}

fn settings() -> StreamSettings {
    StreamSettings {
        ring_frames_max: 9,
        queue_frames_max: 3,
        slice_frames_max: 4,
        ..StreamSettings::default()
    }
}

fn pick(idxs: &[usize]) -> Vec<Topic> {
    let mut names: Vec<_> = idxs.iter().map(|idx| TOPICS[*idx]).collect();
    names.dedup();
    topics(&names)
}

impl World {
    fn new() -> Self {
        let desk = Desk::new(settings());
        let clients = (0..CLIENTS).map(|_| Self::connect(&desk, Mode::Latest)).collect();
        Self { desk, epoch: 1, judge: Judge::default(), clients }
    }

    fn connect(desk: &Desk, mode: Mode) -> (Client, Account) {
        let client = desk.hub.connect(HERE).unwrap();
        client.subscribe(&Subscribe { mode: Some(mode), ..Subscribe::default() });
        (client, Account::new(mode))
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Publish(ticks) => self.commit(&ticks, true),
            Step::Lose(ticks) => self.commit(&ticks, false),
            Step::Subscribe { client, topics, snapshot, since } => {
                let since = since.map(|back| Seq(self.judge.head().0.saturating_sub(back)));
                let resume = since.map(|since| Resume { epoch: Some(Epoch(self.epoch)), since });
                let request = Subscribe { topics: pick(&topics), snapshot, resume, mode: None };
                self.subscribe(client, &request);
            }
            Step::Unsubscribe { client, topics } => {
                let (client, account) = &mut self.clients[client];
                let done = client.unsubscribe(&pick(&topics));
                account.unsubscribed(&self.judge, &done);
            }
            Step::Take { client, bytes_max } => self.take(client, bytes_max),
            Step::Flow { client, flow } => {
                let (client, account) = &mut self.clients[client];
                client.set_flow(flow);
                account.flow(flow);
            }
            Step::Heartbeat { client } => {
                let (client, account) = &mut self.clients[client];
                if let Some(pulse) = client.heartbeat() {
                    account.told_position(&self.judge, pulse.position);
                }
            }
            Step::Reconnect { client, mode, topics, since } => {
                self.reconnect(client, mode, &topics, since);
            }
            Step::Restart => self.restart(),
        }
    }

    fn commit(&mut self, ticks: &[(usize, usize, i64)], arrives: bool) {
        let named: Vec<_> = ticks
            .iter()
            .map(|(symbol, source, at)| (SYMBOLS[*symbol], SOURCES[*source], *at))
            .collect();
        let first = self.desk.hub.lock().head.next().0;
        for (seq, (symbol, source, at)) in (first..).zip(&named) {
            let arrival = self.desk.arrival + 1 + (seq - first);
            let stored = stored(symbol, source, *at, arrival);
            self.judge.publish(Published { seq: Seq(seq), stored, arrives });
        }
        if arrives {
            self.desk.publish(&named);
        } else {
            let lost: Vec<_> = (self.desk.arrival + 1..)
                .zip(&named)
                .map(|(arrival, (symbol, source, at))| stored(symbol, source, *at, arrival))
                .collect();
            self.desk.arrival += named.len() as u64;
            self.desk.book.apply(&lost, Timestamp::MIN);
            self.desk.hub.skip_to(Seq(first - 1 + named.len() as u64), &self.desk.book);
        }
        for (_, account) in &mut self.clients {
            account.note_distance(&self.judge, settings().ring_frames_max);
        }
    }

    fn subscribe(&mut self, client: usize, request: &Subscribe) -> Subscribed {
        let (client, account) = &mut self.clients[client];
        let done = client.subscribe(request);
        account.subscribed(&self.judge, request, &done);
        done
    }

    fn take(&mut self, client: usize, bytes_max: usize) {
        let (client, account) = &mut self.clients[client];
        if account.is_blocked() {
            return;
        }
        let mut batch = Batch::new(bytes_max);
        let more = client.take(&mut batch);
        for item in batch.into_items() {
            account.received(&self.judge, &item);
        }
        if !more {
            account.up_to_date(&self.judge);
        }
    }

    fn reconnect(&mut self, client: usize, mode: Mode, topics: &[usize], since: Since) {
        let (epoch, last) = self.clients[client].1.last_told(self.epoch);
        let since = match since {
            Since::Nothing => None,
            Since::Last => Some(last),
            Since::Earlier(by) => Some(Seq(last.0.saturating_sub(by))),
            Since::Future(by) => Some(Seq(self.judge.head().0 + by)),
        };
        let heard = self.clients[client].1.heard(since, epoch);
        self.clients[client] = Self::connect(&self.desk, mode);
        self.clients[client].1.remember(heard);
        let request = Subscribe {
            topics: pick(topics),
            snapshot: true,
            resume: since.map(|since| Resume { epoch: Some(Epoch(epoch)), since }),
            mode: None,
        };
        let done = self.subscribe(client, &request);
        assert_eq!(done.resumption.is_some(), since.is_some(), "every since is answered");
        if epoch != self.epoch && since.is_some() {
            assert_eq!(done.resumption, Some(Resumption::Reset));
        }
    }

    fn restart(&mut self) {
        self.epoch += 1;
        self.desk.hub = hub_of(settings(), &self.desk.book, self.epoch, 0);
        self.judge.restart();
        for (client, account) in &mut self.clients {
            let (epoch, last) = account.last_told(self.epoch - 1);
            let mode = account.mode();
            (*client, *account) = Self::connect(&self.desk, mode);
            account.was_told(epoch, last);
        }
    }

    /// Lets every client catch up: the newest of everything must have come.
    fn come_to_rest(&mut self) {
        for idx in 0..CLIENTS {
            self.clients[idx].0.set_flow(Flow::Open);
            self.clients[idx].1.flow(Flow::Open);
            let mut taken = 0;
            while !self.clients[idx].1.is_up_to_date(&self.judge) {
                self.take(idx, 500);
                taken += 1;
                assert!(taken < 1_000, "a client never gets up to date");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn every_schedule_keeps_every_promise(steps in proptest::collection::vec(step(), 1..70)) {
        let mut world = World::new();
        for step in steps {
            world.play(step);
        }
        world.come_to_rest();
    }
}
