-- A log that commits append to, and pages that it is sealed into, cycle after cycle. Blobs carry a format and a checksum.

-- A commit: all its batches, in the order of arrival. Rows up to the counter `sealed_commit` are in the pages too.
CREATE TABLE log (number INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;

-- Families: 1 ticks, 2 their metadata, 3 candles of minutes by the hour, 4 of hours by the day, 5 of days by 32 days,
-- 6 the newest tick of each source; each with all sources of a symbol.
-- A page covers its key (start, tie) and what follows, up to the next page's key. A row is never updated: a cycle
-- writes a new one, and the newest of those that are not above the counter `cycle` is the page.
CREATE TABLE pages (
    id INTEGER PRIMARY KEY,
    family INTEGER NOT NULL,
    symbol_id INTEGER NOT NULL,
    start INTEGER NOT NULL,
    tie INTEGER NOT NULL,
    cycle INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX idx_pages_key ON pages (family, symbol_id, start, tie, cycle);

-- Idempotency keys of commits before this number that were taken in before this time are forgotten; for the replay.
CREATE TABLE forgotten (number INTEGER PRIMARY KEY, before INTEGER NOT NULL) STRICT;

-- From here on, `arrival` is the next number as of `sealed_commit`; the log goes on from there.
INSERT INTO counters (name, next) VALUES ('sealed_commit', 0), ('cycle', 0);
