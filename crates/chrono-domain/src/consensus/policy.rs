//! What an operator decides about a consensus.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use super::Feed;
use crate::{Source, Timestamp};

/// The window of the spec's SQL.
const WINDOW: Duration = Duration::from_mins(5);
/// 1 %: five BTC markets recorded side by side for 12 hours (13 December 2022) were never more than 0.19 % apart.
const SPREAD_LIMIT_BP: u32 = 100;
/// 0.5 %: more than twice the widest spread of the same five markets.
const OUTLIER_FLOOR_BP: u32 = 50;
/// Near the cut-off of Iglewicz and Hoaglin (How to Detect and Handle Outliers, 1993): a modified z-score of 3.5 is
/// 5.2 median absolute deviations.
const OUTLIER_MADS: u32 = 5;

/// The rules of one symbol's consensus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsensusPolicy {
    /// How far back the feeds reach that the statistics describe; 5 minutes in the spec.
    pub window: Duration,
    /// Oldest age at which a source's newest price votes.
    ///
    /// Too high, and a price that stopped long ago still votes (a feed that stood at $0.107 while LUNA fell to $0.01);
    /// too low, and sources that post seldom drop out between two posts.
    pub max_age: Duration,
    /// Fewest votes that make a price.
    ///
    /// Too low, and one faulty source sets the price when the others are silent; too high, and one outage leaves none.
    pub min_sources: NonZeroUsize,
    /// Weight of a source's vote, 1 where it is not listed.
    ///
    /// From three votes on none has more than a third of all, however high its weight.
    pub weights: BTreeMap<Source, NonZeroU32>,
    /// Group of a source: the sources of a group have one vote together, as mirrors of one venue should.
    ///
    /// A source that is not listed belongs to the group of its own name, so `binance_us` listed under `binance` joins
    /// the source `binance`.
    pub groups: BTreeMap<Source, Source>,
    /// Largest distance of the two middle votes that is still averaged, in 1/100 % of the lower one.
    ///
    /// Too high, and the mean of two prices that disagree passes for a price; too low, and normal spreads are disputes.
    pub spread_limit_bp: u32,
    /// Smallest distance from the median of an outlier, in 1/100 % of the median.
    ///
    /// Too high, and votes that are wrong by less move an even count's middle; too low, and honest votes are left out
    /// where the others happen to agree closely.
    pub outlier_floor_bp: u32,
    /// Smallest distance from the median of an outlier, in median absolute deviations; both distances must be exceeded.
    ///
    /// Too high, and nothing is left out while sources differ; too low, and the edges of a normal spread are.
    pub outlier_mads: u32,
}

impl Default for ConsensusPolicy {
    fn default() -> Self {
        Self {
            window: WINDOW,
            max_age: WINDOW,
            min_sources: NonZeroUsize::MIN,
            weights: BTreeMap::new(),
            groups: BTreeMap::new(),
            spread_limit_bp: SPREAD_LIMIT_BP,
            outlier_floor_bp: OUTLIER_FLOOR_BP,
            outlier_mads: OUTLIER_MADS,
        }
    }
}

impl ConsensusPolicy {
    /// Gives how far back from its time a consensus needs feeds: the longer of window and maximum age.
    pub fn lookback(&self) -> Duration {
        self.window.max(self.max_age)
    }

    /// Gives the weight of a source's vote.
    pub fn weight(&self, source: &Source) -> NonZeroU32 {
        self.weights.get(source).copied().unwrap_or(NonZeroU32::MIN)
    }

    /// Gives the group of a source, by default the source's own name.
    pub fn group(&self, source: &Source) -> Source {
        self.groups.get(source).copied().unwrap_or(*source)
    }

    pub(super) fn is_fresh(&self, feed: &Feed, at: Timestamp) -> bool {
        at.since(feed.key.timestamp) <= self.max_age
    }
}
