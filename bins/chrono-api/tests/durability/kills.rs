//! Kills at random moments.

use std::time::Duration;

use anyhow::ensure;
use chrono_testkit::number_from_environment;
use tokio::time::sleep;

use crate::campaign::{Campaign, Repeats};

/// How often to kill, unless the environment says otherwise.
const ROUNDS: &str = "CHRONO_DURABILITY_ROUNDS";
const ROUNDS_DEFAULT: u64 = 100;
/// Kills of one data directory, so that checks of everything do not grow without end.
const ROUNDS_OF_A_FILE: u64 = 100;
/// Kills between two checks of everything.
const WHOLE_EVERY: u64 = 25;
/// When the kill comes after the first acknowledgement, in milliseconds.
const KILL_AFTER_MS: (u64, u64) = (30, 400);

/// Gives how often to kill.
pub(crate) fn rounds() -> anyhow::Result<u64> {
    Ok(number_from_environment(ROUNDS)?.unwrap_or(ROUNDS_DEFAULT))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_killed_at_random() -> anyhow::Result<()> {
    let mut left = rounds()?;
    while left > 0 {
        let rounds = left.min(ROUNDS_OF_A_FILE);
        kill_again_and_again(rounds).await?;
        left -= rounds;
    }
    Ok(())
}

async fn kill_again_and_again(rounds: u64) -> anyhow::Result<()> {
    let mut campaign = Campaign::new("random kills")?;
    for round in 1..=rounds {
        let gateway = campaign.start(&[])?;
        campaign.settle(&gateway, Repeats::Some).await?;
        let (verdict, _) = match round % WHOLE_EVERY {
            0 => campaign.check_whole(&gateway).await?,
            _ => campaign.check(&gateway).await?,
        };
        ensure!(verdict.is_clean(), "before kill {round}: {verdict}");
        let load = campaign.load(&gateway)?;
        load.acknowledged().await?;
        let (least, most) = KILL_AFTER_MS;
        sleep(Duration::from_millis(campaign.random.within(least, most))).await;
        gateway.kill()?;
        load.end().await?;
    }
    let gateway = campaign.start(&[])?;
    campaign.settle(&gateway, Repeats::Some).await?;
    let (verdict, _) = campaign.check_whole(&gateway).await?;
    ensure!(verdict.is_clean(), "at the end: {verdict}");
    let verdict = campaign.check_by_file(&gateway).await?;
    ensure!(verdict.is_clean(), "by the ledger's file: {verdict}");
    ensure!(gateway.stop()?.success(), "the gateway does not stop as it should");
    Ok(())
}
