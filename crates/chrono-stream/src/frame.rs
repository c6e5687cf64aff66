//! One update, encoded once for every subscriber.

use std::collections::hash_map::Entry;
use std::fmt::Write;

use bytes::{BufMut, Bytes, BytesMut};
use chrono_cache::BusEntry;
use chrono_domain::{Epoch, OrderKey, Seq, Source, StoredTick, Symbol, Timestamp};
use foldhash::{HashMap, HashMapExt};

/// What a typical event takes; longer ones grow the buffer.
const EVENT_BYTES_USUAL: usize = 288;
/// The line ends that close an event.
const EVENT_END: &str = "\n\n";

/// One update in its final bytes.
///
/// The bytes are a server-sent event, `id: <epoch>-<seq>\ndata: <json>\n\n`; the text of a WebSocket frame is a
/// slice of them, so one allocation serves every subscriber of both kinds.
#[derive(Debug)]
pub struct Frame {
    /// The update's number.
    pub seq: Seq,
    /// Whose price it is.
    pub symbol: Symbol,
    /// The tick's place among those of its symbol.
    pub key: OrderKey,
    /// Older than the newest of its symbol and source.
    pub late: bool,
    /// When the bus took it.
    pub published_at: Timestamp,
    event: Bytes,
    text_at: usize,
    data_at: usize,
}

impl Frame {
    /// Encodes a tick.
    pub(crate) fn encode(
        epoch: Epoch,
        seq: Seq,
        stored: &StoredTick,
        late: bool,
        published_at: Timestamp,
    ) -> Self {
        let mut event = String::with_capacity(EVENT_BYTES_USUAL);
        let (text_at, data_at) = write_event(&mut event, epoch, seq, stored, late);
        Self {
            seq,
            symbol: stored.tick.symbol,
            key: stored.key(),
            late,
            published_at,
            event: event.into(),
            text_at,
            data_at,
        }
    }

    /// Gives the `price_update` message.
    pub fn text(&self) -> Bytes {
        self.event.slice(self.text_at..self.event.len() - EVENT_END.len())
    }

    /// Gives the server-sent event that carries the message.
    pub fn event(&self) -> Bytes {
        self.event.clone()
    }

    /// Gives the `price_update` message that says the current value: `"snapshot":true` beside `data`.
    pub fn snapshot_text(&self) -> Bytes {
        const MARK: &[u8] = b"\"snapshot\":true,";
        let text = self.text();
        let at = (self.data_at - self.text_at).min(text.len());
        let mut marked = BytesMut::with_capacity(text.len() + MARK.len());
        marked.put(text.slice(..at));
        marked.put_slice(MARK);
        marked.put(text.slice(at..));
        marked.freeze()
    }

    /// Gives what the frame costs in memory, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.event.len() + size_of::<Self>()
    }
}

