//! Answers in memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono_cache::memory::MemoryAnswers;
use chrono_cache::{AnswerCache, conformance};
use chrono_domain::{ManualClock, Timestamp};

const BYTES_MAX: u64 = 64 * 1024;

fn fresh() -> (MemoryAnswers, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Timestamp::MIN));
    (MemoryAnswers::new(Arc::clone(&clock) as _, BYTES_MAX), clock)
}

#[tokio::test]
async fn keeps_every_promise_of_the_contract() {
    let make = async || {
        let (answers, clock) = fresh();
        let pass = async move |time| clock.advance(time);
        (Arc::new(answers) as Arc<dyn AnswerCache>, pass)
    };
    conformance::run_answers(make, usize::try_from(BYTES_MAX).unwrap()).await;
}

#[tokio::test]
async fn gives_up_the_least_lately_used_first() {
    let (answers, _clock) = fresh();
    let piece = Bytes::from(vec![7; 10_000]);
    for place in 0..20 {
        answers.put(&format!("key-{place}"), piece.clone(), Duration::from_secs(9)).await;
        assert!(answers.get("key-0").await.is_some(), "key-0 was asked for all the time");
    }
    assert!(answers.get("key-19").await.is_some() && answers.get("key-1").await.is_none());
}

#[tokio::test]
async fn counts_many_small_answers_too() {
    let (answers, _clock) = fresh();
    for place in 0..2_000 {
        answers.put(&format!("key-{place}"), Bytes::new(), Duration::from_secs(9)).await;
    }
    let mut held = 0_u64;
    for place in 0..2_000 {
        held += u64::from(answers.get(&format!("key-{place}")).await.is_some());
    }
    assert!(held > 0 && held * 256 <= BYTES_MAX, "{held} entries are held");
}
