//! Sessions over a hub that publishes: what is counted, who is woken, and what a hand-over changes.

use std::task::Waker;

use metrics_exporter_prometheus::PrometheusBuilder;

use super::*;
use crate::session::{Peer, Session};

fn conversation(desk: &Desk) -> Session {
    let mut client = desk.hub.connect(HERE).unwrap();
    client.identify("key".into()).unwrap();
    let mut session = Session::new(client, Peer::Talking);
    let request =
        Subscribe { topics: topics(&["A/X"]), mode: Some(Mode::Latest), ..Subscribe::default() };
    session.subscribe(None, &request, Vec::new());
    session.take(&mut Batch::new(1 << 20));
    session
}

/// The numbers of the updates that are taken, in batches of so many bytes.
fn taken(session: &mut Session, bytes_max: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    for _ in 0..100 {
        let mut batch = Batch::new(bytes_max);
        let more = session.take(&mut batch);
        seqs.extend(batch.into_items().iter().map(|item| match item {
            Outgoing::Live(frame) => frame.seq.0,
            other => panic!("{other:?}"),
        }));
        if !more {
            return seqs;
        }
    }
    panic!("there is always more: {seqs:?}");
}

#[test]
fn updates_are_counted_once_they_are_written_and_ends_by_their_reason() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let count = |name: &str| {
        let text = recorder.handle().render();
        let line = text.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
        line.map_or(0, |count| count.parse::<u64>().unwrap())
    };
    let mut desk = Desk::new(StreamSettings::default());
    let mut session = conversation(&desk);
    desk.publish(&[("A/X", "s", 1); 5]);
    assert_eq!(taken(&mut session, 1), [1, 2, 3, 4, 5]);
    let sent = || (count("stream_frames_sent_total"), count("stream_fanout_seconds_count"));
    assert_eq!(sent(), (0, 0));
    session.flushed();
    assert_eq!(sent(), (5, 1));
    session.flushed();
    assert_eq!(sent(), (5, 1), "nothing was taken since");
    desk.publish(&[("A/X", "s", 2)]);
    assert_eq!(taken(&mut session, 1), [6]);
    session.asked();
    assert_eq!(sent(), (6, 2));
    desk.hub.close_key(&"key".into());
    drop(session);
    let ends = recorder.handle().render();
    assert!(ends.contains(&format!("{{reason=\"{}\"}} 1", CloseReason::KeyGone.label())), "{ends}");
}

#[test]
fn a_queue_that_fills_before_the_writer_asks_is_conflated_and_otherwise_is_not() {
    let mut desk = Desk::new(StreamSettings { queue_frames_max: 2, ..StreamSettings::default() });
    let mut session = conversation(&desk);
    session.handed();
    desk.publish(&[("A/X", "s", 1); 4]);
    session.asked();
    assert_eq!(taken(&mut session, 1_000), [4]);
    desk.publish(&[("A/X", "s", 1); 4]);
    assert_eq!(taken(&mut session, 1_000), [5, 6, 7, 8]);
}

#[test]
fn a_conversation_is_woken_once_there_is_something_to_take() {
    let mut desk = Desk::new(StreamSettings::default());
    let session = conversation(&desk);
    let waiting = Context::from_waker(Waker::noop());
    assert!(session.poll_woken(&waiting).is_pending());
    desk.publish(&[("A/X", "s", 1)]);
    assert!(session.poll_woken(&waiting).is_ready());
    assert!(session.poll_woken(&waiting).is_pending());
}

#[test]
fn one_take_looks_at_no_more_frames_than_a_slice_may() {
    let settings =
        StreamSettings { slice_frames_max: 4, queue_frames_max: 2, ..StreamSettings::default() };
    let mut desk = Desk::new(settings);
    let names: Vec<_> = (0..10).map(|n| format!("A{n}/X")).collect();
    let commit: Vec<_> = names.iter().map(|name| (name.as_str(), "s", 1)).collect();
    desk.publish(&commit);
    let client = desk.hub.connect(HERE).unwrap();
    client.subscribe(&Subscribe { topics: topics(&["*"]), snapshot: true, ..Subscribe::default() });
    let slices = |bytes_max: usize| {
        let mut lengths = Vec::new();
        for _ in 0..100 {
            let mut batch = Batch::new(bytes_max);
            let more = client.take(&mut batch);
            lengths.push(batch.into_items().len());
            if !more {
                return lengths;
            }
        }
        panic!("there is always more: {lengths:?}");
    };
    assert_eq!(slices(1 << 20), [4, 4, 2], "snapshots");
    desk.publish(&commit);
    assert_eq!(slices(1 << 20), [4, 4, 2], "from the ring");
    client.set_flow(Flow::Blocked);
    desk.publish(&commit);
    client.set_flow(Flow::Open);
    assert_eq!(slices(1 << 20), [4, 4, 2], "newest values");
    desk.publish(&commit);
    assert!(slices(1).iter().all(|length| *length <= 1), "one at a time");
}
