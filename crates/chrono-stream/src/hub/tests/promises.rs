//! Single promises of the hub, each by the shortest story that shows it.

use chrono_cache::LatestBook;

use super::*;
use crate::frame::Frame;

fn small() -> StreamSettings {
    StreamSettings { ring_frames_max: 6, queue_frames_max: 2, ..StreamSettings::default() }
}

fn resume(client: &Client, names: &[&str], epoch: u64, since: u64) -> Option<Resumption> {
    let request = Subscribe {
        topics: topics(names),
        snapshot: true,
        resume: Some(Resume { epoch: Some(Epoch(epoch)), since: Seq(since) }),
        ..Subscribe::default()
    };
    client.subscribe(&request).resumption
}

#[test]
fn every_tick_of_a_commit_goes_to_whoever_keeps_up() {
    let mut desk = Desk::new(StreamSettings::default());
    let client = desk.client(&["A/X"], Mode::Latest);
    desk.publish(&[("A/X", "s", 1), ("A/X", "s", 2), ("B/X", "s", 2), ("A/X", "s", 3)]);
    assert_eq!(drain(&client), ["1", "2", "4"]);
}

#[test]
fn a_burst_beyond_the_queue_comes_whole_from_the_ring() {
    let mut desk = Desk::new(small());
    let client = desk.client(&["A/X"], Mode::Latest);
    desk.publish(&[("A/X", "s", 1); 5]);
    assert_eq!(drain(&client), ["1", "2", "3", "4", "5"]);
    desk.publish(&[("A/X", "s", 2)]);
    assert_eq!(drain(&client), ["6"]);
}

#[test]
fn a_blocked_client_gets_one_newest_value_per_changed_symbol() {
    let mut desk = Desk::new(small());
    let (latest, all) =
        (desk.client(&["A/X", "B/X"], Mode::Latest), desk.client(&["*"], Mode::All));
    latest.set_flow(Flow::Blocked);
    all.set_flow(Flow::Blocked);
    desk.publish(&[("A/X", "s", 1), ("B/X", "s", 2), ("A/X", "s", 3), ("C/X", "s", 3)]);
    for client in [&latest, &all] {
        client.set_flow(Flow::Open);
    }
    assert_eq!(drain(&latest), ["2", "3"]);
    assert_eq!(drain(&all), ["1", "2", "3", "4"]);
    desk.publish(&[("A/X", "s", 4), ("A/X", "s", 5)]);
    assert_eq!(drain(&latest), ["5", "6"], "conflation ends with the blockage");
}

#[test]
fn a_blocked_client_queues_nothing() {
    let mut desk = Desk::new(StreamSettings::default());
    let client = desk.client(&["A/X"], Mode::Latest);
    client.set_flow(Flow::Blocked);
    desk.publish(&[("A/X", "s", 1), ("A/X", "s", 2)]);
    assert!(client.outbox.lock().live.is_empty());
    client.set_flow(Flow::Open);
    assert_eq!(drain(&client), ["2"]);
}

#[test]
fn snapshots_come_before_any_update_however_small_the_slices() {
    let mut desk = Desk::new(StreamSettings { slice_frames_max: 1, ..small() });
    desk.publish(&[("A/X", "s", 1), ("B/X", "s", 1), ("C/X", "s", 1)]);
    let client = desk.hub.connect(HERE).unwrap();
    let request = Subscribe { topics: topics(&["*/X"]), snapshot: true, ..Subscribe::default() };
    client.subscribe(&request);
    desk.publish(&[("A/X", "s", 2), ("A/X", "s", 3), ("A/X", "s", 4)]);
    assert_eq!(client.heartbeat(), None, "no position while snapshots are to come");
    assert_eq!(drain(&client), ["s2", "s3", "4", "5", "6"]);
    assert_eq!(client.heartbeat().map(|pulse| pulse.position), Some(Seq(6)));
}

#[test]
fn a_writer_that_may_ask_at_once_keeps_every_tick_until_its_queue_is_full() {
    let mut desk = Desk::new(small());
    let client = desk.client(&["A/X"], Mode::Latest);
    client.set_flow(Flow::Handed);
    desk.publish(&[("A/X", "s", 1), ("A/X", "s", 2)]);
    client.set_flow(Flow::Open);
    assert_eq!(drain(&client), ["1", "2"]);
    client.set_flow(Flow::Handed);
    desk.publish(&[("A/X", "s", 3), ("A/X", "s", 4), ("A/X", "s", 5)]);
    client.set_flow(Flow::Open);
    assert_eq!(drain(&client), ["5"]);
}

