//! `chrono-api demo`: a gateway on a store of its own, with simulated exchanges that post over real HTTP.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use chrono_auth::{CreatedKey, Role};
use chrono_client::Client;
use chrono_domain::{Clock, Symbol, SystemClock};
use chrono_worker::sim::{self, SYMBOLS, SimConfig};
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Origin, Sources};
use crate::serve::{StopSignals, run_to_the_end, start};
use crate::supervisor::Policy;

/// What the demo has in place of the gateway's defaults, unless a flag says otherwise.
pub(crate) const DEFAULTS: [(&str, &str); 3] =
    [("CHRONO_DATA_DIR", "./chrono-demo-data"), ("HOST", "127.0.0.1"), ("LOG_LEVEL", "warn")];
/// What the demo heeds only as a flag, to say that it does not do it.
pub(crate) const TLS: [&str; 2] = ["TLS_CERT", "TLS_KEY"];
/// The file that marks a directory as a demo's own.
pub(crate) const MARKER: &str = "chrono-demo";
/// Simulated exchanges.
const EXCHANGES: usize = 3;
/// Ticks a second of each exchange.
const RATE: u32 = 20;

/// Keys that live as long as the demo.
struct Keys {
    internal: CreatedKey,
    public: CreatedKey,
}

/// Runs the demo until a signal.
pub(crate) async fn run(sources: &Sources, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut signals = StopSignals::listen()?;
    let keys = Keys {
        internal: CreatedKey::unstored(Role::Internal)?,
        public: CreatedKey::unstored(Role::Public)?,
    };
    let config = config::load(&own_settings(sources, &keys))?;
    anyhow::ensure!(config.tls.is_none(), "the demo speaks plain HTTP: leave --tls-cert away");
    claim(&config.data_dir)?;
    let Some(gateway) = start(&config, &mut signals).await? else { return Ok(()) };
    write_greeting(out, gateway.address, &keys, &config.data_dir)?;
    let simulation = Simulation {
        gateway: local(gateway.address),
        key: keys.internal.text.clone(),
        cancel: gateway.supervisor.draining(),
    };
    gateway.supervisor.task("simulation", Policy::ToEnd, move || simulation.clone().run());
    run_to_the_end(&gateway, &mut signals).await?;
    Ok(writeln!(
        out,
        "Stopped. The data are in {}; delete it when you like.",
        config.data_dir.display()
    )?)
}

/// Takes the settings that a demo may take, and puts its own in place of the rest.
fn own_settings(sources: &Sources, keys: &Keys) -> Sources {
    let flagged = |name| sources.get(name).is_some_and(|value| value.origin == Origin::Flag);
    let mut own = sources.clone();
    for foreign in ["DATABASE_URL", "REDIS_URL", "ADMIN_API_KEYS", "PUBLIC_PAID_API_KEYS"] {
        own = own.without(foreign);
    }
    for unless_flagged in TLS.into_iter().filter(|name| !flagged(name)) {
        own = own.without(unless_flagged);
    }
    for (name, text) in DEFAULTS {
        if !flagged(name) {
            own = own.with_flag(name, text);
        }
    }
    own.with_flag("INTERNAL_API_KEYS", keys.internal.text.expose_secret())
        .with_flag("PUBLIC_API_KEYS", keys.public.text.expose_secret())
}

/// Makes a directory the demo's own, unless it holds something else.
fn claim(directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let marker = directory.join(MARKER);
    let empty = fs::read_dir(directory)?.next().is_none();
    anyhow::ensure!(
        empty || marker.exists(),
        "{} holds other data; the demo writes only into a directory of its own: give it one with --data-dir DIR",
        directory.display()
    );
    fs::write(&marker, "This directory belongs to `chrono-api demo`; it may be deleted.\n")?;
    Ok(())
}

/// The exchanges, as often as they must be started.
#[derive(Clone)]
struct Simulation {
    gateway: SocketAddr,
    key: secrecy::SecretString,
    cancel: CancellationToken,
}

