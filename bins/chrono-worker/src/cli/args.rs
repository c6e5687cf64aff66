//! What the command line takes.

use std::path::PathBuf;
use std::time::Duration;

use chrono_client::Backoff;
use chrono_domain::{Symbol, WorkerId};
use clap::{Args, Parser, Subcommand, value_parser};
use indicatif::{ProgressBar, ProgressStyle};

use crate::TickerVolume;
use crate::replay::{ReplayOptions, Run, RunPlan, Speed, Times, Unreadable};
use crate::sim::{RATE_MAX, SYMBOLS, SimConfig};

/// Posts ticks to a Chrono gateway.
#[derive(Debug, Parser)]
#[command(name = "chrono-worker", version)]
pub(super) struct Arguments {
    /// Also log every retry.
    #[arg(long, short, global = true)]
    pub(super) verbose: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Posts recorded ticks from NDJSON files.
    ///
    /// Each line is a feed as POST /internal/ingest takes it:
    ///
    /// {"symbol":"BTC/USD","price":"67234.56","volume":"0.250","source":"binance","timestamp":"2025-10-09T12:34:56Z"}
    ///
    /// volume and metadata may be left out. Ticks of whatever age are stored. A second replay of the same file stores
    /// its ticks a second time, unless it gets the first one's --run ID.
    Replay(ReplayArguments),
    /// Posts what seeded simulated exchanges trade.
    Sim(SimArguments),
}