/// Writes the event; answers where the message starts and where its `data` does.
fn write_event(
    event: &mut String,
    epoch: Epoch,
    seq: Seq,
    stored: &StoredTick,
    late: bool,
) -> (usize, usize) {
    let tick = &stored.tick;
    // Names, decimals and times have no character that JSON escapes.
    let mut put = |args: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        event.write_fmt(args).unwrap_or_default();
        event.len()
    };
    let text_at = put(format_args!("id: {epoch}-{}\ndata: ", seq.0));
    let mark = if late { "\"late\":true," } else { "" };
    let data_at = put(format_args!(r#"{{"type":"price_update","seq":{},{mark}"#, seq.0));
    put(format_args!(r#""data":{{"symbol":"{}","price":"{}","volume":"#, tick.symbol, tick.price));
    match tick.volume {
        Some(volume) => put(format_args!("\"{volume}\"")),
        None => put(format_args!("null")),
    };
    put(format_args!(r#","source":"{}","timestamp":"{}"}}}}"#, tick.source, tick.timestamp));
    put(format_args!("{EVENT_END}"));
    (text_at, data_at)
}

/// Turns bus entries into frames, and knows which ticks are late.
#[derive(Debug)]
pub(crate) struct Encoder {
    epoch: Epoch,
    newest: HashMap<(Symbol, Source), OrderKey>,
}

impl Encoder {
    pub(crate) fn new(epoch: Epoch) -> Self {
        Self { epoch, newest: HashMap::new() }
    }

    /// Encodes the ticks of an entry whose numbers are above `after`, each when it is asked for.
    ///
    /// A tick is noted as seen by being encoded: whoever stops amid an entry, as a panic does, may encode its rest later,
    /// and nothing of that is late for having been looked at before.
    pub(crate) fn encode<'a>(
        &'a mut self,
        entry: &'a BusEntry,
        after: Seq,
    ) -> impl Iterator<Item = Frame> + 'a {
        let numbered = (entry.first.0..).map(Seq).zip(entry.ticks.iter());
        numbered.skip_while(move |(seq, _)| *seq <= after).map(|(seq, stored)| {
            let late = self.is_late(stored);
            Frame::encode(self.epoch, seq, stored, late, entry.published_at)
        })
    }

    /// Encodes a value that is known without its number, as of `head`.
    pub(crate) fn seed(&mut self, head: Seq, stored: &StoredTick) -> Frame {
        self.note(stored);
        Frame::encode(self.epoch, head, stored, false, stored.ingested_at)
    }

    /// Notes a tick as seen, so that older ones of its source count as late.
    pub(crate) fn note(&mut self, stored: &StoredTick) {
        self.is_late(stored);
    }

    fn is_late(&mut self, stored: &StoredTick) -> bool {
        let key = stored.key();
        match self.newest.entry((stored.tick.symbol, stored.tick.source)) {
            Entry::Vacant(slot) => {
                slot.insert(key);
                false
            }
            // The same tick again is not late: at a start the book may run ahead of the bus.
            Entry::Occupied(mut slot) => {
                let late = key < *slot.get();
                if !late {
                    slot.insert(key);
                }
                late
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono_domain::{Arrival, Price, Tick, Volume};

    use super::*;

    fn stored(source: &str, micros: i64, arrival: u64, volume: Option<&str>) -> StoredTick {
        let tick = Tick::try_new(
            Symbol::try_new("BTC/USD").unwrap(),
            Source::try_new(source).unwrap(),
            Price::try_new("67234.50").unwrap(),
            volume.map(|text| Volume::try_new(text).unwrap()),
            Timestamp::from_micros(micros).unwrap(),
        );
        StoredTick { tick: tick.unwrap(), arrival: Arrival(arrival), ingested_at: Timestamp::MIN }
    }

    fn frame(volume: Option<&str>, late: bool) -> Frame {
        let stored = stored("binance", 1_500_000, 1, volume);
        Frame::encode(Epoch(255), Seq(7), &stored, late, Timestamp::MIN)
    }

    #[test]
    fn is_the_message_of_the_spec_and_its_event() {
        let frame = frame(Some("1.50"), false);
        let text = r#"{"type":"price_update","seq":7,"data":{"symbol":"BTC/USD","price":"67234.50","volume":"1.50","source":"binance","timestamp":"1970-01-01T00:00:01.500Z"}}"#;
        assert_eq!(frame.text(), text);
        assert_eq!(frame.event(), format!("id: 00000000000000ff-7\ndata: {text}\n\n"));
    }

    #[test]
    fn marks_lateness_snapshots_and_missing_volumes() {
        let late = frame(None, true);
        let text = std::str::from_utf8(&late.text()).unwrap().to_owned();
        assert!(text.starts_with(r#"{"type":"price_update","seq":7,"late":true,"data":{"#));
        assert!(text.contains(r#""volume":null,"#));
        let snapshot = frame(None, false).snapshot_text();
        let text = std::str::from_utf8(&snapshot).unwrap();
        assert!(text.starts_with(r#"{"type":"price_update","seq":7,"snapshot":true,"data":{"#));
        let read: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(read["data"]["price"], "67234.50");
    }

    #[test]
    fn is_late_only_behind_its_own_source() {
        let mut encoder = Encoder::new(Epoch(1));
        let ticks = [
            stored("a", 10, 1, None),
            stored("b", 5, 2, None),
            stored("a", 9, 3, None),
            stored("a", 10, 4, None),
            stored("a", 10, 2, None),
            stored("a", 10, 4, None),
        ];
        let entry =
            BusEntry { first: Seq(1), published_at: Timestamp::MIN, ticks: ticks.to_vec().into() };
        let late: Vec<bool> = encoder.encode(&entry, Seq(0)).map(|frame| frame.late).collect();
        assert_eq!(late, [false, false, true, false, true, false]);
    }

    #[test]
    fn leaves_out_what_was_encoded_before() {
        let ticks: Vec<_> = (1..=3).map(|n| stored("a", 1, n, None)).collect();
        let entry = BusEntry { first: Seq(4), published_at: Timestamp::MIN, ticks: ticks.into() };
        let mut encoder = Encoder::new(Epoch(1));
        let numbers: Vec<_> = encoder.encode(&entry, Seq(5)).map(|frame| frame.seq).collect();
        assert_eq!(numbers, [Seq(6)]);
    }

    #[test]
    fn the_rest_of_an_entry_is_not_late_for_its_first_part_having_been_encoded() {
        let ticks: Vec<_> = (1..=5).map(|n| stored("a", 1, n, None)).collect();
        let entry = BusEntry { first: Seq(1), published_at: Timestamp::MIN, ticks: ticks.into() };
        let mut encoder = Encoder::new(Epoch(1));
        let begun: Vec<_> = encoder.encode(&entry, Seq(0)).take(3).collect();
        assert_eq!(begun.len(), 3);
        // The third was encoded and may not have got further.
        let rest: Vec<_> = encoder.encode(&entry, Seq(2)).map(|frame| frame.late).collect();
        assert_eq!(rest, [false; 3]);
    }
}
