//! One thread that calls `send` in a loop.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

/// Accepts so many clients and one more who commands: each byte of the commander's sends the file's bytes to every client.
pub(crate) fn run(clients: usize, file: &Path) -> anyhow::Result<()> {
    let frame = std::fs::read(file)?;
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    crate::announce(listener.local_addr()?)?;
    let mut sockets = Vec::with_capacity(clients);
    for _ in 0..clients {
        let (socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        sockets.push(socket);
    }
    let (mut commander, _) = listener.accept()?;
    while commander.read_exact(&mut [0]).is_ok() {
        send(&mut sockets, &frame)?;
    }
    Ok(())
}

fn send(sockets: &mut [TcpStream], frame: &[u8]) -> anyhow::Result<()> {
    sockets.iter_mut().try_for_each(|socket| Ok(socket.write_all(frame)?))
}
