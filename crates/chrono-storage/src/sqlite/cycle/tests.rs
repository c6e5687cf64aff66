//! A cycle whose step finds no room keeps what it has done.

use std::pin::pin;
use std::task::{Context, Waker};

use chrono_domain::SystemClock;

use super::super::open::Settings;
use super::*;

#[tokio::test]
async fn a_step_that_finds_no_room_is_done_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::new(dir.path().join("chrono.db"));
    let cycle = settings.cycle;
    let settings = Settings { writes_waiting_max: 1, ..settings };
    // Nobody serves the queue yet.
    let (store, lanes) = SqliteStore::open(settings, &SystemClock::new()).unwrap();
    store.memory.freeze();
    for is_begun in [true, false] {
        let given_up = || Box::pin(store.writer.call_of_cycle(|_writer| Ok(())));
        let mut waiting = Vec::new();
        loop {
            let mut call = given_up();
            if call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                break;
            }
            waiting.push(call);
        }
        let stage = if is_begun { Stage::Publish } else { Stage::Keys { after: None } };
        store.cycle.swap(stage);
        let mut step = pin!(step(&store, cycle, Timestamp::MIN));
        let refused = step.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(refused, std::task::Poll::Ready(Err(Fault::Full))), "{refused:?}");
        let kept = store.cycle.swap(Stage::Rest);
        assert_eq!(matches!(kept, Stage::Publish), is_begun, "{kept:?}");
        assert_eq!(matches!(kept, Stage::Keys { .. }), !is_begun, "{kept:?}");
        drop(waiting);
    }
    drop(lanes);
}
