//! `cargo xtask smoke`: README's main command, tried as a newcomer would.
//!
//! Builds the release binary, runs `cargo run --release -- demo` in an empty directory, takes
//! address and key from what it prints, waits until it is ready, demands that prices move on the
//! stream, stops it with SIGTERM, and demands exit code 0.

mod demo;
mod http;
mod stream;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use self::demo::Demo;
use crate::command;
use crate::workspace::Workspace;

/// From the start of the built binary until it is ready.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// From opening the stream until it has shown enough.
const PRICES_WITHIN: Duration = Duration::from_secs(30);
/// From SIGTERM until the process is gone: DESIGN section 9.
const STOPPED_WITHIN: Duration = Duration::from_secs(25);
/// The pause between two looks at a state that is awaited.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The symbol whose prices must move; every simulated exchange has it.
const SYMBOL: &str = "BTC/USD";

/// Runs the demo and puts it through its paces.
///
/// # Errors
/// When the demo does not build, start, get ready, move or stop in time; with what it printed.
pub fn run(workspace: &Workspace) -> anyhow::Result<()> {
    // Not `-p chrono-api`: that would unify features differently, and `cargo run` build again.
    command::run(&mut workspace.cargo(["build", "--release", "--locked", "--bin", "chrono-api"]))?;
    let mut demo = Demo::start(workspace)?;
    let outcome = paces(&mut demo);
    if outcome.is_err() {
        eprintln!("{}", demo.said());
    }
    outcome
}

fn paces(demo: &mut Demo) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY_WITHIN;
    let door = poll(deadline, || demo.door()).context("the demo printed no address and key")?;
    println!("smoke: http://127.0.0.1:{} printed", door.port);
    poll(deadline, || demo.alive_until(http::status(door.port, "/health/ready")? == 200))
        .context("the demo did not get ready")?;
    println!("smoke: ready");
    let path = format!("/stream/sse?symbols={SYMBOL}&key={}", door.key);
    let seen = stream::watch(door.port, &path, Instant::now() + PRICES_WITHIN)?;
    println!("smoke: {} updates of {SYMBOL}, {} prices", seen.updates, seen.prices.len());
    demo.terminate()?;
    let status = poll(Instant::now() + STOPPED_WITHIN, || demo.exit_status())
        .context("the demo did not stop on SIGTERM")?;
    if status.code() != Some(0) {
        bail!("the demo stopped with {status}");
    }
    println!("smoke: stopped cleanly");
    Ok(())
}

/// Looks until there is an answer; the deadline's fault is the last one seen.
fn poll<T>(
    deadline: Instant,
    mut look: impl FnMut() -> anyhow::Result<Look<T>>,
) -> anyhow::Result<T> {
    loop {
        match look()? {
            Look::Seen(value) => return Ok(value),
            Look::NotYet if Instant::now() >= deadline => bail!("not in time"),
            Look::NotYet => thread::sleep(LOOK_EVERY),
        }
    }
}

/// What a look at a state gave.
enum Look<T> {
    /// It is as awaited.
    Seen(T),
    /// It may come to be.
    NotYet,
}

impl<T> From<Option<T>> for Look<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::NotYet, Self::Seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_until_seen_or_until_the_deadline() {
        let mut looks = 0;
        let seen = poll(Instant::now() + Duration::from_mins(1), || {
            looks += 1;
            Ok((looks == 3).then_some("here").into())
        });
        assert_eq!(seen.unwrap(), "here");
        let missed = poll(Instant::now(), || Ok(Look::<()>::NotYet));
        assert_eq!(missed.unwrap_err().to_string(), "not in time");
    }
}
