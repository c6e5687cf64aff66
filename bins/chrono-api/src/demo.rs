//! `chrono-api demo`: a gateway on a store of its own, with simulated exchanges that post over real HTTP.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
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
use crate::serve::{StopSignals, start, stop};
use crate::supervisor::Policy;

/// Where the demo keeps its data, unless a flag says otherwise.
const DIRECTORY: &str = "./chrono-demo-data";
/// The file that marks a directory as a demo's own.
const MARKER: &str = "chrono-demo";
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
    let keys = Keys { internal: CreatedKey::unstored(Role::Internal)?, public: CreatedKey::unstored(Role::Public)? };
    let config = config::load(&own_settings(sources, &keys))?;
    claim(&config.data_dir)?;
    let gateway = start(&config).await?;
    write_greeting(out, gateway.address, &keys, &config.data_dir)?;
    let simulation = Simulation {
        gateway: gateway.address,
        key: keys.internal.text.clone(),
        cancel: gateway.supervisor.draining(),
    };
    gateway.supervisor.task("simulation", Policy::ToEnd, move || simulation.clone().run());
    signals.next().await;
    stop(&gateway, &mut signals).await
}

/// Takes the settings that a demo may take, and puts its own in place of the rest.
fn own_settings(sources: &Sources, keys: &Keys) -> Sources {
    let flagged = |name| sources.get(name).is_some_and(|value| value.origin == Origin::Flag);
    let mut own = sources.clone();
    for foreign in ["DATABASE_URL", "REDIS_URL", "ADMIN_API_KEYS", "PUBLIC_PAID_API_KEYS"] {
        own = own.without(foreign);
    }
    for (name, text) in [("CHRONO_DATA_DIR", DIRECTORY), ("HOST", "127.0.0.1"), ("LOG_LEVEL", "warn")] {
        if !flagged(name) {
            own = own.with_flag(name, text);
        }
    }
    own.with_flag("INTERNAL_API_KEYS", keys.internal.text.expose_secret())
        .with_flag("PUBLIC_API_KEYS", keys.public.text.expose_secret())
}

/// Makes a directory the demo's own, unless it holds something else.
fn claim(directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let marker = directory.join(MARKER);
    let empty = fs::read_dir(directory)?.next().is_none();
    anyhow::ensure!(
        empty || marker.exists(),
        "{} holds other data; the demo writes only into a directory of its own: give it one with --data-dir",
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
        let config = SimConfig { seed, exchanges: EXCHANGES, symbols, rate: RATE, duration: None, run: format!("demo-{seed}") };
        let ended = match Client::new(&format!("http://{}", self.gateway), self.key) {
            Ok(client) => sim::run(config, client, clock, &self.cancel).await.map(drop).map_err(anyhow::Error::from),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = ended {
            tracing::error!(error = format!("{error:#}"), "simulated exchanges ended");
        }
    }
}

/// Prints what a newcomer needs: where to look, the keys, and lines to copy.
fn write_greeting(out: &mut dyn Write, address: SocketAddr, keys: &Keys, directory: &Path) -> anyhow::Result<()> {
    let (public, internal) = (keys.public.text.expose_secret(), keys.internal.text.expose_secret());
    let directory = directory.display();
    write!(
        out,
        "Chrono demo: three simulated exchanges post to a gateway on this machine. Stop it with Ctrl-C.\n\
         \n\
         URL       http://{address}/#key={public}\n\
         read      {public}\n\
         post      {internal}\n\
         data      {directory} (may be deleted when the demo is stopped)\n\
         \n\
         Latest prices:\n\
         curl -s 'http://{address}/prices/latest?symbols=BTC/USD,ETH/USD' -H 'X-API-Key: {public}'\n\
         \n\
         One-minute candles, newest first:\n\
         curl -s 'http://{address}/prices/range?symbol=BTC/USD&interval=1m' -H 'X-API-Key: {public}'\n\
         \n\
         Post a tick of your own:\n\
         curl -s 'http://{address}/internal/ingest' -H 'Authorization: Bearer {internal}' -H 'Content-Type: application/json' \\\n\
         \x20 -d '{{\"worker_id\":\"me\",\"timestamp\":\"'$(date -u +%FT%TZ)'\",\"feeds\":[{{\"symbol\":\"MY/USD\",\"price\":\"1.50\",\"source\":\"me\",\"timestamp\":\"'$(date -u +%FT%TZ)'\"}}]}}'\n\
         \n\
         The stream, as server-sent events and as WebSocket:\n\
         curl -sN 'http://{address}/stream/sse?symbols=BTC/USD&key={public}'\n\
         websocat 'ws://{address}/stream?key={public}' <<< '{{\"action\":\"subscribe\",\"symbols\":[\"BTC/USD\"]}}' --no-close\n\
         \n"
    )?;
    Ok(out.flush()?)
}
