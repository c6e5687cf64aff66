//! A client's conversation, by what it says and what it is told.

use std::net::{IpAddr, Ipv4Addr};

use chrono_cache::{Bus, BusError, BusRead, LatestBook};
use chrono_domain::{Arrival, Epoch, ManualClock, Price, Source, StoredTick, Symbol, Tick};
use serde_json::{Value, json};

use super::*;
use crate::hub::Hub;

/// A bus whose head stands at 4.
struct Standing;

#[async_trait::async_trait]
impl Bus for Standing {
    fn epoch(&self) -> Epoch {
        Epoch(1)
    }

    fn head(&self) -> Seq {
        Seq(4)
    }

    async fn publish(&self, _: Arc<[StoredTick]>, _: Timestamp) -> Result<Seq, BusError> {
        Ok(Seq(4))
    }

    async fn read(&self, _: Seq) -> Result<BusRead, BusError> {
        std::future::pending().await
    }
}

/// A session and its clock.
struct Talk {
    session: Session,
    clock: Arc<ManualClock>,
}

impl Talk {
    fn with(settings: StreamSettings, peer: Peer) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::MIN));
        let book = LatestBook::default();
        let tick = Tick::try_new(
            Symbol::try_new("BTC/USD").unwrap(),
            Source::try_new("s").unwrap(),
            Price::try_new("1.50").unwrap(),
            None,
            Timestamp::MIN,
        );
        let stored =
            StoredTick { tick: tick.unwrap(), arrival: Arrival(1), ingested_at: Timestamp::MIN };
        book.apply(&[stored], Timestamp::MIN);
        let hub = Arc::new(Hub::new(&Standing, &book, Arc::clone(&clock) as _, settings));
        let client = hub.connect(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        Self { session: Session::new(client, peer), clock }
    }

    fn new() -> Self {
        Self::with(StreamSettings::default(), Peer::Talking)
    }

    /// A conversation of somebody with a key.
    fn known() -> Self {
        let mut talk = Self::new();
        talk.auth(Some("key"));
        talk.told();
        talk
    }

    fn auth(&mut self, key: Option<&str>) {
        self.answer_key(key.map(Into::into).ok_or(Denied::Unauthorized));
    }

    fn answer_key(&mut self, key: Result<KeyId, Denied>) {
        let request = self.session.hear(r#"{"action":"auth","key":"secret","id":9}"#).unwrap();
        assert_eq!(request.key.expose(), "secret");
        self.session.authenticate(&request, key);
    }

    /// Everything the client is told now.
    fn told(&mut self) -> Vec<Value> {
        let mut batch = Batch::new(1 << 20);
        assert!((0..10_000).any(|_| !self.session.take(&mut batch)), "there is always more");
        self.session.flushed();
        let texts = batch.into_items().into_iter().map(|item| item.text());
        texts.map(|text| serde_json::from_slice(&text).unwrap()).collect()
    }

    fn says(&mut self, text: &str) -> Vec<Value> {
        assert!(self.session.hear(text).is_none());
        self.told()
    }

    fn until(&mut self, uptime: Duration) {
        self.clock.advance(uptime.saturating_sub(self.clock.uptime()));
    }

    fn wait(&mut self, millis: u64) -> bool {
        self.clock.advance(Duration::from_millis(millis));
        self.session.tick()
    }
}

