-- Times are microseconds since 1970, UTC. Prices, volumes and sums are exact decimals as text, never REAL.

CREATE TABLE symbols (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
-- Source 0 stands for all sources together in candles.
CREATE TABLE sources (id INTEGER PRIMARY KEY CHECK (id > 0), name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE workers (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

-- What is counted here is never counted back, so that no number is given twice.
CREATE TABLE counters (name TEXT PRIMARY KEY, next INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO counters (name, next) VALUES ('arrival', 1);

CREATE TABLE price_ticks (
    symbol_id INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    arrival INTEGER NOT NULL,
    source_id INTEGER NOT NULL,
    worker_id INTEGER NOT NULL,
    price TEXT NOT NULL,
    volume TEXT,
    metadata TEXT CHECK (json_valid(metadata)),
    ingested_at INTEGER NOT NULL,
    PRIMARY KEY (symbol_id, timestamp, arrival)
) STRICT, WITHOUT ROWID;

-- For people: the columns of the specification.
CREATE VIEW price_feeds (id, symbol, price, volume, timestamp, source, ingested_at, worker_id, metadata) AS
SELECT
    t.arrival,
    y.name,
    t.price,
    t.volume,
    strftime('%Y-%m-%dT%H:%M:%S', t.timestamp / 1000000, 'unixepoch') || printf('.%06dZ', t.timestamp % 1000000),
    s.name,
    strftime('%Y-%m-%dT%H:%M:%S', t.ingested_at / 1000000, 'unixepoch') || printf('.%06dZ', t.ingested_at % 1000000),
    w.name,
    t.metadata
FROM price_ticks t
JOIN symbols y ON y.id = t.symbol_id
JOIN sources s ON s.id = t.source_id
JOIN workers w ON w.id = t.worker_id;

-- A row covers the ticks of its bucket that are older than the symbol's watermark; hours with a dirty mark are not
-- to be trusted until the mark is gone, nor are their days. A day's row is always the merge of its hours' rows.
CREATE TABLE candles (
    symbol_id INTEGER NOT NULL,
    source_id INTEGER NOT NULL,
    interval TEXT NOT NULL CHECK (interval IN ('1m', '1h', '1d')),
    bucket INTEGER NOT NULL,
    open TEXT NOT NULL,
    open_at INTEGER NOT NULL,
    open_arrival INTEGER NOT NULL,
    high TEXT NOT NULL,
    low TEXT NOT NULL,
    close TEXT NOT NULL,
    close_at INTEGER NOT NULL,
    close_arrival INTEGER NOT NULL,
    volume TEXT,
    notional TEXT,
    count INTEGER NOT NULL,
    PRIMARY KEY (symbol_id, source_id, interval, bucket)
) STRICT, WITHOUT ROWID;

CREATE TABLE candle_watermark (symbol_id INTEGER PRIMARY KEY, up_to INTEGER NOT NULL) STRICT;

CREATE TABLE candle_dirty (
    symbol_id INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    source_id INTEGER NOT NULL,
    PRIMARY KEY (symbol_id, hour, source_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE aggregated_prices (
    symbol TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    price TEXT,
    status TEXT NOT NULL,
    median TEXT NOT NULL,
    mean TEXT NOT NULL,
    std_dev TEXT,
    sources TEXT NOT NULL CHECK (json_valid(sources)),
    num_feeds INTEGER NOT NULL,
    computed_at INTEGER NOT NULL,
    PRIMARY KEY (symbol, timestamp, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE delegations (
    id INTEGER PRIMARY KEY,
    delegator_id TEXT NOT NULL,
    provider_id TEXT NOT NULL,
    amount TEXT NOT NULL,
    percentage TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    metadata TEXT CHECK (json_valid(metadata)),
    UNIQUE (delegator_id, provider_id, timestamp)
) STRICT;
CREATE INDEX idx_delegations_delegator_time ON delegations (delegator_id, timestamp DESC, id DESC);
CREATE INDEX idx_delegations_provider_time ON delegations (provider_id, timestamp DESC, id DESC);
CREATE INDEX idx_delegations_time ON delegations (timestamp DESC, id DESC);

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    hash BLOB NOT NULL,
    role TEXT NOT NULL,
    tier TEXT,
    client TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    not_after INTEGER,
    revoked_at INTEGER
) STRICT;

CREATE TABLE idempotency (
    worker_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    receipt BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (worker_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_idempotency_received ON idempotency (received_at);
