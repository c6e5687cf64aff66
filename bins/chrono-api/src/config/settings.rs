//! The table of settings: names, defaults, and what goes wrong when one is too high or too low.

/// One setting, as the environment names it; the file has the name in lower case, the flag with dashes.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// Its value when nothing sets it; none means off.
    pub default: Option<&'static str>,
    /// Whether it is masked when printed, refused as a flag, and also read from the file that `NAME_FILE` names.
    pub secret: bool,
    /// What it does, and both failure directions.
    pub help: &'static str,
}

const fn plain(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { name, default: Some(default), secret: false, help }
}

const fn off(name: &'static str, help: &'static str) -> Setting {
    Setting { name, default: None, secret: false, help }
}

const fn secret(name: &'static str, help: &'static str) -> Setting {
    Setting { name, default: None, secret: true, help }
}

/// Every setting, in the order in which they are shown.
pub const SETTINGS: &[Setting] = &[
    plain(
        "NODE_ENV",
        "production",
        "production, test or development; development only picks readable logs.",
    ),
    plain("HOST", "0.0.0.0", "Address to listen on; 127.0.0.1 keeps the gateway to this machine."),
    plain("PORT", "3000", "Port to listen on; 0 takes a free one and logs it."),
    off(
        "TLS_CERT",
        "PEM file of the certificate chain, the gateway's own first; with TLS_KEY it makes the port speak TLS only. Looked at every 2 s; a new pair is taken without a restart.",
    ),
    off(
        "TLS_KEY",
        "PEM file of the certificate's private key. Readable for others, it gives the gateway's name away.",
    ),
    plain(
        "CHRONO_DATA_DIR",
        "./chrono-data",
        "Directory of the embedded store. After a stop its chrono.db alone holds everything: back that up, and while the gateway runs with: sqlite3 chrono.db \".backup copy.db\"",
    ),
    secret(
        "DATABASE_URL",
        "PostgreSQL to store in, in place of the embedded store. Not built yet: setting it stops the start.",
    ),
    plain(
        "DATABASE_POOL_SIZE",
        "20",
        "Connections to PostgreSQL. Too low queues requests, too high starves the server.",
    ),
    secret(
        "REDIS_URL",
        "Redis to cache and fan out through. Not built yet: setting it stops the start.",
    ),
    plain(
        "REDIS_CACHE_TTL",
        "60",
        "Seconds a latest price lives in Redis. Too low misses, too high serves a dead feed longer.",
    ),
    secret(
        "INTERNAL_API_KEYS",
        "Keys of workers, comma-separated, each starting with chrono_internal_.",
    ),
    secret(
        "PUBLIC_API_KEYS",
        "Keys of free readers, comma-separated, each starting with chrono_public_.",
    ),
    secret(
        "PUBLIC_PAID_API_KEYS",
        "Keys of paying readers, comma-separated, each starting with chrono_public_.",
    ),
    secret(
        "ADMIN_API_KEYS",
        "Keys for everything, comma-separated, each starting with chrono_admin_.",
    ),
    plain(
        "RATE_LIMIT_INTERNAL",
        "5000",
        "Requests a minute per internal key. Raise it where a fleet shares one key: too low throttles all of it, too high lets whoever holds the key flood the store.",
    ),
    plain(
        "RATE_LIMIT_WORKER",
        "5000",
        "Requests a minute per worker_id behind one internal key. Too low throttles workers, too high lets one take what its fleet shares.",
    ),
    plain(
        "RATE_LIMIT_PUBLIC_FREE",
        "1000",
        "Requests a minute per free key. Too low throttles honest readers, too high lets one crowd out the rest.",
    ),
    plain("RATE_LIMIT_PUBLIC_PAID", "10000", "Requests a minute per paid key; as above."),
    plain(
        "CORS_ORIGINS",
        "*",
        "Origins that browsers may read public paths from, comma-separated, or *, or none. Too narrow breaks front ends, * lets any site use a visitor's key.",
    ),
    plain(
        "HTTP_MAX_CONNECTIONS",
        "12000",
        "Open connections; fewer where the system's limit of open files is lower. Too low refuses clients, too high lets a flood take the memory.",
    ),
    plain(
        "HTTP_MAX_CONNECTIONS_PER_IP",
        "1000",
        "Open connections per address. Too low cuts off clients behind one NAT, too high lets one host take all.",
    ),
    plain(
        "LOG_LEVEL",
        "info",
        "off, error, warn, info, debug or trace, or a filter such as info,chrono_stream=debug. debug and trace cost speed.",
    ),
    off(
        "LOG_FORMAT",
        "json for machines or pretty for people; by default json, pretty under NODE_ENV=development.",
    ),
    plain("METRICS_ENABLED", "true", "false answers 404 at /metrics and keeps no metrics."),
    off(
        "METRICS_ADDR",
        "Address and port for /metrics alone, such as 127.0.0.1:9090; unset serves it with the rest.",
    ),
    plain(
        "WS_HEARTBEAT_INTERVAL",
        "30000",
        "Milliseconds between heartbeats on a stream. Too low costs traffic, too high hides dead connections.",
    ),
    plain(
        "WS_MAX_CONNECTIONS",
        "10000",
        "Open streams. Too low refuses readers, too high exhausts memory and file descriptors.",
    ),
    plain(
        "WS_MAX_CONNECTIONS_PER_KEY",
        "1000",
        "Open streams per key. Too low cuts off fleets that share one, too high lets one key take all.",
    ),
    plain("WS_MAX_CONNECTIONS_PER_IP", "1000", "Open streams per address; as above."),
    plain(
        "CONSENSUS_INTERVAL",
        "5000",
        "Milliseconds between consensus snapshots, and the oldest a latest consensus may be. Snapshots take at most a fifth of one core: where they would need more, times are left out and counted in consensus_times_skipped_total. Too low costs CPU and disk, too high makes it old.",
    ),
    plain(
        "CONSENSUS_MIN_SOURCES",
        "1",
        "Fewest fresh sources for a consensus price; a query may ask for more, never for fewer. Too low trusts a single venue, too high answers no_quorum. In production 3: of three sources one that is wrong can be outvoted.",
    ),
    off(
        "CONSENSUS_MAX_AGE",
        "Oldest price that votes, per symbol pattern, first match wins: FLR/*:60s,*:300s; unset is 300s for all. Too low loses slow feeds, too high lets dead ones vote.",
    ),
    off(
        "CONSENSUS_WEIGHTS",
        "Votes per source: binance:3,kraken:2; others have 1. A weight too high makes that venue the price.",
    ),
    off(
        "CONSENSUS_GROUPS",
        "Mirrors of one venue that vote once: binance+binance_us,ftx+ftx_us. Missing ones let a venue vote twice.",
    ),
    plain(
        "INGEST_QUEUE",
        "1024",
        "Batches that may wait for the store. Too low refuses bursts, too high lets them wait past their deadline.",
    ),
    plain(
        "INGEST_QUEUE_BYTES",
        "67108864",
        "Bytes of memory that they may hold together, 2 MiB at least; beyond, a batch is answered 503. Too low refuses bursts with much metadata, too high lets them fill the memory.",
    ),
    plain(
        "STORE_CYCLE_TICKS",
        "250000",
        "Ticks kept in memory until they are sealed into pages of the embedded store. Too low writes the same pages again and again, too high takes memory, some 100 bytes a tick, and a second of the start for each million; 500000 at most, half of what memory may hold. Ticks that take more, as one that is alone in its hour takes 600, are sealed at 96 MiB.",
    ),
    plain(
        "MAX_SYMBOLS",
        "100000",
        "Different symbols taken in. Too low refuses new ones, too high lets a key fill the memory.",
    ),
    plain("MAX_SOURCES", "1000", "Different sources taken in; as above."),
    plain("MAX_WORKERS", "10000", "Different worker ids taken in; as above."),
];