#[test]
fn late_ticks_go_to_mode_all_only() {
    // From the queue, and from the ring.
    for settings in [StreamSettings::default(), small()] {
        let mut desk = Desk::new(settings);
        let (latest, all) = (desk.client(&["A/X"], Mode::Latest), desk.client(&["A/X"], Mode::All));
        desk.publish(&[("A/X", "s", 5), ("A/X", "s", 4), ("A/X", "t", 3), ("A/X", "s", 5)]);
        assert_eq!(drain(&latest), ["1", "3", "4"]);
        assert_eq!(drain(&all), ["1", "2", "3", "4"]);
    }
}

#[test]
fn overlapping_topics_deliver_and_snapshot_once() {
    let mut desk = Desk::new(StreamSettings::default());
    desk.publish(&[("A/X", "s", 1), ("A/Y", "s", 1), ("B/X", "s", 1)]);
    let client = desk.hub.connect(HERE).unwrap();
    let all = topics(&["*/*", "*/X", "A/*", "A/X"]);
    client.subscribe(&Subscribe { topics: all, snapshot: true, ..Subscribe::default() });
    desk.publish(&[("A/X", "s", 2), ("C/X", "s", 2)]);
    let mut got = drain(&client);
    got[..2].sort();
    assert_eq!(got, ["s2", "s3", "4", "5"], "the value of A/X comes live");
}

#[test]
fn a_pattern_covers_symbols_that_appear_later() {
    let mut desk = Desk::new(StreamSettings::default());
    let client = desk.client(&["*/EUR", "NEW/USD"], Mode::Latest);
    desk.publish(&[("BTC/EUR", "s", 1), ("BTC/USD", "s", 1), ("NEW/USD", "s", 1)]);
    assert_eq!(drain(&client), ["1", "3"]);
}

#[test]
fn nothing_comes_after_an_unsubscription() {
    let mut desk = Desk::new(StreamSettings::default());
    let client = desk.client(&["A/X", "B/X"], Mode::All);
    desk.publish(&[("A/X", "s", 1), ("B/X", "s", 1)]);
    let done = client.unsubscribe(&topics(&["A/X", "C/X"]));
    assert_eq!((done.position, done.topics.len(), done.unknown.len()), (Seq(0), 1, 1));
    desk.publish(&[("A/X", "s", 2), ("B/X", "s", 2)]);
    assert_eq!(drain(&client), ["2", "4"]);
    client.unsubscribe(&topics(&["B/X"]));
    desk.publish(&[("B/X", "s", 3)]);
    assert!(drain(&client).is_empty());
}

#[test]
fn a_resume_replays_in_order_even_to_a_blocked_client() {
    let mut desk = Desk::new(small());
    desk.publish(&[("A/X", "s", 1), ("A/X", "s", 2), ("B/X", "s", 2), ("A/X", "s", 3)]);
    let client = desk.hub.connect(HERE).unwrap();
    let answer = resume(&client, &["A/X"], 1, 1);
    assert_eq!(answer, Some(Resumption::Resumed { from: Seq(1), to: Seq(4) }));
    client.set_flow(Flow::Blocked);
    desk.publish(&[("A/X", "s", 4), ("A/X", "s", 5)]);
    client.set_flow(Flow::Open);
    assert_eq!(drain(&client), ["2", "4", "6"], "promised ones all, then the newest");
}

#[test]
fn a_resume_beyond_the_ring_is_a_gap_and_another_life_a_reset() {
    let mut desk = Desk::new(small());
    desk.publish(&[("A/X", "s", 1); 8]);
    let gap = desk.hub.connect(HERE).unwrap();
    let answer = resume(&gap, &["A/X"], 1, 1);
    assert_eq!(answer, Some(Resumption::Gap { from: Seq(1), to: Seq(8) }));
    assert_eq!(drain(&gap), ["s8"]);
    for (epoch, since) in [(2, 8), (1, 9)] {
        let client = desk.hub.connect(HERE).unwrap();
        assert_eq!(resume(&client, &["A/X"], epoch, since), Some(Resumption::Reset));
        assert_eq!(drain(&client), ["s8"]);
    }
    let edge = desk.hub.connect(HERE).unwrap();
    let answer = resume(&edge, &["A/X"], 1, 2);
    assert_eq!(answer, Some(Resumption::Resumed { from: Seq(2), to: Seq(8) }));
    assert_eq!(drain(&edge).len(), 6);
}

