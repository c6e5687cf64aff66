//! The composition root: the one place that names backends, and puts a gateway together.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use anyhow::Context;
use chrono_auth::{KeyService, Keyring, Limit};
use chrono_cache::memory::{ANSWER_BYTES_MAX, MemoryAnswers, MemoryBus};
use chrono_cache::{Bus, LatestBook};
use chrono_domain::Clock;
use chrono_ingest::{Ingest, IngestSettings, Writer};
use chrono_query::{ConsensusRecorder, PriceQueries};
use chrono_storage::sqlite::{self, Access, Settings as StoreSettings, SqliteStore};
use chrono_storage::{KeyStore, Store};
use hyper::header::HeaderValue;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle;

use crate::app::App;
use crate::config::{Config, HttpConfig};
use crate::descriptors::Places;
use crate::edge::{Edge, Gate, Origins, Route};
use crate::http::{Server, Settings as HttpSettings, Tls};
use crate::key_file::make_first_keys;
use crate::priority;
use crate::routes;
use crate::stream::StreamService;
use crate::supervisor::{self, Policy, Supervisor};
use crate::upkeep;

/// The embedded store's file in the data directory.
const STORE_FILE: &str = "chrono.db";
/// The threads that read the embedded store, by the names that readiness and metrics show.
const READERS: [&str; 3] = ["store-reader-1", "store-reader-2", "store-reader-3"];
/// Connections that the system may keep for the next accept. Too few, and bursts are refused; the system has a bound of
/// its own for too many.
const BACKLOG: u32 = 1_024;
/// Failed authentications a minute of one address before it must wait.
const FAILURES_PER_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(599);

/// A gateway that accepts connections.
pub(crate) struct Gateway {
    /// Where it listens; the port is the real one also when the configuration said 0.
    pub(crate) address: SocketAddr,
    /// Where it serves metrics, if that is elsewhere.
    pub(crate) metrics_address: Option<SocketAddr>,
    /// The file of the keys made at this start, if any were.
    pub(crate) made_keys: Option<PathBuf>,
    pub(crate) supervisor: Supervisor,
    store: Arc<SqliteStore>,
}

/// What every part is made of.
struct Base {
    clock: Arc<dyn Clock>,
    supervisor: Supervisor,
    store: Arc<dyn Store>,
    book: Arc<LatestBook>,
    bus: Arc<dyn Bus>,
}

impl Gateway {
    /// Puts a gateway together and starts it.
    pub(crate) async fn start(
        config: &Config,
        clock: Arc<dyn Clock>,
        metrics: Option<PrometheusHandle>,
        supervisor: Supervisor,
    ) -> anyhow::Result<Self> {
        // Bound first: a port at which somebody listens is found before the store is touched.
        let door = Door::bind(config.listen, "--host ADDRESS or --port N")?;
        let metrics_door = config.metrics.listen;
        let metrics_door =
            metrics_door.map(|address| Door::bind(address, "--metrics-addr ADDRESS:PORT"));
        let metrics_door = metrics_door.transpose()?;
        let (address, metrics_address) =
            (door.address, metrics_door.as_ref().map(|door| door.address));
        let tls = start_tls(config, &supervisor)?;
        #[cfg(feature = "failpoints")]
        arm(&config.failpoints);
        let (settings, opening) = (server_settings(config), Arc::clone(&clock));
        tracing::info!(%address, path = %settings.path.display(), "opening the store");
        // It may take minutes, in which signals are to be heard.
        let opened = supervisor::once(move || open_file(settings, opening.as_ref())).await??;
        let store = run_lanes(opened, &supervisor);
        let base = Base {
            store: Arc::clone(&store) as Arc<dyn Store>,
            book: Arc::new(LatestBook::default()),
            bus: Arc::new(MemoryBus::default()),
            clock,
            supervisor,
        };
        let (keyring, made_keys) = base.open_keyring(config).await?;
        let gate = Gate::new(
            keyring,
            config.limits,
            Limit::per_minute(FAILURES_PER_MINUTE),
            Arc::clone(&base.clock),
        );
        let app = base.start_parts(config, Arc::new(gate), metrics).await?;
        let places = Places::share_out(config.http.connections_max, metrics_door.is_some());
        app.serve(Door { tls, ..door }, &config.http, places)?;
        if let Some(door) = metrics_door {
            app.serve_metrics_apart(door, places)?;
        }
        Ok(Self { address, metrics_address, made_keys, supervisor: base.supervisor, store })
    }

