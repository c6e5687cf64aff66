//! A gateway's log: read until it listens, then read away, or not at all.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Where a gateway listens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses {
    pub(super) main: SocketAddr,
    /// Of metrics, if they have one of their own.
    pub(super) metrics: Option<SocketAddr>,
}

/// A gateway that listens, and the thread that reads its log.
type Listening = (Addresses, JoinHandle<Vec<String>>);

/// Reads the log until the line that says where it listens; the rest is read away, so that the pipe never fills.
pub(super) fn listening(
    log: impl Read + Send + 'static,
    within: Duration,
) -> Result<Listening, String> {
    let (found, answer) = sync_channel(1);
    let reader = thread::Builder::new().name("gateway-log".to_owned());
    let errors = reader.spawn(move || read(log, &found)).map_err(|broken| broken.to_string())?;
    let addresses = answer.recv_timeout(within).unwrap_or_else(|fault| match fault {
        RecvTimeoutError::Timeout => Err("it does not listen".to_owned()),
        RecvTimeoutError::Disconnected => Err("its log ended".to_owned()),
    });
    Ok((addresses?, errors))
}

/// Reads the log until the line that says where it listens; gives what stood before it when there is none.
pub(super) fn addresses(log: impl Read) -> Result<Addresses, String> {
    addresses_in(&mut lines(log))
}

/// Makes whoever writes there wait, for as long as nobody reads.
///
/// # Errors
/// When the socket fails.
pub fn fill(mut written: &UnixStream) -> io::Result<()> {
    // The mark belongs to the socket, not to this handle of it: it must go again.
    written.set_nonblocking(true)?;
    let filled = loop {
        match written.write(b"\n") {
            Ok(_) => {}
            Err(full) if full.kind() == io::ErrorKind::WouldBlock => break Ok(()),
            Err(fault) => break Err(fault),
        }
    };
    written.set_nonblocking(false)?;
    filled
}

fn lines(log: impl Read) -> impl Iterator<Item = String> {
    BufReader::new(log).lines().map_while(Result::ok)
}

fn addresses_in(lines: &mut impl Iterator<Item = String>) -> Result<Addresses, String> {
    let mut seen = String::new();
    for line in lines {
        seen.push_str(&line);
        if line.contains("\"listening\"") {
            let main = address_in(&line, "address").ok_or(seen)?;
            return Ok(Addresses { main, metrics: address_in(&line, "metrics_address") });
        }
        seen.push('\n');
    }
    Err(seen)
}

fn address_in(line: &str, name: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(&format!("\"{name}\":\""))?;
    rest.split_once('"')?.0.parse().ok()
}

fn read(log: impl Read, found: &SyncSender<Result<Addresses, String>>) -> Vec<String> {
    let mut lines = lines(log);
    drop(found.send(addresses_in(&mut lines)));
    // Errors of a running gateway are worth seeing beside a failed test.
    let errors =
        lines.filter(|line| line.contains("\"level\":\"ERROR\"") || !line.starts_with('{'));
    errors.inspect(|line| eprintln!("{line}")).collect()
}