#[test]
fn a_second_resume_on_a_connection_is_a_gap_unless_nothing_is_missing() {
    let mut desk = Desk::new(small());
    desk.publish(&[("A/X", "s", 1), ("B/X", "s", 1)]);
    let client = desk.client(&["A/X"], Mode::Latest);
    let answer = resume(&client, &["B/X"], 1, 1);
    assert_eq!(answer, Some(Resumption::Gap { from: Seq(1), to: Seq(2) }));
    assert_eq!(drain(&client), ["s2"]);
    let answer = resume(&client, &["C/X"], 1, 2);
    assert_eq!(answer, Some(Resumption::Resumed { from: Seq(2), to: Seq(2) }));
}

#[test]
fn a_slow_client_in_mode_all_is_told_of_its_gap() {
    let mut desk = Desk::new(small());
    let client = desk.client(&["A/X"], Mode::All);
    client.set_flow(Flow::Blocked);
    desk.publish(&[("A/X", "s", 1); 9]);
    client.set_flow(Flow::Open);
    assert_eq!(drain(&client), ["gap 0-9", "s9"]);
    desk.publish(&[("A/X", "s", 2)]);
    assert_eq!(drain(&client), ["10"]);
}

#[test]
fn a_client_that_gave_everything_up_is_sent_again_what_it_asks_for() {
    let mut desk = Desk::new(small());
    let client = desk.client(&["A/X"], Mode::Latest);
    desk.publish(&[("A/X", "s", 1)]);
    assert_eq!(drain(&client), ["1"]);
    client.unsubscribe(&topics(&["A/X"]));
    let resumed = Resumption::Resumed { from: Seq(0), to: Seq(1) };
    assert_eq!(resume(&client, &["*/X"], 1, 0), Some(resumed));
    assert_eq!(drain(&client), ["1"]);
}

#[test]
fn a_loss_of_the_bus_is_a_gap_for_everyone() {
    let mut desk = Desk::new(small());
    let (latest, idle) = (desk.client(&["A/X"], Mode::Latest), desk.hub.connect(HERE).unwrap());
    desk.publish(&[("A/X", "s", 1)]);
    let lost = stored("A/X", "s", 7, 99);
    desk.book.apply(&[lost], Timestamp::MIN);
    desk.hub.skip_to(Seq(5), &desk.book);
    assert_eq!(drain(&latest), ["gap 0-5", "s5"]);
    assert!(drain(&idle).is_empty());
    desk.publish(&[("A/X", "s", 6), ("A/X", "s", 8)]);
    assert_eq!(drain(&latest), ["7"], "the first is late after what was lost");
}

#[test]
fn a_loss_that_the_ring_has_outrun_is_one_gap() {
    let mut desk = Desk::new(small());
    let (latest, all) = (desk.client(&["A/X"], Mode::Latest), desk.client(&["A/X"], Mode::All));
    for client in [&latest, &all] {
        client.set_flow(Flow::Blocked);
    }
    desk.hub.skip_to(Seq(5), &desk.book);
    desk.publish(&[("A/X", "s", 1); 8]);
    for client in [&latest, &all] {
        client.set_flow(Flow::Open);
        assert_eq!(drain(client), ["gap 0-13", "s13"]);
    }
}

#[test]
fn a_hole_between_entries_is_a_loss() {
    let desk = Desk::new(small());
    let client = desk.client(&["A/X"], Mode::All);
    let ticks = vec![stored("A/X", "s", 1, 1)].into();
    let entry = BusEntry { first: Seq(4), published_at: Timestamp::MIN, ticks };
    desk.hub.publish(&entry, &desk.book);
    assert_eq!(drain(&client), ["gap 0-3", "4"]);
    desk.hub.publish(&entry, &desk.book);
    assert!(drain(&client).is_empty(), "the same entry again changes nothing");
}

#[test]
fn values_of_before_the_start_are_there_and_never_go_back() {
    let book = LatestBook::default();
    book.apply(&[stored("A/X", "s", 5, 1), stored("B/X", "s", 5, 2)], Timestamp::MIN);
    let hub = hub_of(small(), &book, 9, 30);
    let mut desk = Desk { hub, book, arrival: 2 };
    desk.publish(&[("A/X", "t", 4), ("B/X", "s", 4)]);
    let client = desk.hub.connect(HERE).unwrap();
    let request =
        Subscribe { topics: topics(&["A/X", "B/X"]), snapshot: true, ..Subscribe::default() };
    assert_eq!(client.subscribe(&request).position, Seq(32));
    assert_eq!(drain(&client), ["s30", "s30"]);
}

#[test]
fn a_client_that_leaves_frees_its_place_and_its_topics() {
    let desk = Desk::new(StreamSettings { connections_max: 3, ..small() });
    let clients: Vec<_> =
        (0..3).map(|_| desk.client(&["A/X", "A/*", "*/X"], Mode::Latest)).collect();
    assert_eq!(desk.hub.connect(HERE).err(), Some(Refused::Total));
    drop(clients);
    assert_eq!(desk.hub.connections(), 0);
    assert!(format!("{:?}", desk.hub.lock().registry).contains("ids: {}"));
}