    /// Waits until the disk has failed to sync, after which nothing is stored any more.
    pub(crate) async fn sync_failed(&self) {
        self.store.sync_failed().await;
    }

    /// Tells whether the disk never failed to sync; at the end of a shutdown, also what that brought to the disk.
    pub(crate) fn is_synced(&self) -> bool {
        self.store.is_synced()
    }
}

impl Base {
    /// Loads the keys; makes a first set when there is none at all.
    async fn open_keyring(
        &self,
        config: &Config,
    ) -> anyhow::Result<(Arc<Keyring>, Option<PathBuf>)> {
        let keyring = Arc::new(Keyring::new(config.keys.iter().cloned()));
        let keys = KeyService::new(
            Arc::clone(&self.store) as Arc<dyn KeyStore>,
            Arc::clone(&keyring),
            Arc::clone(&self.clock),
        );
        keys.refresh().await.context("cannot read the stored keys")?;
        let none_at_all = keyring.is_empty() && keys.list().await?.is_empty();
        let made =
            if none_at_all { Some(make_first_keys(&keys, &config.data_dir).await?) } else { None };
        self.supervisor.task("keys", Policy::Forever, move || {
            let keys = keys.clone();
            async move { keys.run().await }
        });
        Ok((keyring, made))
    }

    async fn start_parts(
        &self,
        config: &Config,
        gate: Arc<Gate>,
        metrics: Option<PrometheusHandle>,
    ) -> anyhow::Result<Arc<App>> {
        let ingest = self.start_ingest(config).await?;
        let queries = self.start_queries(config);
        let (bus, book) = (&self.bus, &self.book);
        let stream = StreamService::start(
            config.stream.into(),
            book,
            bus,
            Arc::clone(&gate),
            &self.supervisor,
            &self.clock,
        );
        upkeep::start(&self.store, &self.clock, &self.supervisor, metrics.clone());
        Ok(Arc::new(App {
            clock: Arc::clone(&self.clock),
            gate,
            ingest,
            metrics,
            metrics_apart: config.metrics.listen.is_some(),
            queries,
            store: Arc::clone(&self.store),
            stream,
            supervisor: self.supervisor.clone(),
        }))
    }

    fn start_queries(&self, config: &Config) -> PriceQueries {
        let (store, book, clock) =
            (Arc::clone(&self.store), Arc::clone(&self.book), Arc::clone(&self.clock));
        let settings = Arc::new(config.consensus.clone());
        let recorder = ConsensusRecorder::new(store, book, clock, Arc::clone(&settings));
        // Computing on large windows takes milliseconds, for which no request is to wait.
        let (runtime, halting) = (Handle::current(), self.supervisor.halting());
        self.supervisor.thread("consensus", move || {
            runtime.block_on(halting.run_until_cancelled(recorder.run()));
        });
        let (store, book, clock) =
            (Arc::clone(&self.store), Arc::clone(&self.book), Arc::clone(&self.clock));
        let answers = Arc::new(MemoryAnswers::new(Arc::clone(&clock), ANSWER_BYTES_MAX));
        PriceQueries::new(store, book, answers, clock, settings)
    }

    async fn start_ingest(&self, config: &Config) -> anyhow::Result<Ingest> {
        let settings = IngestSettings {
            queue_batches: config.ingest_queue,
            queue_bytes: config.ingest_queue_bytes,
            names: config.names,
            ..IngestSettings::default()
        };
        let (store, book, bus) =
            (Arc::clone(&self.store), Arc::clone(&self.book), Arc::clone(&self.bus));
        let (ingest, writer) = Writer::start(settings, store, book, bus, Arc::clone(&self.clock))
            .await
            .context("cannot read the newest prices")?;
        // The next commit is not to wait for its turn among the requests that the last one has answered.
        let (runtime, halting) = (Handle::current(), self.supervisor.halting());
        self.supervisor.thread("writer", move || {
            runtime.block_on(halting.run_until_cancelled(writer.run()));
        });
        Ok(ingest)
    }
}

