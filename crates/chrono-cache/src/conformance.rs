//! The contracts' promises as cases that every backend passes.
//!
//! A case is a function named by its promise; it takes a fresh bus or cache and panics when the promise is broken. The
//! runners need a tokio runtime with time, by which a wait that never ends fails.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a case is a test: it panics when a promise is broken"
)]

use std::sync::Arc;
use std::time::Duration;

use crate::{AnswerCache, Bus};

pub mod answers;
pub mod bus;
mod sample;

/// Runs each case on a value of its own.
macro_rules! run_each {
    ($make:expr, $($case:path),+ $(,)?) => {
        $({
            let fresh = $make().await;
            $case(fresh.as_ref()).await;
        })+
    };
}

/// Runs every case of [`Bus`], each on a fresh one; more than `history_ticks` published push out what came first.
pub async fn run_bus(make: impl AsyncFn() -> Arc<dyn Bus>, history_ticks: usize) {
    run_each!(
        make,
        bus::ticks_are_numbered_from_one_without_holes,
        bus::publishing_no_ticks_publishes_nothing,
        bus::publishes_at_the_same_time_are_numbered_one_after_the_other,
        bus::a_reader_gets_every_tick_once_in_order,
        bus::a_reader_may_go_on_inside_an_entry,
        bus::a_read_waits_and_wakes_at_the_next_publish,
        bus::dropping_a_read_loses_nothing,
        bus::readers_do_not_take_from_each_other,
    );
    bus::a_reader_too_far_behind_learns_what_it_lost(make().await.as_ref(), history_ticks).await;
    bus::publishing_never_waits_for_readers(make().await.as_ref(), history_ticks).await;
    bus::every_sequence_has_an_epoch_of_its_own(make().await.as_ref(), make().await.as_ref());
}

/// Runs every case of [`AnswerCache`], each on a fresh one that holds at most `bytes_max`.
///
/// `make` answers a cache and a function that lets a time pass for it.
pub async fn run_answers<P: AsyncFn(Duration)>(
    make: impl AsyncFn() -> (Arc<dyn AnswerCache>, P),
    bytes_max: usize,
) {
    let (cache, pass) = make().await;
    answers::what_was_put_is_got_until_its_time_is_over(cache.as_ref(), pass).await;
    let (cache, pass) = make().await;
    answers::putting_again_replaces_answer_and_time(cache.as_ref(), pass).await;
    let (cache, _pass) = make().await;
    answers::the_bytes_held_are_bounded(cache.as_ref(), bytes_max).await;
}
