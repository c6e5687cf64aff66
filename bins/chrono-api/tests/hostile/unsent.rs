//! Readers whose kernel was shown to be fast, and who then take nothing: what the gateway's kernel holds for them is
//! bounded, too, and gone once they are cut.
//!
//! On Linux only, which lists what every socket has not sent. Elsewhere the buffer has a fixed size, which the kernel
//! keeps to.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use chrono_testkit::PUBLIC_KEY;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::client::SOON;
use crate::descriptors::{figure, until_within};
use crate::readers::{LARGEST, LOOK_EVERY, ROWS, fill};
use crate::service::Service;

/// Readers, all from one address, with the buffers and segments of any program: as many as that address may have large
/// answers on their way.
const READERS: usize = 20;
/// Answers that each asks for and does not read: more than its own kernel takes, which is a few.
const UNREAD: usize = 40;
/// What may be held for each: what is meant, and what is on the wire, which a full receiver may drop and be sent again.
const UNSENT_EACH_MAX: usize = 1_024 * 1_024;
/// When the last is cut: 30 seconds after it took nothing more, and room for a busy machine.
const CUT_WITHIN: Duration = Duration::from_secs(30 + 60);

#[tokio::test(flavor = "multi_thread")]
async fn the_kernel_holds_little_for_readers_that_take_nothing_and_drops_it_with_them() {
    let service = Service::start_with(&[("METRICS_ADDR", "127.0.0.1:0")]);
    let operators = service.gateway.metrics_address().unwrap();
    fill(&service);
    let address = service.gateway.address();
    let mut held = Vec::new();
    for _ in 0..READERS {
        // One after the other: room is taken for the longest answer that there might be, until it is made.
        held.push(read_one_and_ask_for_more(address).await);
    }
    let mut most = 0;
    let sampling = async {
        loop {
            most = most.max(unsent(address));
            sleep(LOOK_EVERY).await;
        }
    };
    let cut = |body: &str| figure(body, "http_write_stalls_total") == READERS;
    tokio::select! {
        () = until_within(CUT_WITHIN, operators, cut) => {}
        () = sampling => {}
    }
    assert!(most < READERS * UNSENT_EACH_MAX, "{most} bytes were not sent");
    assert!(most > 0, "nothing was ever seen");
    let gone = async {
        while unsent(address) > 0 {
            sleep(LOOK_EVERY).await;
        }
    };
    timeout(SOON, gone).await.expect("what was not sent outlives its connection");
    drop(held);
    assert!(service.gateway.stop().unwrap().success());
}

/// Reads the largest answer as fast as it comes, so that the kernel makes its buffers as large as they become; then asks
/// for it again and again, and reads nothing.
async fn read_one_and_ask_for_more(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let ask = format!("GET {LARGEST} HTTP/1.1\r\nHost: a\r\nX-API-Key: {PUBLIC_KEY}\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}\n") {
        let read = timeout(SOON, stream.read_buf(&mut answer)).await.expect("it breaks off");
        assert_ne!(read.unwrap(), 0, "closed");
    }
    assert!(answer.len() > ROWS * 150, "{}", String::from_utf8_lossy(&answer));
    stream.write_all(ask.repeat(UNREAD).as_bytes()).await.unwrap();
    let begins = timeout(SOON, stream.peek(&mut [0; 1])).await.expect("no answer begins");
    assert_eq!(begins.unwrap(), 1);
    stream
}

/// Counts the bytes that the sockets of a server have not sent, or whose arrival nobody has confirmed.
fn unsent(server: SocketAddr) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let of_server = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (_, port) = fields.next()?.split_once(':')?;
        let (queued, _) = fields.nth(2)?.split_once(':')?;
        let is_its = u16::from_str_radix(port, 16) == Ok(server.port());
        is_its.then(|| usize::from_str_radix(queued, 16).unwrap())
    };
    table.lines().skip(1).filter_map(of_server).sum()
}