impl Simulation {
    async fn run(self) {
        let symbols = SYMBOLS.iter().filter_map(|name| Symbol::try_new(name).ok()).collect();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let seed = clock.now().micros().unsigned_abs();
        let config = SimConfig {
            seed,
            exchanges: EXCHANGES,
            symbols,
            rate: RATE,
            duration: None,
            run: format!("demo-{seed}"),
        };
        let ended = match Client::new(&format!("http://{}", self.gateway), self.key) {
            Ok(client) => sim::run(config, client, clock, &self.cancel)
                .await
                .map(drop)
                .map_err(anyhow::Error::from),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = ended {
            tracing::error!(error = format!("{error:#}"), "simulated exchanges ended");
        }
    }
}

/// Prints what a newcomer needs: where to look, the keys, and commands to copy, each a line of its own.
fn write_greeting(
    out: &mut dyn Write,
    address: SocketAddr,
    keys: &Keys,
    directory: &Path,
) -> anyhow::Result<()> {
    let (read, post) = (keys.public.text.expose_secret(), keys.internal.text.expose_secret());
    let (at, directory) = (local(address), directory.display());
    write!(
        out,
        r#"Chrono demo: three simulated exchanges post to a gateway on this machine. Ctrl-C stops it.

  Live page   http://{at}/#key={read}
  Read with   {read}
  Post with   {post}
  Data in     {directory} (the demo's own; delete it when you like)

Latest prices:
curl -s 'http://{at}/prices/latest?symbols=BTC/USD,ETH/USD' -H 'X-API-Key: {read}'

Candles of a minute, newest first:
curl -s 'http://{at}/prices/range?symbol=BTC/USD&interval=1m' -H 'X-API-Key: {read}'

One price out of three exchanges, and how it came about:
curl -s 'http://{at}/aggregates/consensus?symbols=BTC/USD&explain=true' -H 'X-API-Key: {read}'

A tick of your own, which shows on the live page, too:
NOW=$(date -u +%FT%TZ); curl -s 'http://{at}/internal/ingest' -H 'Authorization: Bearer {post}' -H 'Content-Type: application/json' -d '{{"worker_id":"me","timestamp":"'$NOW'","feeds":[{{"symbol":"MY/USD","price":"1.50","volume":"2","source":"me","timestamp":"'$NOW'"}}]}}'

The stream as server-sent events:
curl -sN 'http://{at}/stream/sse?symbols=BTC/USD&key={read}'

The stream as WebSocket (cargo install websocat):
echo '{{"action":"subscribe","symbols":["BTC/USD"]}}' | websocat --no-close 'ws://{at}/stream?key={read}'

"#
    )?;
    Ok(out.flush()?)
}

/// Where this machine reaches an address that may stand for all of its own.
fn local(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(address: &str) -> String {
        let keys = Keys {
            internal: CreatedKey::unstored(Role::Internal).unwrap(),
            public: CreatedKey::unstored(Role::Public).unwrap(),
        };
        let mut printed = Vec::new();
        let directory = Path::new("./chrono-demo-data");
        write_greeting(&mut printed, address.parse().unwrap(), &keys, directory).unwrap();
        String::from_utf8(printed).unwrap()
    }

    #[test]
    fn every_line_under_a_heading_is_a_whole_command() {
        let greeting = greeting("127.0.0.1:3000");
        let commands: Vec<_> = greeting
            .split("\n\n")
            .filter_map(|group| group.split_once(":\n"))
            .map(|(_heading, command)| command)
            .collect();
        assert_eq!(commands.len(), 6);
        for command in commands {
            assert_eq!(command.lines().count(), 1, "{command}");
            assert_eq!(command.matches('\'').count() % 2, 0, "{command}");
            assert!(command.contains("127.0.0.1:3000/"), "{command}");
        }
    }

    #[test]
    fn addresses_can_be_opened_on_this_machine() {
        assert!(greeting("0.0.0.0:8123").contains("http://127.0.0.1:8123/#key=chrono_public_"));
        assert!(greeting("[::1]:8123").contains("http://[::1]:8123/#key=chrono_public_"));
    }
}
