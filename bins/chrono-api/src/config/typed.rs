//! Texts into values; every fault is kept, none stops the others from being found.

mod tls;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use chrono_auth::{ConfiguredKey, Role, Tier};
use chrono_ingest::NameLimits;
use chrono_query::{ConsensusSettings, ConsensusTexts};
use secrecy::SecretString;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::fault::{Faults, SettingFault};
use super::sources::{Origin, Sources};
use crate::http::TlsFiles;

/// The checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Directory of the embedded store.
    pub data_dir: PathBuf,
    /// Keys from the environment and the file.
    pub keys: Vec<ConfiguredKey>,
    /// Requests a minute, by kind of key.
    pub limits: chrono_auth::Limits,
    /// Connections and origins.
    pub http: HttpConfig,
    /// The certificate and its key, which can be used; without them connections are plain.
    pub tls: Option<TlsFiles>,
    /// Logs.
    pub log: LogConfig,
    /// Metrics.
    pub metrics: MetricsConfig,
    /// Streams.
    pub stream: StreamConfig,
    /// Consensus.
    pub consensus: ConsensusSettings,
    /// Batches that may wait for the store.
    pub ingest_queue: usize,
    /// Bytes that they may hold together.
    pub ingest_queue_bytes: usize,
    /// Ticks in memory that the embedded store seals into pages.
    pub cycle_ticks: usize,
    /// How many names are taken in.
    pub names: NameLimits,
    /// What a test build does wrong on purpose.
    #[cfg(feature = "failpoints")]
    pub failpoints: super::failpoints::Failpoints,
}

/// Connections and origins.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Open connections in all.
    pub connections_max: usize,
    /// Open connections per address.
    pub connections_per_ip_max: usize,
    /// Origins that browsers may read public paths from; `*` is any.
    pub cors_origins: Vec<String>,
}

/// Logs.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// A filter in the syntax of `tracing-subscriber`.
    pub filter: String,
    /// How lines look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// Metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Whether there are any.
    pub enabled: bool,
    /// Where they are served alone.
    pub listen: Option<SocketAddr>,
}

/// Streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamConfig {
    /// Time between heartbeats.
    pub heartbeat: Duration,
    /// Open streams in all.
    pub connections_max: usize,
    /// Open streams per key.
    pub connections_per_key_max: usize,
    /// Open streams per address.
    pub connections_per_ip_max: usize,
}

impl TryFrom<&Sources> for Config {
    type Error = Faults;

    fn try_from(sources: &Sources) -> Result<Self, Faults> {
        let mut reader = Reader { sources, faults: sources.faults.clone() };
        reader.not_built_yet();
        let config = Self {
            listen: reader.listen(),
            data_dir: PathBuf::from(reader.text("CHRONO_DATA_DIR").unwrap_or_default()),
            keys: reader.keys(),
            limits: reader.limits(),
            http: reader.http(),
            tls: reader.tls(),
            log: reader.log(),
            metrics: reader.metrics(),
            stream: reader.stream(),
            consensus: reader.consensus(),
            ingest_queue: reader.count("INGEST_QUEUE", 1, 1_000_000),
            ingest_queue_bytes: reader.count("INGEST_QUEUE_BYTES", 2 << 20, 1 << 32),
            cycle_ticks: reader.count("STORE_CYCLE_TICKS", 1, 500_000),
            names: NameLimits {
                symbols: reader.count("MAX_SYMBOLS", 1, 10_000_000),
                sources: reader.count("MAX_SOURCES", 1, 1_000_000),
                workers: reader.count("MAX_WORKERS", 1, 10_000_000),
            },
            #[cfg(feature = "failpoints")]
            failpoints: super::failpoints::Failpoints::from_environment(&mut reader.faults),
        };
        if reader.faults.is_empty() { Ok(config) } else { Err(Faults(reader.faults)) }
    }
}

/// Tells whether every part of a filter names a level; a bare word that names none would be taken for a module, and
/// silence all others.
fn is_filter(text: &str) -> bool {
    let names_level = |part: &str| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok();
    EnvFilter::try_new(text).is_ok() && text.split(',').all(names_level)
}

struct Reader<'s> {
    sources: &'s Sources,
    faults: Vec<SettingFault>,
}

