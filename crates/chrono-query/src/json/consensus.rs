//! Consensus prices.

use std::fmt;

use bytes::Bytes;
use chrono_domain::{Source, SourceVote, Symbol, Timestamp};

use super::{List, OrNull, Text};
use crate::consensus::ConsensusPrice;

/// Joins prices that were written by [`piece`].
pub(crate) fn body(pieces: &[Bytes], missing: &[Symbol]) -> Vec<u8> {
    let missing = List(missing.iter().map(Text));
    let mut body = br#"{"data":["#.to_vec();
    body.extend_from_slice(&pieces.join(&b","[..]));
    body.extend_from_slice(format!(r#"],"missing":{missing},"latency_ms":"#).as_bytes());
    body
}

pub(crate) fn piece(price: &ConsensusPrice) -> String {
    PriceRow(price).to_string()
}

struct PriceRow<'a>(&'a ConsensusPrice);

impl fmt::Display for PriceRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConsensusPrice { symbol, median, mean, sources, num_feeds, .. } = self.0;
        let (price, std_dev) = (self.0.price.as_ref(), self.0.std_dev.as_ref());
        let (price, std_dev) = (OrNull(price.map(Text)), OrNull(std_dev.map(Text)));
        let (status, revision) = (self.0.status.name(), OrNull(self.0.revision));
        let (num_sources, names) = (sources.len(), List(sources.iter().map(Text::<&Source>)));
        let at = moment(self.0.at);
        write!(
            f,
            r#"{{"symbol":"{symbol}","price":{price},"median":"{median}","mean":"{mean}","std_dev":{std_dev},"num_sources":{num_sources},"timestamp":"{at}","sources":{names},"status":"{status}","num_feeds":{num_feeds},"revision":{revision}"#
        )?;
        if let Some(votes) = &self.0.votes {
            write!(f, r#","votes":{}"#, List(votes.iter().map(VoteRow)))?;
        }
        f.write_str("}")
    }
}

struct VoteRow<'a>(&'a SourceVote);

impl fmt::Display for VoteRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SourceVote { source, group, price, timestamp, weight, .. } = self.0;
        let (age_ms, verdict) = (self.0.age.as_millis(), self.0.verdict.name());
        write!(
            f,
            r#"{{"source":"{source}","group":"{group}","price":"{price}","timestamp":"{timestamp}","age_ms":{age_ms},"weight":{weight},"verdict":"{verdict}"}}"#
        )
    }
}

/// Writes a whole second without decimals, as the spec shows it, and any other moment with three or six.
fn moment(at: Timestamp) -> String {
    if at.micros() % 1_000_000 == 0 { at.bucket_text().to_string() } else { at.to_string() }
}
