//! The faults, and what must come of them.

use anyhow::ensure;

use self::run::{End, Run};
#[cfg(feature = "failpoints")]
use self::run::{LOSSES, images_of_a_control};
use crate::kills::rounds;

mod events;
mod rows;
mod run;

/// Rounds for each sync that fails.
const ROUNDS_PER_FAULT: u64 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_loses_nothing_that_was_acknowledged() -> anyhow::Result<()> {
    let mut run = Run::new()?;
    run.go(&[], &[], End::Kill).await?;
    run.go(&[], &[], End::Stop).await?;
    run.loses_nothing().map(drop)
}

/// As above, with cycles of the store all the time: one begins with every start.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failpoints_a_power_cut_amid_cycles_loses_nothing() -> anyhow::Result<()> {
    let mut run = Run::new()?;
    for _ in 0..3 {
        run.go(&[("STORE_CYCLE_TICKS", "1")], &[], End::Stop).await?;
    }
    run.loses_nothing().map(drop)
}

/// A file of the row layout is carried over in many small steps; cut short anywhere, its rows are there, or its pages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_amid_the_carrying_over_of_rows_loses_nothing() -> anyhow::Result<()> {
    let mut run = Run::on_rows()?;
    run.go(&[("STORE_CYCLE_TICKS", "50")], &[], End::Stop).await?;
    let verdicts = run.loses_nothing()?;
    // Cuts fell into the making of pages, and after it.
    let seen =
        |pending| verdicts.iter().any(|verdict| verdict.pending.contains_key(&Some(pending)));
    ensure!((0..=1).all(seen), "the moments are badly chosen: {verdicts:?}");
    Ok(())
}

/// The control: without syncs some files are torn, and what was acknowledged since is gone.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failpoints_a_carrying_over_that_does_not_sync_is_found_out() -> anyhow::Result<()> {
    let mut run = Run::on_rows()?;
    let wrong = [("STORE_CYCLE_TICKS", "50"), ("CHRONO_SYNCHRONOUS", "OFF")];
    run.go(&wrong, &[], End::Stop).await?;
    for loss in LOSSES {
        let verdict = run.cut(loss, images_of_a_control()?)?;
        eprintln!("control, {loss:?} lost: {verdict:?}");
        ensure!(verdict.lost > 0 || !verdict.wrong.is_empty(), "{loss:?} lost, and not seen");
    }
    Ok(())
}

/// The control: without syncs nothing is safe, and that must be seen.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failpoints_a_build_that_does_not_sync_loses_what_it_acknowledged() -> anyhow::Result<()> {
    is_found_out(("CHRONO_SYNCHRONOUS", "OFF")).await
}

/// The control: acknowledgements before the commit must be seen, too.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failpoints_a_build_that_acknowledges_early_loses_what_it_acknowledged()
-> anyhow::Result<()> {
    is_found_out(("CHRONO_EARLY_ACK", "1")).await
}

#[cfg(feature = "failpoints")]
async fn is_found_out(wrong: (&str, &str)) -> anyhow::Result<()> {
    let mut run = Run::new()?;
    run.go(&[wrong], &[], End::Stop).await?;
    for loss in LOSSES {
        let verdict = run.cut(loss, images_of_a_control()?.div_ceil(2))?;
        eprintln!("control, {loss:?} lost: {verdict:?}");
        ensure!(verdict.lost > 0, "{loss:?} lost, and the loss is not seen");
    }
    Ok(())
}

/// A sync that fails once: the system does not try again, so nothing after it may be believed, and the process ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_sync_that_failed_nothing_is_acknowledged_until_a_restart() -> anyhow::Result<()> {
    for _ in 0..rounds()?.div_ceil(ROUNDS_PER_FAULT) {
        let mut run = Run::new()?;
        let failing = run.failing_sync();
        let state = run.go(&[], &["-e", &failing], End::ByItself).await?;
        ensure!(state.acknowledged > 0, "no batch is acknowledged before the sync fails");
        ensure!(state.refused > 0, "every batch is acknowledged");
        ensure!(state.after == 0, "{} batches are acknowledged after a refusal", state.after);
        let state = run.go(&[], &[], End::Stop).await?;
        ensure!(state.refused == 0, "a restart does not mend it: {state:?}");
        run.loses_nothing()?;
    }
    Ok(())
}

/// The control: a gateway that goes on, as if the next sync made it good, must be seen.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failpoints_a_build_that_ignores_a_failed_sync_acknowledges_after_it() -> anyhow::Result<()>
{
    let mut run = Run::new()?;
    let failing = run.failing_sync();
    let state = run.go(&[("CHRONO_FAILED_SYNC", "IGNORE")], &["-e", &failing], End::Stop).await?;
    eprintln!("control: {state:?}");
    ensure!(state.after > 0, "what it acknowledges afterwards is not seen: {state:?}");
    Ok(())
}
