//! The contract's promises as cases that every backend passes.
//!
//! A case is a function named by its promise; it takes a fresh store and panics when the promise is broken.
//! [`run_all`] runs those that need nothing but a store, [`run_restarts`] those that close and open one.
//! Two promises need a store that goes wrong on demand; [`ticks`] has them apart, with a hook.
//! [`generate`] makes random operations and [`same_answers`] compares two stores under them.
//!
//! What no case here can see: that `Ok` comes after fsync. Backends show that with tools of their own.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a case is a test: it panics when a promise is broken"
)]

use std::sync::Arc;

use crate::Store;

pub mod candles;
mod comparison;
pub mod delegations;
pub mod generate;
pub mod idempotency;
pub mod keys;
mod pages;
pub mod restarts;
mod sample;
pub mod snapshots;
pub mod ticks;
pub mod windows;

pub use comparison::{Comparison, same_answers};

/// Runs each case on a store of its own.
macro_rules! run_each {
    ($make:expr, $($case:path),+ $(,)?) => {
        $({
            let store = $make().await;
            $case(store.as_ref()).await;
        })+
    };
}

/// Runs every case that needs nothing but a store, each on a fresh one.
pub async fn run_all(make: impl AsyncFn() -> Arc<dyn Store>) {
    run_ticks(&make).await;
    run_candles(&make).await;
    run_each!(
        make,
        snapshots::a_first_snapshot_becomes_revision_zero,
        snapshots::a_snapshot_that_says_the_same_is_not_stored_again,
        snapshots::a_snapshot_that_says_something_else_becomes_the_next_revision,
        snapshots::a_snapshot_is_read_of_exactly_its_time,
        snapshots::snapshot_times_hold_both_ends_and_come_once_oldest_first,
        delegations::each_delegation_gets_its_outcome_in_order,
        delegations::a_range_holds_both_ends_newest_first,
        delegations::delegation_pages_join_to_the_whole,
        delegations::delegations_are_found_by_either_side,
        keys::a_key_that_was_put_is_among_the_keys,
        keys::a_key_id_that_exists_is_refused,
        keys::keys_that_are_put_together_are_there_together,
        keys::revoking_answers_whether_the_id_was_live,
    );
}

async fn run_ticks(make: &impl AsyncFn() -> Arc<dyn Store>) {
    run_each!(
        make,
        ticks::each_batch_gets_its_outcome_in_order,
        ticks::arrival_numbers_grow_and_are_never_given_twice,
        idempotency::a_repeat_answers_the_first_receipt_and_stores_nothing,
        idempotency::a_repeat_within_one_call_stores_nothing,
        idempotency::another_fingerprint_is_a_clash_and_stores_nothing,
        idempotency::keys_of_different_workers_never_clash,
        idempotency::a_forgotten_key_can_be_used_again,
        ticks::digits_read_back_as_written,
        ticks::all_of_a_tick_reads_back,
        ticks::a_range_holds_both_its_ends,
        ticks::a_range_answers_by_timestamp_and_arrival_either_way,
        ticks::an_unknown_symbol_or_source_answers_empty,
        ticks::tick_pages_join_to_the_whole,
        windows::a_window_holds_the_ticks_of_its_range,
        windows::a_window_of_more_ticks_than_it_may_hold_answers_so,
        windows::a_window_shows_each_commit_whole,
        ticks::the_newest_tick_of_every_symbol_and_source_is_found,
        ticks::every_name_in_use_is_found,
        ticks::stored_ticks_are_counted,
        ticks::dropping_a_call_never_stores_half_a_batch,
        ticks::calls_at_the_same_time_are_all_stored,
    );
}

async fn run_candles(make: &impl AsyncFn() -> Arc<dyn Store>) {
    run_each!(
        make,
        candles::a_candle_is_the_fold_of_its_ticks_whatever_is_materialised,
        candles::late_ticks_are_in_candles_at_once,
        candles::a_range_cuts_its_outermost_buckets,
        candles::sums_are_exact_and_missing_volume_is_none,
        candles::of_equal_prices_more_decimals_win,
        candles::every_interval_has_its_buckets,
        candles::buckets_without_ticks_are_left_out,
        candles::an_unknown_symbol_or_source_has_no_candles,
        candles::candle_pages_join_to_the_whole,
        candles::candles_of_one_source_leave_others_out,
        candles::materialising_ends,
        candles::a_recount_finds_no_mismatch,
    );
}

/// Runs every case that spans a restart.
///
/// `make` answers a closure of a fresh place, which opens the store kept there; a case drops the store before it asks
/// for the next.
pub async fn run_restarts<R: AsyncFn() -> Arc<dyn Store>>(make: impl AsyncFn() -> R) {
    restarts::a_stored_batch_survives(&make().await).await;
    restarts::arrival_numbers_go_on_growing(&make().await).await;
    restarts::a_repeat_still_answers_the_first_receipt(&make().await).await;
    restarts::candles_stay_right_between_any_two_steps(&make().await).await;
    restarts::snapshots_delegations_and_keys_survive(&make().await).await;
}
