//! Ends at chosen places around the commit, and builds that are wrong on purpose.

mod first_keys;
mod panics;

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use anyhow::ensure;
use chrono_testkit::Gateway;
use chrono_testkit::ledger::Wrong;

use crate::campaign::{Campaign, Repeats};
use crate::kills::rounds;

/// Random kills for one end at each place: 20 of them, unless more rounds are asked for.
const ROUNDS_PER_KILL: u64 = 5;
/// Ends of one data directory at most.
const KILLS_OF_A_FILE: u64 = 20;
/// The place is reached so often at most until the end.
const NTH_MAX: u64 = 40;
/// How long a gateway under load may take to reach the place.
const END: Duration = Duration::from_mins(1);
/// The signal of an abort.
const SIGABRT: i32 = 6;

/// What must have become of the batches of the commit in which the gateway ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commit {
    Gone,
    Stored,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_before_the_transaction_begins() -> anyhow::Result<()> {
    end_again_and_again("before_begin", Commit::Gone).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_after_the_rows_are_inserted() -> anyhow::Result<()> {
    end_again_and_again("after_insert", Commit::Gone).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_before_the_commit() -> anyhow::Result<()> {
    end_again_and_again("before_commit", Commit::Gone).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_after_the_commit() -> anyhow::Result<()> {
    end_again_and_again("after_commit", Commit::Stored).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_before_the_publication() -> anyhow::Result<()> {
    end_again_and_again("before_publish", Commit::Stored).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_amid_the_publication() -> anyhow::Result<()> {
    end_again_and_again("mid_publish", Commit::Stored).await
}

/// The control: the same checker must see that a gateway which acknowledges before COMMIT loses what it promised.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_that_acknowledges_before_the_commit_is_found_out() -> anyhow::Result<()> {
    let mut campaign = Campaign::new("control: early acknowledgement")?;
    let mut lost = 0;
    for _ in 0..KILLS_OF_A_FILE {
        let (gateway, _) =
            end_at(&mut campaign, "before_commit", &[("CHRONO_EARLY_ACK", "1")]).await?;
        // Nothing that was answered is sent again: that would mend it.
        campaign.settle(&gateway, Repeats::None).await?;
        let (verdict, _) = campaign.check(&gateway).await?;
        lost += verdict.count(Wrong::Lost);
        gateway.kill()?;
    }
    eprintln!("control: {lost} acknowledged feeds lost in {KILLS_OF_A_FILE} kills, and found out");
    ensure!(lost > 0, "the checker does not see what was lost");
    Ok(())
}

async fn end_again_and_again(place: &'static str, commit: Commit) -> anyhow::Result<()> {
    let mut left = (rounds()? / ROUNDS_PER_KILL).max(1);
    while left > 0 {
        let kills = left.min(KILLS_OF_A_FILE);
        end_one_file(place, commit, kills).await?;
        left -= kills;
    }
    Ok(())
}

async fn end_one_file(place: &'static str, commit: Commit, kills: u64) -> anyhow::Result<()> {
    let mut campaign = Campaign::new(place)?;
    for kill in 1..=kills {
        let (gateway, nth) = end_at(&mut campaign, place, &[]).await?;
        let settled = campaign.settle(&gateway, Repeats::Some).await?;
        let (verdict, found) = if kill == kills {
            campaign.check_whole(&gateway).await?
        } else {
            campaign.check(&gateway).await?
        };
        let end = format!("kill {kill}, {place}:{nth}");
        ensure!(verdict.is_clean(), "{end}: {verdict}");
        let stored = settled.stored + found.stored;
        let gone = settled.gone + found.gone;
        // No batch of that commit was answered, and there is at least one.
        let as_it_must = if commit == Commit::Stored { stored } else { gone };
        ensure!(as_it_must > 0, "{end}: {stored} unanswered batches stored, {gone} gone");
        gateway.kill()?;
    }
    Ok(())
}

/// Loads a gateway until it aborts at a place, and starts the next one; tells how often the place was reached.
async fn end_at(
    campaign: &mut Campaign,
    place: &str,
    variables: &[(&str, &str)],
) -> anyhow::Result<(Gateway, u64)> {
    let nth = campaign.random.within(1, NTH_MAX);
    let failpoint = format!("{place}:{nth}");
    let armed = [variables, &[("CHRONO_FAILPOINT", failpoint.as_str())]].concat();
    let mut gateway = campaign.start(&armed)?;
    let load = campaign.load(&gateway)?;
    let status = gateway.wait(END)?;
    load.end().await?;
    ensure!(status.signal() == Some(SIGABRT), "{failpoint}: it ended by itself, {status}");
    Ok((campaign.start(&[])?, nth))
}
