//! What the machine allows: programs that do the least that the gateway's job takes, and nothing else.
//!
//! `limits append DIRECTORY shared|each ROOM_MIB` takes batches in durably, `limits answer FILE` answers every request with the
//! same bytes, `limits broadcast CLIENTS FILE` sends a frame to every client in a loop. Each prints where it listens and
//! ends when its standard input does.

mod answer;
mod append;
mod broadcast;
mod http;
mod row;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;

use anyhow::bail;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    std::thread::spawn(|| {
        // Whether it ends or fails, nobody is there any more.
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        std::process::exit(0);
    });
    match arguments[..] {
        ["append", directory, "shared", room] => {
            append::run(Path::new(directory), append::Commit::Shared, room.parse()?)
        }
        ["append", directory, "each", room] => {
            append::run(Path::new(directory), append::Commit::Each, room.parse()?)
        }
        ["answer", file] => answer::run(Path::new(file)),
        ["broadcast", clients, file] => broadcast::run(clients.parse()?, Path::new(file)),
        _ => bail!("append DIRECTORY shared|each ROOM_MIB, answer FILE, or broadcast CLIENTS FILE"),
    }
}

/// Says where the program listens.
fn announce(address: SocketAddr) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{address}")?)
}