/// Where the gateway is, and who asks.
#[derive(Debug, Args)]
pub(super) struct Gateway {
    /// The gateway's address; http or https.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000")]
    pub(super) url: String,
    /// PEM file of authorities to trust beside the system's, for a gateway at https.
    #[arg(long, value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
    /// File that holds the internal key: alone, or as the gateway's own keys.txt does.
    #[arg(long, value_name = "FILE", required_unless_present = "key")]
    pub(super) key_file: Option<PathBuf>,
    /// The internal key itself; others on this machine can see it, so prefer --key-file.
    #[arg(long, value_name = "KEY", conflicts_with = "key_file")]
    pub(super) key: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArguments {
    #[command(flatten)]
    pub(super) gateway: Gateway,
    /// Files of ticks, directories of .ndjson and .ndjson.gz files, or - for standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Who posts; must be the same when a run is resumed.
    #[arg(long, value_name = "ID", default_value = "replay")]
    worker_id: WorkerId,
    /// Ticks in a batch.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = value_parser!(u8).range(1..=100))]
    batch: u8,
    /// Batches posted at once; the ticks of a symbol stay in order.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u8).range(1..=64))]
    concurrency: u8,
    /// How fast: max, or a factor of the recording's own pace such as 1.0 or 10.
    #[arg(long, value_name = "FACTOR", default_value = "max")]
    speed: Speed,
    /// Longest wait of a paced replay, in seconds; longer silences are cut to it.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = value_parser!(u64).range(1..))]
    pause_max: u64,
    /// Move all times so that the last tick is of now when it is posted, keeping distances.
    #[arg(long)]
    shift_to_now: bool,
    /// Post tickers' rolling 24 h volumes as if they were traded, instead of moving them to metadata.
    #[arg(long)]
    keep_ticker_volume: bool,
    /// Stop at the first line that is no tick.
    #[arg(long)]
    strict: bool,
    /// Repeat or go on with the run of this id, which every replay prints, over the same files where they were and with
    /// the same worker id: what is stored already is not stored again, for a day.
    #[arg(long, value_name = "ID", conflicts_with_all = ["batch", "concurrency", "speed", "shift_to_now"])]
    run: Option<Run>,
}

#[derive(Debug, Args)]
pub(super) struct SimArguments {
    #[command(flatten)]
    pub(super) gateway: Gateway,
    /// Decides every price.
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
    /// Number of exchanges.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u8).range(1..=26))]
    exchanges: u8,
    /// What they trade, comma-separated.
    #[arg(long, value_name = "BASE/QUOTE,…", value_delimiter = ',', default_values = SYMBOLS)]
    symbols: Vec<Symbol>,
    /// Ticks per second of each exchange.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = value_parser!(u32).range(1..=i64::from(RATE_MAX)))]
    rate: u32,
    /// How long, in seconds; without it until interrupted. What waits then is posted for at most five seconds more.
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u64>,
}

impl ReplayArguments {
    pub(super) fn options(self, nonce: u64, backoff: Backoff) -> anyhow::Result<ReplayOptions> {
        let plan = self.run.map_or(
            RunPlan::New {
                nonce,
                batch: self.batch.into(),
                lanes: self.concurrency.into(),
                speed: self.speed,
                times: if self.shift_to_now { Times::EndNow } else { Times::Original },
            },
            RunPlan::Resume,
        );
        Ok(ReplayOptions {
            inputs: self.files,
            worker_id: self.worker_id,
            plan,
            ticker_volume: if self.keep_ticker_volume {
                TickerVolume::Keep
            } else {
                TickerVolume::Move
            },
            unreadable: if self.strict { Unreadable::Stop } else { Unreadable::Count },
            pause_max: Duration::from_secs(self.pause_max),
            backoff,
            progress: progress()?,
        })
    }
}

impl SimArguments {
    pub(super) fn config(self, nonce: u64) -> SimConfig {
        SimConfig {
            seed: self.seed,
            exchanges: self.exchanges.into(),
            symbols: self.symbols,
            rate: self.rate,
            duration: self.duration.map(Duration::from_secs),
            run: format!("{nonce:016x}"),
        }
    }
}

/// Draws on stderr, and only where that is a terminal.
fn progress() -> anyhow::Result<ProgressBar> {
    let style =
        ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}")?;
    Ok(ProgressBar::new(0).with_style(style))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split_whitespace())
    }

    fn replay(line: &str) -> ReplayOptions {
        let line = format!("chrono-worker replay --key k {line}");
        let Command::Replay(arguments) = parse(&line).unwrap().command else {
            panic!("not a replay: {line}")
        };
        arguments.options(7, Backoff::new(7)).unwrap()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_replay_is_plain_by_default() {
        let options = replay("a.ndjson b");
        assert_eq!(options.inputs, [PathBuf::from("a.ndjson"), PathBuf::from("b")]);
        let RunPlan::New { batch, lanes, speed, times, .. } = options.plan else {
            panic!("resumed")
        };
        assert_eq!((batch, lanes, speed, times), (100, 1, Speed::Max, Times::Original));
        assert_eq!(options.ticker_volume, TickerVolume::Move);
    }

    #[test]
    fn a_resumed_run_takes_its_shape_from_its_id() {
        let options = replay("a --run 00c0ffee00c0ffee_50_4_max_-5");
        assert!(matches!(options.plan, RunPlan::Resume(run) if run.batch == 50 && run.lanes == 4));
        for more in ["--batch 10", "--concurrency 2", "--speed 1", "--shift-to-now"] {
            let line =
                format!("chrono-worker replay --key k a --run 00c0ffee00c0ffee_50_4_max_-5 {more}");
            assert!(parse(&line).is_err(), "{more}");
        }
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for line in [
            "replay a",
            "replay --key k",
            "replay --key k --key-file f a",
            "replay --key k --batch 0 a",
            "replay --key k --batch 101 a",
            "replay --key k --concurrency 0 a",
            "replay --key k --speed 0 a",
            "replay --key k --worker-id a/b a",
            "sim",
            "sim --key k --exchanges 27",
            "sim --key k --rate 0",
            "sim --key k --symbols btc",
        ] {
            assert!(parse(&format!("chrono-worker {line}")).is_err(), "{line}");
        }
    }

    #[test]
    fn a_simulation_trades_a_list_by_default() {
        let Command::Sim(arguments) = parse("chrono-worker sim --key k").unwrap().command else {
            panic!("not a simulation")
        };
        let config = arguments.config(255);
        assert_eq!((config.exchanges, config.rate, config.symbols.len()), (3, 10, 8));
        assert_eq!((config.run.as_str(), config.duration), ("00000000000000ff", None));
    }
}