/// Where connections come in; until it is opened they are refused.
struct Door {
    socket: TcpSocket,
    address: SocketAddr,
    /// What sets another address.
    flag: &'static str,
    tls: Option<Arc<Tls>>,
}

impl Door {
    fn bind(address: SocketAddr, flag: &'static str) -> anyhow::Result<Self> {
        let bind = || {
            let socket =
                if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let address = socket.local_addr()?;
            io::Result::Ok(Self { socket, address, flag, tls: None })
        };
        bind().map_err(|fault| no_door(fault, address, flag))
    }

    fn open(self) -> anyhow::Result<(TcpListener, Option<Arc<Tls>>)> {
        let listener = self.socket.listen(BACKLOG);
        let listener = listener.map_err(|fault| no_door(fault, self.address, self.flag))?;
        Ok((listener, self.tls))
    }
}

fn no_door(fault: io::Error, address: SocketAddr, flag: &'static str) -> anyhow::Error {
    let why = match fault.kind() {
        io::ErrorKind::AddrInUse => "the port is taken",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address",
        io::ErrorKind::PermissionDenied => "it is not allowed, as ports below 1024 mostly are not",
        _ => "the system refuses",
    };
    let what = format!("cannot listen on {address}: {why}; set another one with {flag}");
    anyhow::Error::new(fault).context(what)
}

impl App {
    /// Serves every route.
    fn serve(
        self: &Arc<Self>,
        door: Door,
        http: &HttpConfig,
        places: Places,
    ) -> anyhow::Result<()> {
        let settings = HttpSettings {
            connections_max: places.main,
            connections_per_ip_max: http.connections_per_ip_max,
            ..HttpSettings::default()
        };
        self.listen_with("http", door, routes::ALL, settings, origins(http))
    }

    /// Serves `/metrics` alone on an address of its own.
    fn serve_metrics_apart(self: &Arc<Self>, door: Door, places: Places) -> anyhow::Result<()> {
        self.listen_with(
            "metrics",
            door,
            routes::METRICS,
            places.operations_settings(),
            Origins::Only(Vec::new()),
        )
    }

    fn listen_with(
        self: &Arc<Self>,
        name: &'static str,
        door: Door,
        routes: &'static [Route<Self>],
        settings: HttpSettings,
        origins: Origins,
    ) -> anyhow::Result<()> {
        let edge =
            Edge::try_new(Arc::clone(self), routes, Arc::clone(&self.gate), origins, settings)?;
        let (listener, tls) = door.open()?;
        let mut server = Server::new(listener, Arc::new(edge), settings, self.supervisor.clone());
        if let Some(tls) = tls {
            server = server.with_tls(tls);
        }
        let server = Arc::new(server);
        self.supervisor.task(name, Policy::ToEnd, move || {
            let server = Arc::clone(&server);
            async move { server.run().await }
        });
        Ok(())
    }
}

/// Gives the embedded store's file in a data directory.
pub(crate) fn store_file(directory: &Path) -> PathBuf {
    directory.join(STORE_FILE)
}

/// Gives what lies beside the store's file while it does not hold everything itself.
pub(crate) fn log_file(directory: &Path) -> PathBuf {
    directory.join(format!("{STORE_FILE}-wal"))
}

/// Opens the embedded store beside whatever else uses it, for a command of the operator.
pub(crate) fn open_store_as_tool(
    directory: &Path,
    supervisor: &Supervisor,
    clock: &dyn Clock,
) -> anyhow::Result<Arc<dyn Store>> {
    let settings = StoreSettings { access: Access::Tool, ..store_settings(directory) };
    Ok(run_lanes(open_file(settings, clock)?, supervisor))
}

#[cfg(not(feature = "failpoints"))]
fn server_settings(config: &Config) -> StoreSettings {
    owned_settings(config)
}

#[cfg(feature = "failpoints")]
fn server_settings(config: &Config) -> StoreSettings {
    use sqlite::Synchronous::{Full, Off};
    let mut settings = owned_settings(config);
    settings.synchronous = if config.failpoints.unsynced { Off } else { Full };
    settings
}

