//! The load generator: raw sockets, one thread that reads and one that keeps the schedule.
//!
//! A latency counts from the moment a request was to be sent, not from when it could be: a server that stalls delays
//! every request that was due meanwhile, and each of them says so (no coordinated omission).

mod answer;
mod lane;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use mio::{Events, Interest, Poll, Token};

pub use self::answer::{Answer, find_answer};
use self::lane::Lane;
use crate::process::Usage;
use crate::server::Server;
use crate::statistics::{Spread, count};

/// How long the last answers may take after the end.
const GRACE: Duration = Duration::from_secs(20);
/// How long the reading thread sleeps at most, so that it sees the end.
const NAP: Duration = Duration::from_millis(20);
/// Bytes read at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// Requests of one connection.
pub trait Request: Send {
    /// Makes the bytes of a turn ready; turns count from zero.
    fn prepare(&mut self, turn: u64);

    /// Gives the bytes that are ready.
    fn bytes(&self) -> &[u8];
}

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Each connection's next as soon as its last is answered.
    Saturating,
    /// So many a second over all connections, evenly, whether answered or not.
    PerSecond(f64),
    /// As [`Pace::Saturating`], but so many on each connection; the span is the most it may take.
    Turns(u64),
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// Requests answered, all with 200.
    pub answered: u64,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// How latencies are spread.
    pub latency: Spread,
    /// CPU time the server used.
    pub server_cpu: Duration,
    /// CPU time this process used.
    pub generator_cpu: Duration,
}

impl Outcome {
    /// Gives answers a second.
    pub fn rate(&self) -> f64 {
        count(self.answered) / self.elapsed.as_secs_f64()
    }

    /// Gives the server's CPU time an answer, in microseconds.
    pub fn server_cpu_us(&self) -> f64 {
        self.server_cpu.as_secs_f64() * 1e6 / count(self.answered)
    }

    /// Gives the share of a core that the server used.
    pub fn server_cores(&self) -> f64 {
        self.server_cpu.as_secs_f64() / self.elapsed.as_secs_f64()
    }

    /// Gives the share of a core that this process used.
    pub fn generator_cores(&self) -> f64 {
        self.generator_cpu.as_secs_f64() / self.elapsed.as_secs_f64()
    }
}

/// Sends requests on a connection each for a while.
///
/// # Errors
/// When a connection breaks, an answer is not 200, or the last ones do not come.
pub fn run(
    server: &Server,
    requests: Vec<Box<dyn Request>>,
    pace: Pace,
    span: Duration,
) -> anyhow::Result<Outcome> {
    let before = (Usage::of(server.pid())?.cpu, Usage::own()?.cpu);
    let generator = Generator::connect(server.address(), requests, pace, span)?;
    let (mut latencies, elapsed) = generator.run()?;
    let after = (Usage::of(server.pid())?.cpu, Usage::own()?.cpu);
    Ok(Outcome {
        answered: latencies.len() as u64,
        elapsed,
        latency: Spread::of(&mut latencies),
        server_cpu: after.0.saturating_sub(before.0),
        generator_cpu: after.1.saturating_sub(before.1),
    })
}

struct Generator {
    poll: Mutex<Poll>,
    lanes: Vec<Mutex<Lane>>,
    pace: Pace,
    start: Instant,
    end: Instant,
    over: AtomicBool,
}

impl Generator {
    fn connect(
        address: SocketAddr,
        requests: Vec<Box<dyn Request>>,
        pace: Pace,
        span: Duration,
    ) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let mut lanes = Vec::with_capacity(requests.len());
        for (idx, request) in requests.into_iter().enumerate() {
            let mut lane = Lane::connect(address, request)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut lane.socket, Token(idx), interest)?;
            lanes.push(Mutex::new(lane));
        }
        let start = Instant::now();
        let (poll, over) = (Mutex::new(poll), AtomicBool::new(false));
        Ok(Self { poll, lanes, pace, start, end: start + span, over })
    }

    fn run(&self) -> anyhow::Result<(Vec<u32>, Duration)> {
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| self.send());
            let latencies = self.read();
            self.over.store(true, Ordering::Relaxed);
            sender.join().map_err(|_panic| anyhow::anyhow!("the sending thread panicked"))??;
            Ok((latencies?, self.start.elapsed()))
        })
    }

    /// Gives when a connection's request of a turn is to be sent, while there is one before the end.
    fn due(&self, lane_idx: usize, turn: u64, now: Instant) -> Option<Instant> {
        let due = match self.pace {
            Pace::Turns(turns) if turn >= turns => return None,
            Pace::Saturating | Pace::Turns(_) => now,
            Pace::PerSecond(rate) => {
                let place = turn * self.lanes.len() as u64 + lane_idx as u64;
                self.start + Duration::from_secs_f64(count(place) / rate)
            }
        };
        (due < self.end).then_some(due)
    }

    /// Keeps the schedule: each request goes out at its time, unless its connection still waits for the one before.
    fn send(&self) -> anyhow::Result<()> {
        for turn in 0.. {
            for (idx, lane) in self.lanes.iter().enumerate() {
                let now = Instant::now();
                let Some(due) = self.due(idx, turn, now) else { return Ok(()) };
                if due > now {
                    std::thread::sleep(due - now);
                }
                if self.over.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let mut lane = lane.lock().unwrap_or_else(PoisonError::into_inner);
                if lane.due.is_none() && lane.begun == turn {
                    lane.begin(due)?;
                }
            }
            if !matches!(self.pace, Pace::PerSecond(_)) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads answers and sends what became due meanwhile; gives the latencies in microseconds.
    fn read(&self) -> anyhow::Result<Vec<u32>> {
        let mut poll = self.poll.lock().unwrap_or_else(PoisonError::into_inner);
        let mut events = Events::with_capacity(1_024);
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut latencies = Vec::new();
        while !self.is_done() {
            ensure!(Instant::now() < self.end + GRACE, "answers are missing");
            match poll.poll(&mut events, Some(NAP)) {
                Err(fault) if fault.kind() == std::io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                let idx = event.token().0;
                let lane = self.lanes.get(idx).context("a lane")?;
                let mut lane = lane.lock().unwrap_or_else(PoisonError::into_inner);
                if event.is_writable() {
                    lane.flush()?;
                }
                if event.is_readable() {
                    latencies.extend(self.answer(idx, &mut lane, &mut buffer)?);
                }
            }
        }
        Ok(latencies)
    }

    fn answer(
        &self,
        idx: usize,
        lane: &mut Lane,
        buffer: &mut [u8],
    ) -> anyhow::Result<Option<u32>> {
        let Some(due) = lane.read(buffer)? else { return Ok(None) };
        let now = Instant::now();
        if let Some(next) = self.due(idx, lane.begun, now).filter(|next| *next <= now) {
            lane.begin(next)?;
        }
        Ok(Some(u32::try_from(now.duration_since(due).as_micros()).unwrap_or(u32::MAX)))
    }

    fn is_done(&self) -> bool {
        let over = Instant::now() >= self.end;
        let done = |lane: &Mutex<Lane>| {
            let lane = lane.lock().unwrap_or_else(PoisonError::into_inner);
            let served = matches!(self.pace, Pace::Turns(turns) if lane.begun >= turns);
            lane.due.is_none() && (over || served)
        };
        (over || matches!(self.pace, Pace::Turns(_))) && self.lanes.iter().all(done)
    }
}
