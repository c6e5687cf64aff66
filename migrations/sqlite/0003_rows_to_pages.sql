-- Applied once the rows have been carried over into pages.
DROP VIEW price_feeds;
DROP TABLE price_ticks;
DROP TABLE candles;
DROP TABLE candle_watermark;
DROP TABLE candle_dirty;