fn owned_settings(config: &Config) -> StoreSettings {
    let mut settings = store_settings(&config.data_dir);
    settings.cycle.ticks = config.cycle_ticks as u64;
    settings
}

fn store_settings(directory: &Path) -> StoreSettings {
    let readers = NonZeroUsize::MIN.saturating_add(READERS.len() - 1);
    StoreSettings { readers, ..StoreSettings::new(directory.join(STORE_FILE)) }
}

/// Makes a test build crash, panic or be wrong, as it was told to.
#[cfg(feature = "failpoints")]
fn arm(failpoints: &crate::config::Failpoints) {
    if let Some((place, nth)) = &failpoints.abort {
        chrono_storage::failpoint::arm(place, *nth);
    }
    if let Some((place, nth)) = &failpoints.panic {
        chrono_storage::failpoint::arm_panic(place, *nth);
    }
    if failpoints.early_ack {
        chrono_storage::failpoint::acknowledge_early();
    }
    if failpoints.forgives_syncs {
        chrono_storage::failpoint::forgive_syncs();
    }
}

/// Runs the lanes of the embedded store; it closes when the supervisor halts.
fn run_lanes(
    (store, lanes): (SqliteStore, sqlite::Lanes),
    supervisor: &Supervisor,
) -> Arc<SqliteStore> {
    let store = Arc::new(store);
    supervisor.thread("store-writer", move || lanes.writer.run());
    for (lane, name) in lanes.readers.into_iter().zip(READERS) {
        supervisor.thread(name, move || lane.run());
    }
    supervisor.thread("store-upkeep", move || {
        priority::step_back();
        lanes.upkeep.run();
    });
    let (halting, closing) = (supervisor.halting(), Arc::clone(&store));
    supervisor.task("store-close", Policy::ToEnd, move || {
        let (halting, closing) = (halting.clone(), Arc::clone(&closing));
        async move {
            halting.cancelled().await;
            closing.close();
        }
    });
    store
}

/// Names the migrations that the embedded store lacks, in order.
pub(crate) fn pending_migrations(directory: &Path) -> anyhow::Result<Vec<&'static str>> {
    let path = directory.join(STORE_FILE);
    let schema = sqlite::check(&path);
    Ok(schema.with_context(|| format!("cannot open the store {}", path.display()))?.pending)
}

/// Brings the embedded store's schema up to date, which opening it does.
pub(crate) fn migrate_store(directory: &Path, clock: &dyn Clock) -> anyhow::Result<()> {
    let settings =
        StoreSettings { access: Access::Tool, ..StoreSettings::new(directory.join(STORE_FILE)) };
    drop(open_file(settings, clock)?);
    Ok(())
}

/// Opens or makes the embedded store, and the directory in which it lies.
fn open_file(
    settings: StoreSettings,
    clock: &dyn Clock,
) -> anyhow::Result<(SqliteStore, sqlite::Lanes)> {
    let path = settings.path.clone();
    make_directory(path.parent().unwrap_or(Path::new(".")))?;
    SqliteStore::open(settings, clock).with_context(|| {
        format!("cannot open the store {}; --data-dir DIR names another place", path.display())
    })
}

fn make_directory(directory: &Path) -> anyhow::Result<()> {
    let make = || {
        if directory.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(directory)?;
        // A directory that a power cut takes away takes the store with it.
        let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
        fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    };
    make().with_context(|| format!("cannot make the directory {}", directory.display()))
}

/// Reads the certificate and follows its files.
fn start_tls(config: &Config, supervisor: &Supervisor) -> anyhow::Result<Option<Arc<Tls>>> {
    let Some(files) = config.tls.clone() else { return Ok(None) };
    let tls = Arc::new(Tls::load(files)?);
    let followed = Arc::clone(&tls);
    supervisor.task("tls-files", Policy::Forever, move || {
        let tls = Arc::clone(&followed);
        async move { tls.follow().await }
    });
    Ok(Some(tls))
}

fn origins(http: &HttpConfig) -> Origins {
    if http.cors_origins.iter().any(|origin| origin == "*") {
        return Origins::Any;
    }
    Origins::Only(
        http.cors_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect(),
    )
}