impl Reader<'_> {
    fn not_built_yet(&mut self) {
        for (name, what) in [("DATABASE_URL", "PostgreSQL"), ("REDIS_URL", "Redis")] {
            if self.text(name).is_some() {
                let expected = format!(
                    "no value: {what} is not built yet, this version runs on its embedded store"
                );
                self.fault(name, None, &expected);
            }
        }
        // Checked now, so that a file written for PostgreSQL and Redis is known to be right.
        self.count("DATABASE_POOL_SIZE", 4, 10_000);
        self.count("REDIS_CACHE_TTL", 1, 86_400);
    }

    fn listen(&mut self) -> SocketAddr {
        let host = self.parsed(
            "HOST",
            IpAddr::from([127, 0, 0, 1]),
            "an IP address such as 127.0.0.1 or ::",
        );
        SocketAddr::new(host, self.parsed("PORT", 0, "a port from 0 to 65535"))
    }

    fn keys(&mut self) -> Vec<ConfiguredKey> {
        let kinds = [
            ("INTERNAL_API_KEYS", Role::Internal, Tier::Free),
            ("PUBLIC_API_KEYS", Role::Public, Tier::Free),
            ("PUBLIC_PAID_API_KEYS", Role::Public, Tier::Paid),
            ("ADMIN_API_KEYS", Role::Admin, Tier::Free),
        ];
        let mut keys = Vec::new();
        for (name, role, tier) in kinds {
            for text in self.list(name).into_iter().map(SecretString::from) {
                match ConfiguredKey::try_new(role, tier, &text) {
                    Ok(key) => keys.push(key),
                    Err(broken) => {
                        self.fault(name, None, &format!("keys separated by commas ({broken})"));
                    }
                }
            }
        }
        keys
    }

    fn limits(&mut self) -> chrono_auth::Limits {
        chrono_auth::Limits {
            internal: self.limit("RATE_LIMIT_INTERNAL"),
            worker: self.limit("RATE_LIMIT_WORKER"),
            public_free: self.limit("RATE_LIMIT_PUBLIC_FREE"),
            public_paid: self.limit("RATE_LIMIT_PUBLIC_PAID"),
        }
    }

    fn limit(&mut self, name: &str) -> chrono_auth::Limit {
        let expected = "requests a minute, a whole number above zero";
        chrono_auth::Limit::per_minute(self.parsed(name, NonZeroU32::MIN, expected))
    }

    fn http(&mut self) -> HttpConfig {
        let cors_origins = self.list("CORS_ORIGINS");
        let fits = |origin: &String| {
            origin == "*"
                || origin.split_once("://").is_some_and(|(scheme, host)| {
                    matches!(scheme, "http" | "https") && !host.is_empty() && !host.contains('/')
                })
        };
        let none = cors_origins.iter().any(|origin| origin == "none");
        if !(cors_origins.iter().all(fits) || none && cors_origins.len() == 1) {
            self.fault(
                "CORS_ORIGINS",
                self.text("CORS_ORIGINS"),
                "origins such as https://example.org, or *, or none",
            );
        }
        HttpConfig {
            connections_max: self.count("HTTP_MAX_CONNECTIONS", 1, 10_000_000),
            connections_per_ip_max: self.count("HTTP_MAX_CONNECTIONS_PER_IP", 1, 10_000_000),
            cors_origins,
        }
    }

    fn log(&mut self) -> LogConfig {
        let filter = self.text("LOG_LEVEL").unwrap_or_default();
        if !is_filter(&filter) {
            let expected = "error, warn, info, debug, trace, off, or a filter such as info,chrono_stream=debug";
            self.fault("LOG_LEVEL", Some(filter.clone()), expected);
        }
        let development = match self.text("NODE_ENV").as_deref() {
            Some("development") => true,
            Some("production" | "test") => false,
            other => {
                self.fault("NODE_ENV", other.map(str::to_owned), "production, development or test");
                false
            }
        };
        let format = match self.text("LOG_FORMAT").as_deref() {
            None if development => LogFormat::Pretty,
            Some("pretty") => LogFormat::Pretty,
            Some("json") | None => LogFormat::Json,
            Some(other) => {
                self.fault("LOG_FORMAT", Some(other.to_owned()), "json or pretty");
                LogFormat::Json
            }
        };
        LogConfig { filter, format }
    }

    fn metrics(&mut self) -> MetricsConfig {
        let enabled = self.parsed("METRICS_ENABLED", true, "true or false");
        let listen = self.text("METRICS_ADDR").map(|_| {
            let unset = SocketAddr::from(([127, 0, 0, 1], 0));
            self.parsed("METRICS_ADDR", unset, "an address and port such as 127.0.0.1:9090")
        });
        MetricsConfig { enabled, listen }
    }

    fn stream(&mut self) -> StreamConfig {
        StreamConfig {
            heartbeat: self.millis("WS_HEARTBEAT_INTERVAL", 100, 3_600_000),
            connections_max: self.count("WS_MAX_CONNECTIONS", 1, 10_000_000),
            connections_per_key_max: self.count("WS_MAX_CONNECTIONS_PER_KEY", 1, 10_000_000),
            connections_per_ip_max: self.count("WS_MAX_CONNECTIONS_PER_IP", 1, 10_000_000),
        }
    }

    fn consensus(&mut self) -> ConsensusSettings {
        let text = |name| self.sources.get(name).map(|value| value.text.as_str());
        let read = ConsensusSettings::parse(ConsensusTexts {
            weights: text("CONSENSUS_WEIGHTS"),
            groups: text("CONSENSUS_GROUPS"),
            max_age: text("CONSENSUS_MAX_AGE"),
            min_sources: text("CONSENSUS_MIN_SOURCES"),
            interval: text("CONSENSUS_INTERVAL"),
        });
        read.unwrap_or_else(|faults| {
            for fault in faults {
                self.fault(fault.name, Some(fault.received), fault.expected);
            }
            ConsensusSettings::default()
        })
    }

    fn millis(&mut self, name: &str, least: usize, most: usize) -> Duration {
        Duration::from_millis(self.count(name, least, most) as u64)
    }

    fn count(&mut self, name: &str, least: usize, most: usize) -> usize {
        let expected = format!("a whole number from {least} to {most}");
        let count = self.parsed(name, least, &expected);
        if !(least..=most).contains(&count) {
            self.fault(name, self.text(name), &expected);
        }
        count
    }

    fn parsed<T: FromStr>(&mut self, name: &str, fallback: T, expected: &str) -> T {
        let text = self.text(name).unwrap_or_default();
        text.trim().parse().unwrap_or_else(|_broken| {
            self.fault(name, Some(text), expected);
            fallback
        })
    }

    fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    fn text(&self, name: &str) -> Option<String> {
        self.sources.get(name).map(|value| value.text.clone())
    }

    fn fault(&mut self, name: &str, received: Option<String>, expected: &str) {
        let from = self
            .sources
            .get(name)
            .map(|value| value.origin)
            .filter(|origin| *origin != Origin::Environment);
        let name = match from {
            Some(origin) => format!("{name} (from {})", origin.name()),
            None => name.to_owned(),
        };
        self.faults.push(SettingFault { name, received, expected: expected.to_owned() });
    }
}