#[test]
fn a_key_comes_first() {
    let mut talk = Talk::new();
    let told = talk.says(r#"{"action":"subscribe","symbols":["BTC/USD"],"id":"x"}"#);
    assert_eq!((&told[0]["type"], &told[0]["code"]), (&json!("error"), &json!("UNAUTHORIZED")));
    assert_eq!(told[0]["id"], "x");
    talk.auth(Some("key"));
    assert_eq!(talk.told(), [json!({ "type": "authenticated", "id": 9 })]);
    assert_eq!(talk.says(r#"{"action":"ping","id":1}"#), [json!({ "type": "pong", "id": 1 })]);
}

#[test]
fn a_wrong_key_ends_the_stream_but_not_that_of_somebody_known() {
    let mut talk = Talk::new();
    talk.auth(None);
    assert_eq!(talk.session.closing(), Some(CloseReason::Unauthorized));
    let mut talk = Talk::known();
    talk.auth(None);
    assert_eq!(
        (talk.told()[0]["code"].as_str(), talk.session.closing()),
        (Some("UNAUTHORIZED"), None)
    );
}

#[test]
fn without_a_key_the_stream_ends_in_time() {
    let mut talk = Talk::new();
    assert_eq!(talk.session.next_deadline(), Duration::from_secs(10));
    talk.wait(9_999);
    assert_eq!(talk.session.closing(), None);
    talk.wait(1);
    assert_eq!(talk.session.closing(), Some(CloseReason::Unauthorized));
    assert_eq!(CloseReason::Unauthorized.code(), Some(4401));
}

#[test]
fn a_subscription_is_answered_then_snapshotted() {
    let mut talk = Talk::known();
    let told = talk.says(r#"{"action":"subscribe","symbols":["btc/usd","*/EUR","?"],"id":7}"#);
    assert_eq!(
        told[0],
        json!({
            "type": "subscribed", "id": 7, "symbols": ["BTC/USD", "*/EUR"], "seq": 4,
            "rejected": [{ "symbol": "?", "code": "VALIDATION_ERROR" }],
            "epoch": "0000000000000001",
        })
    );
    assert_eq!((told.len(), &told[1]["snapshot"], &told[1]["seq"]), (2, &json!(true), &json!(4)));
    assert_eq!(told[1]["data"]["price"], "1.50");
    let told = talk.says(r#"{"action":"unsubscribe","symbols":["BTC/USD"]}"#);
    assert_eq!(
        told,
        [json!({ "type": "unsubscribed", "symbols": ["BTC/USD"], "rejected": [], "seq": 4 })]
    );
}

#[test]
fn a_resume_is_answered_after_the_subscription() {
    for (since, epoch, answer, snapshots) in [
        (4, "0000000000000001", json!({ "type": "resumed", "from": 4, "to": 4 }), 0),
        (9, "0000000000000001", json!({ "type": "reset", "epoch": "0000000000000001" }), 1),
        (4, "0000000000000002", json!({ "type": "reset", "epoch": "0000000000000001" }), 1),
    ] {
        let mut talk = Talk::known();
        let told = talk.says(&format!(
            r#"{{"action":"subscribe","symbols":["BTC/USD"],"since":{since},"epoch":"{epoch}"}}"#
        ));
        assert_eq!((told.len(), &told[1]), (2 + snapshots, &answer));
    }
}

#[test]
fn only_messages_that_may_be_resumed_from_carry_an_event_id() {
    let ids = |talk: &mut Talk, text: &str| {
        talk.session.hear(text);
        let mut batch = Batch::new(1 << 20);
        while talk.session.take(&mut batch) {}
        let events = batch.into_items().into_iter().map(|item| item.event(Epoch(1)));
        events.map(|event| event.starts_with(b"id: 0000000000000001-4\n")).collect::<Vec<_>>()
    };
    let mut talk = Talk::known();
    assert_eq!(
        ids(&mut talk, r#"{"action":"subscribe","symbols":["BTC/USD"]}"#),
        [false, false],
        "the snapshot is still to come, and has no number of its own"
    );
    assert_eq!(
        ids(&mut talk, r#"{"action":"subscribe","symbols":["A/B"],"snapshot":false}"#),
        [true]
    );
}

#[test]
fn faults_are_told_and_close_nothing() {
    let mut talk = Talk::known();
    for (text, code) in [
        ("{", "VALIDATION_ERROR"),
        (r#"{"action":"sell"}"#, "UNKNOWN_ACTION"),
        (r#"{"action":"subscribe","symbols":[]}"#, "VALIDATION_ERROR"),
    ] {
        assert_eq!(talk.says(text)[0]["code"], code);
    }
    talk.session.hear_binary();
    assert_eq!(talk.told()[0]["code"], "VALIDATION_ERROR");
    assert_eq!(talk.session.closing(), None);
}

#[test]
fn too_many_messages_of_any_kind_close() {
    let floods: [fn(&mut Session); 3] = [
        |session| assert!(session.hear("{}").is_none()),
        Session::hear_binary,
        |session| {
            session.hear_noise();
        },
    ];
    for flood in floods {
        let mut talk = Talk::known();
        (0..39).for_each(|_| flood(&mut talk.session));
        assert_eq!(talk.session.closing(), None);
        flood(&mut talk.session);
        assert_eq!(talk.session.closing(), Some(CloseReason::TooManyMessages));
    }
}

#[test]
fn answers_that_nobody_reads_are_bounded() {
    let mut talk = Talk::with(
        StreamSettings { messages_burst: 1_000_000, ..StreamSettings::default() },
        Peer::Talking,
    );
    talk.auth(Some("key"));
    let names: Vec<_> = (0..1_000).map(|n| format!("A{n:019}/{n:020}")).collect();
    let text = json!({ "action": "subscribe", "symbols": names }).to_string();
    talk.session.blocked();
    assert!(talk.session.hear(&text).is_none());
    assert_eq!(talk.session.closing(), None, "one answer of any size is taken");
    assert!(talk.session.hear(&text).is_none());
    assert_eq!(talk.session.closing(), Some(CloseReason::AnswersUnread));
    assert!(talk.session.notice_bytes < 2 * NOTICE_BYTES_MAX);
}

#[test]
fn answers_that_are_read_may_be_many() {
    let mut talk = Talk::with(
        StreamSettings { messages_burst: 1_000_000, ..StreamSettings::default() },
        Peer::Talking,
    );
    talk.auth(Some("key"));
    let ping = json!({ "action": "ping", "id": "x".repeat(64) }).to_string();
    for _ in 0..NOTICE_BYTES_MAX / 64 {
        talk.says(&ping);
    }
    assert_eq!(talk.session.closing(), None);
}

#[test]
fn as_many_answers_wait_as_fit_however_many_were_read_before() {
    let mut talk = Talk::with(
        StreamSettings { messages_burst: 1_000_000, ..StreamSettings::default() },
        Peer::Talking,
    );
    talk.auth(Some("key"));
    talk.told();
    // The answer takes 64 bytes, and the bound is a multiple of them.
    let ping = json!({ "action": "ping", "id": "x".repeat(41) }).to_string();
    assert_eq!(talk.says(&ping).len(), 1);
    for _ in 0..NOTICE_BYTES_MAX / 64 {
        assert!(talk.session.hear(&ping).is_none());
    }
    assert_eq!((talk.session.notice_bytes, NOTICE_BYTES_MAX), (65_536, 65_536));
    assert_eq!(talk.session.closing(), None);
    assert!(talk.session.hear(&ping).is_none());
    assert_eq!(talk.session.closing(), Some(CloseReason::AnswersUnread));
    for left in (0..NOTICE_BYTES_MAX / 64).rev() {
        let mut batch = Batch::new(1);
        assert_eq!(talk.session.take(&mut batch), left > 0);
        assert_eq!(batch.into_items().len(), 1);
    }
}

#[test]
fn something_is_due_at_every_deadline_and_nothing_before() {
    let settings = StreamSettings {
        heartbeat_interval: Duration::from_mins(1),
        ping_interval: Duration::from_secs(40),
        progress_deadline: Duration::from_secs(50),
        ..StreamSettings::default()
    };
    let mut talk = Talk::with(settings, Peer::Talking);
    talk.auth(Some("key"));
    talk.told();
    // When, whether a ping, how many heartbeats; the peer answers pings, stalls once, and at last for good.
    let story = [
        (40_000, true, 0),
        (60_000, false, 1),
        (80_000, true, 0),
        (120_000, true, 1),
        (160_000, true, 0),
        (180_000, false, 0),
        (180_100, false, 0),
        (180_200, false, 1),
        (200_000, true, 0),
        (240_000, true, 0),
        (240_200, false, 1),
    ];
    for (at_ms, pinged, beats) in story {
        let at = talk.session.next_deadline();
        talk.until(at.saturating_sub(Duration::from_millis(1)));
        assert!(!talk.session.tick() && talk.session.notices.is_empty(), "before {at:?}");
        talk.until(at);
        let done = (at.as_millis(), talk.session.tick(), talk.session.notices.len());
        assert_eq!(done, (at_ms, pinged, beats));
        assert!(!pinged || talk.session.hear_noise());
        match at_ms {
            160_000 | 240_200 => talk.session.blocked(),
            180_000 => {}
            _ => assert_eq!(talk.told().len(), beats),
        }
    }
    assert_eq!(talk.session.closing(), None);
    while talk.session.closing().is_none() && talk.clock.uptime() < Duration::from_mins(10) {
        let at = talk.session.next_deadline();
        assert!(at > talk.clock.uptime());
        talk.until(at);
        talk.session.tick();
    }
    assert_eq!(talk.clock.uptime(), Duration::from_millis(290_200));
    assert_eq!(talk.session.closing(), Some(CloseReason::NoProgress));
}

#[test]
fn a_heartbeat_comes_every_interval_with_position_and_lag() {
    let mut talk = Talk::known();
    talk.session.heard_at = Duration::from_secs(1_000);
    talk.wait(29_999);
    assert!(talk.told().is_empty());
    for beat in 1..=3 {
        talk.wait(if beat == 1 { 1 } else { 30_000 });
        let told = talk.told();
        assert_eq!(
            told,
            [json!({
                "type": "heartbeat", "seq": 4, "bus_lag_ms": 0,
                "timestamp": format!("1970-01-01T00:{:02}:{:02}.000Z", beat / 2, beat % 2 * 30),
            })]
        );
    }
}

#[test]
fn a_silent_peer_is_pinged_and_then_given_up() {
    let mut talk = Talk::known();
    assert!(!talk.wait(19_999));
    assert!(talk.wait(1));
    assert!(!talk.wait(9_999));
    assert_eq!(talk.session.closing(), None);
    assert!(talk.session.hear_noise());
    assert!(!talk.wait(19_999));
    assert!(talk.wait(1));
    assert!(!talk.wait(10_000));
    assert_eq!(talk.session.closing(), Some(CloseReason::NoPong));
    assert_eq!(CloseReason::NoPong.code(), None);
}

#[test]
fn a_write_that_does_not_end_closes_and_one_that_does_not() {
    let mut talk = Talk::known();
    talk.session.blocked();
    talk.wait(29_999);
    talk.session.flushed();
    talk.session.blocked();
    talk.session.blocked();
    talk.wait(29_999);
    assert_eq!(talk.session.closing(), None);
    talk.wait(1);
    assert_eq!(talk.session.closing(), Some(CloseReason::NoProgress));
}

#[test]
fn a_listener_is_neither_pinged_nor_timed() {
    let mut talk = Talk::with(StreamSettings::default(), Peer::Listening);
    talk.auth(Some("key"));
    talk.session.handed();
    assert!(!talk.wait(1_000_000));
    talk.session.asked();
    assert_eq!(talk.session.closing(), None);
    let types: Vec<_> = talk.told().iter().map(|told| told["type"].to_string()).collect();
    assert_eq!(types, [r#""authenticated""#, r#""heartbeat""#]);
}

#[test]
fn a_key_with_as_many_streams_as_it_may_is_refused() {
    let settings = StreamSettings { connections_per_key_max: 1, ..StreamSettings::default() };
    let mut talk = Talk::with(settings, Peer::Talking);
    let hub = Arc::clone(talk.session.hub());
    let mut other = hub.connect(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
    other.identify("key".into()).unwrap();
    talk.auth(Some("key"));
    assert_eq!(talk.session.closing(), Some(CloseReason::TooManyConnections));
}

#[test]
fn a_second_key_takes_the_place_of_the_first() {
    let settings = StreamSettings { connections_per_key_max: 1, ..StreamSettings::default() };
    let mut talk = Talk::with(settings, Peer::Talking);
    let hub = Arc::clone(talk.session.hub());
    let mut other = hub.connect(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
    other.identify("full".into()).unwrap();
    for key in ["old", "new", "new"] {
        talk.auth(Some(key));
        assert_eq!(talk.told(), [json!({ "type": "authenticated", "id": 9 })]);
    }
    talk.auth(Some("full"));
    assert_eq!(talk.told()[0]["code"], "TOO_MANY_CONNECTIONS");
    let mut keys = hub.keys();
    keys.sort();
    assert_eq!(keys, ["full".into(), "new".into()] as [KeyId; 2]);
    hub.close_key(&"old".into());
    assert_eq!(talk.session.closing(), None, "the old key holds the stream no longer");
    hub.close_key(&"new".into());
    assert_eq!(talk.session.closing(), Some(CloseReason::KeyGone));
}

#[test]
fn a_key_without_requests_left_opens_no_stream_and_closes_none() {
    let mut talk = Talk::new();
    talk.answer_key(Err(Denied::RateLimited));
    assert_eq!(talk.session.closing(), Some(CloseReason::TooManyRequests));
    let mut talk = Talk::known();
    talk.answer_key(Err(Denied::RateLimited));
    assert_eq!(talk.session.closing(), None);
    let told = talk.told();
    assert_eq!((&told[0]["code"], &told[0]["id"]), (&json!("RATE_LIMIT_EXCEEDED"), &json!(9)));
}

#[test]
fn every_reason_a_peer_can_be_told_has_its_words() {
    for (reason, code, farewell) in [
        (CloseReason::Unauthorized, Some(4401), Some("UNAUTHORIZED")),
        (CloseReason::KeyGone, Some(4401), Some("UNAUTHORIZED")),
        (CloseReason::TooManyMessages, Some(1008), Some("RATE_LIMIT_EXCEEDED")),
        (CloseReason::TooManyRequests, Some(1013), Some("RATE_LIMIT_EXCEEDED")),
        (CloseReason::TooManyConnections, Some(1013), Some("TOO_MANY_CONNECTIONS")),
        (CloseReason::AnswersUnread, Some(1008), None),
        (CloseReason::NoProgress, None, None),
    ] {
        let told = message::farewell(reason).map(|text| {
            let told: Value = serde_json::from_slice(&text).unwrap();
            told["code"].as_str().unwrap().to_owned()
        });
        assert_eq!((reason.code(), told.as_deref()), (code, farewell), "{reason:?}");
    }
    let draining = CloseReason::Draining(Duration::from_millis(1_500));
    assert_eq!(draining.code(), Some(1012));
    assert_eq!(message::farewell(draining).unwrap(), r#"{"type":"reconnect","after_ms":1500}"#);
}