#[test]
fn subscriptions_beyond_the_bound_are_surplus() {
    let desk = Desk::new(StreamSettings { topics_max: 2, ..small() });
    let client = desk.hub.connect(HERE).unwrap();
    let ask =
        |names| client.subscribe(&Subscribe { topics: topics(names), ..Subscribe::default() });
    let done = ask(&["A/X", "*/Y", "B/X"]);
    assert_eq!((done.topics.len(), done.surplus), (2, topics(&["B/X"])));
    let done = ask(&["A/X", "B/X"]);
    assert_eq!((done.topics, done.surplus), (topics(&["A/X"]), topics(&["B/X"])));
}

#[test]
fn a_fan_out_cut_short_is_finished_without_repeats() {
    let mut desk = Desk::new(small());
    let client = desk.client(&["A/X"], Mode::All);
    desk.publish(&[("A/X", "s", 1)]);
    assert_eq!(drain(&client), ["1"]);
    {
        // As a panic leaves it: the ring has the frame, one of two clients too, and the head has not moved.
        let mut core = desk.hub.lock();
        let frame =
            Frame::encode(Epoch(1), Seq(2), &stored("A/X", "s", 2, 9), false, Timestamp::MIN);
        let frame = Arc::new(frame);
        core.ring.push(Arc::clone(&frame));
        core.registry.outbox(client.outbox.id).unwrap().offer(&frame, 2);
    }
    assert_eq!(drain(&client), ["2"]);
    desk.hub.finish_fan_out();
    assert!(drain(&client).is_empty());
    desk.publish(&[("A/X", "s", 3)]);
    assert_eq!(drain(&client), ["3"]);
}

#[test]
fn a_client_that_never_reads_costs_little_and_slows_nobody() {
    let mut desk = Desk::new(StreamSettings::default());
    let (stuck, fast) = (desk.client(&["*"], Mode::Latest), desk.client(&["*"], Mode::All));
    stuck.set_flow(Flow::Blocked);
    let commit: Vec<_> = (0..100).map(|at| ("A/X", "s", at)).collect();
    for _ in 0..100 {
        desk.publish(&commit);
        assert_eq!(drain(&fast).len(), 100);
    }
    let state = stuck.outbox.lock();
    assert_eq!((state.live.capacity(), state.snapshots.capacity()), (0, 0));
    assert_eq!(state.behind.as_ref().map(|behind| behind.synced), Some(Seq(0)));
}

#[test]
fn a_queue_holds_no_more_frames_than_it_may() {
    let mut desk = Desk::new(StreamSettings::default());
    let clients = [Flow::Open, Flow::Handed].map(|flow| {
        let client = desk.client(&["*"], Mode::All);
        client.set_flow(flow);
        client
    });
    for at in 0..1_000 {
        desk.publish(&[("A/X", "s", at)]);
        for client in &clients {
            let state = client.outbox.lock();
            let held: usize = state.live.iter().map(|frame| frame.bytes()).sum();
            assert!(held + state.live.capacity() * 8 < 64 * 1_024, "{held} bytes");
        }
    }
}

#[test]
fn a_dead_key_closes_its_streams_and_no_others() {
    let desk = Desk::new(small());
    let mut clients = [(); 3].map(|()| desk.hub.connect(HERE).unwrap());
    clients[0].identify("dead".into()).unwrap();
    clients[1].identify("live".into()).unwrap();
    let mut keys = desk.hub.keys();
    keys.sort();
    assert_eq!(keys, ["dead".into(), "live".into()] as [KeyId; 2]);
    desk.hub.close_key(&"dead".into());
    assert_eq!(
        clients.each_ref().map(Client::close_reason),
        [Some(CloseReason::KeyGone), None, None]
    );
}

#[test]
fn a_drain_spreads_the_hints_and_refuses_newcomers() {
    let desk = Desk::new(small());
    let clients = [(); 4].map(|()| desk.hub.connect(HERE).unwrap());
    desk.hub.drain(Duration::from_secs(8));
    let mut hints = clients.each_ref().map(|client| match client.close_reason() {
        Some(CloseReason::Draining(after)) => after.as_secs(),
        other => panic!("{other:?}"),
    });
    hints.sort_unstable();
    assert_eq!(hints, [0, 2, 4, 6]);
    assert_eq!(desk.hub.connect(HERE).err(), Some(Refused::Draining));
}
