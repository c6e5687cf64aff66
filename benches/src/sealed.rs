//! How much of what a gateway took in lies in pages, and how much still in its memory: its file says so.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use rusqlite::{Connection, OpenFlags};

use crate::history::settle;
use crate::server::{Server, gateway};

const COUNTERS: &str = "SELECT (SELECT next FROM counters WHERE name = 'cycle'), \
    (SELECT next - 1 FROM counters WHERE name = 'arrival')";
/// How long sealing what memory may hold may take.
const PATIENCE: Duration = Duration::from_mins(2);
const STEP: Duration = Duration::from_millis(50);

/// What the cycles of a gateway's store have come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// Cycles that were published.
    pub cycles: u64,
    /// Ticks that pages hold; the later ones are in memory.
    pub ticks: u64,
}

impl Sealed {
    /// Reads it from the data directory of a gateway that runs.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn of(directory: &Path) -> anyhow::Result<Self> {
        let path = directory.join("chrono.db");
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let (cycles, ticks): (i64, i64) =
            connection.query_one(COUNTERS, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Self { cycles: cycles.try_into()?, ticks: ticks.try_into()? })
    }

    /// Waits until pages hold so many ticks at least.
    ///
    /// # Errors
    /// When they do not within two minutes.
    pub fn wait(directory: &Path, ticks: u64) -> anyhow::Result<Self> {
        let started = Instant::now();
        loop {
            let sealed = Self::of(directory)?;
            if sealed.ticks >= ticks {
                return Ok(sealed);
            }
            ensure!(started.elapsed() < PATIENCE, "{sealed:?}, wanted {ticks} ticks");
            std::thread::sleep(STEP);
        }
    }
}

/// Brings all ticks of a data directory, of which there are so many, into pages; none are in the memory of the gateway
/// that starts on it next. Nobody may be running on it.
///
/// # Errors
/// When a gateway does not start, seal or stop.
pub fn seal(directory: &Path, ticks: u64) -> anyhow::Result<()> {
    let running = gateway(directory)?.with("STORE_CYCLE_TICKS", "1").start()?;
    let sealed = Sealed::wait(directory, ticks)?;
    ensure!(sealed.ticks == ticks, "{sealed:?} of {ticks} ticks");
    settle(&Server::attach(&running)?)?;
    ensure!(running.stop()?.success(), "the gateway did not stop cleanly");
    Ok(())
}
