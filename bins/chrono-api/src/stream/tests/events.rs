//! Server-sent events.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// A reader of one body of events.
struct Reader {
    stream: TcpStream,
    unread: String,
}

/// One event.
#[derive(Debug)]
struct Event {
    id: Option<String>,
    data: Value,
}

impl Reader {
    /// Asks for events; gives the head of the answer too.
    async fn open(address: SocketAddr, query: &str, header: &str) -> (String, Self) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // HTTP/1.0: the body comes without chunks around it.
        let request = format!("GET /stream/sse?{query} HTTP/1.0\r\nHost: test\r\n{header}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reader = Self { stream, unread: String::new() };
        let head = reader.until("\r\n\r\n").await;
        (head, reader)
    }

    async fn events(address: SocketAddr, query: &str, header: &str) -> Self {
        let (head, mut reader) =
            Self::open(address, &format!("{query}&key={PUBLIC}"), header).await;
        assert!(head.starts_with("HTTP/1.0 200") && head.contains("text/event-stream"), "{head}");
        assert_eq!(reader.until("\n\n").await, "retry: 2000\n\n");
        reader
    }

    async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.unread.find(end) {
                let rest = self.unread.split_off(at + end.len());
                return std::mem::replace(&mut self.unread, rest);
            }
            assert!(self.more().await, "over: {}", self.unread);
        }
    }

    async fn more(&mut self) -> bool {
        let mut bytes = [0; 4_096];
        let count = timeout(SOON, self.stream.read(&mut bytes)).await.expect("nothing").unwrap();
        self.unread.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        count > 0
    }

    async fn next(&mut self) -> Event {
        let text = self.until("\n\n").await;
        let field = |name| text.lines().find_map(|line| line.strip_prefix(name));
        let id = field("id: ").map(str::to_owned);
        Event { id, data: serde_json::from_str(field("data: ").unwrap()).unwrap() }
    }
}

#[tokio::test]
async fn events_are_the_messages_with_ids_to_resume_from() {
    let mut desk = Desk::usual().await;
    desk.publish("A/B", 2).await;
    let mut reader = Reader::events(desk.address, "symbols=A/B,x&mode=all", "").await;
    let told = reader.next().await;
    assert_eq!((told.id, &told.data["rejected"][0]["symbol"]), (None, &"x".into()));
    let epoch = told.data["epoch"].as_str().unwrap().to_owned();
    let snapshot = reader.next().await;
    assert_eq!((snapshot.id, &snapshot.data["snapshot"]), (None, &true.into()));
    desk.publish("A/B", 2).await;
    let update = reader.next().await;
    assert_eq!((update.id, &update.data["seq"]), (Some(format!("{epoch}-3")), &3.into()));
    drop(reader);
    desk.until_open(0).await;
    let header = format!("Last-Event-ID: {epoch}-3\r\n");
    let mut reader = Reader::events(desk.address, "symbols=A/B", &header).await;
    assert_eq!(reader.next().await.id, Some(format!("{epoch}-3")));
    let resumed = serde_json::json!({ "type": "resumed", "from": 3, "to": 4 });
    assert_eq!(reader.next().await.data, resumed);
    assert_eq!(reader.next().await.data["seq"], 4);
    let header = "Last-Event-ID: 0000000000000000-3\r\n";
    let mut reader = Reader::events(desk.address, "symbols=A/B", header).await;
    reader.next().await;
    assert_eq!(reader.next().await.data["type"], "reset");
}

#[tokio::test]
async fn what_cannot_be_streamed_is_refused_with_its_code() {
    let desk = Desk::usual().await;
    let keyed = |query: &str| format!("{query}&key={PUBLIC}");
    for (query, header, status) in [
        ("symbols=A/B".to_owned(), "", "401"),
        ("symbols=A/B&key=junk".to_owned(), "", "401"),
        (keyed("a=1"), "", "400"),
        (keyed("mode=all"), "", "400"),
        (keyed("symbols=x,y"), "", "400"),
        (keyed("symbols=A/B&mode=some"), "", "400"),
        (keyed("symbols=A/B&since=-1"), "", "400"),
        (keyed("symbols=A/B"), "Last-Event-ID: 7\r\n", "400"),
    ] {
        let (head, _) = Reader::open(desk.address, &query, header).await;
        assert_eq!(head.split(' ').nth(1), Some(status), "{query} {header}");
    }
    desk.until_open(0).await;
}

#[tokio::test]
async fn a_drain_ends_the_body_and_tells_when_to_come_back() {
    let desk = Desk::usual().await;
    let mut reader = Reader::events(desk.address, "symbols=A/B", "").await;
    assert_eq!(reader.next().await.data["type"], "subscribed");
    let (unfinished, ()) = tokio::join!(desk.supervisor.shutdown(SOON), async {
        let text = reader.until("\n\n").await;
        assert_eq!(text, "retry: 0\ndata: {\"type\":\"reconnect\",\"after_ms\":0}\n\n");
        assert!(!reader.more().await);
    });
    assert_eq!(unfinished, Vec::<&str>::new());
}

#[tokio::test]
async fn a_listener_that_lags_is_conflated_and_catches_up() {
    let mut desk = Desk::usual().await;
    let mut reader = Reader::events(desk.address, "symbols=A/B", "").await;
    reader.next().await;
    let mut client = super::client::Client::connect(desk.address, PUBLIC).await;
    client.subscribe(r#""A/B""#, "").await;
    for commit in 0..400 {
        desk.publish("A/B", 100).await;
        for seq in commit * 100 + 1..=(commit + 1) * 100 {
            assert_eq!(client.told().await["seq"], seq);
        }
    }
    let (mut got, mut last) = (0, 0);
    while last < 40_000 {
        let seq = reader.next().await.data["seq"].as_u64().unwrap();
        assert!(seq > last);
        (got, last) = (got + 1, seq);
    }
    assert!(got < 40_000, "the kernel held everything");
}
