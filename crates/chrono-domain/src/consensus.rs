//! One price out of many sources, and the statistics of a window: exact, and the same for any order of the input.
//!
//! Two things with different rules stand side by side. `median`, `mean` and `std_dev` describe **every feed** of the
//! window, as the spec's SQL does, so a source that posts often weighs more in them. `price` is a vote: **one per
//! source**, its newest fresh price, so posting often changes nothing.
//!
//! How `price` comes about:
//! 1. A source's newest feed (by time, then arrival) up to `at` stands for it, unless it is older than the maximum
//!    age.
//! 2. Of the sources of one group the newest feed is the group's vote, with the largest weight among its fresh
//!    members. A source outside every group is a group of its own.
//! 3. From three votes on no weight is more than a third of all: heavier ones are lowered to the largest cap for
//!    which that holds. With exactly three all weigh the same.
//! 4. From four votes on those far from the weighted median are left out ([`ConsensusPolicy::outlier_mads`],
//!    [`ConsensusPolicy::outlier_floor_bp`]), and the cap is taken anew over the rest.
//! 5. The price is the weighted median of the rest. Where half of the weight lies on either side there are two middle
//!    votes (equal weights and an even count, for example); their mean is the price, unless they lie further apart
//!    than [`ConsensusPolicy::spread_limit_bp`], and then there is none.
//!
//! What a minority can do: while it holds less than half of the capped weight, both middle votes lie within the range
//! of the others, which is where step 4 measures from. So while the others agree within the outlier floor none of them
//! is left out, and the price lies between their lowest and highest whatever the minority posts. When they disagree by
//! more, a minority that crowds at one end of their range can have the far ones left out; the price then still lies
//! within the outlier bound of the median of all fresh votes.

pub(crate) mod grid;
mod policy;
mod statistics;
mod vote;

use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

pub use grid::Rounded;
pub use policy::ConsensusPolicy;
pub use vote::{SourceVote, Verdict};

use crate::{OrderKey, Price, Source, StoredTick, Timestamp};
use grid::Grid;
use statistics::Statistics;
use vote::Outcome;

/// What a consensus needs to know of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feed {
    /// Where the price was seen.
    pub source: Source,
    /// Quote currency per unit of base.
    pub price: Price,
    /// The tick's place among those of its symbol.
    pub key: OrderKey,
}

impl Feed {
    /// Orders by time and arrival; price, scale and source only keep equal keys from depending on the input's order.
    fn recency(&self, other: &Self) -> Ordering {
        let rest = |feed: &Self| (feed.price, feed.price.decimal().scale(), feed.source);
        self.key.cmp(&other.key).then_with(|| rest(self).cmp(&rest(other)))
    }
}

impl From<&StoredTick> for Feed {
    fn from(stored: &StoredTick) -> Self {
        Self { source: stored.tick.source, price: stored.tick.price, key: stored.key() }
    }
}

/// How far a consensus price may be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConsensusStatus {
    /// Three votes or more made the price.
    Ok,
    /// One or two votes made the price.
    Thin,
    /// The two middle votes differ by more than the spread limit; there is no price.
    Disputed,
    /// Fewer votes than the policy asks for; there is no price.
    NoQuorum,
}

impl ConsensusStatus {
    /// Gives the name used in answers: `ok`, `thin`, `disputed` or `no_quorum`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Thin => "thin",
            Self::Disputed => "disputed",
            Self::NoQuorum => "no_quorum",
        }
    }
}

/// What the sources of one symbol say at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consensus {
    /// The end of the window.
    pub at: Timestamp,
    /// The consensus price; none when [`ConsensusStatus::Disputed`] or [`ConsensusStatus::NoQuorum`].
    pub price: Option<Rounded>,
    /// How far the price may be relied on.
    pub status: ConsensusStatus,
    /// Median over all feeds of the window; of an even count the mean of the middle two.
    pub median: Rounded,
    /// Mean over all feeds of the window.
    pub mean: Rounded,
    /// Standard deviation of the sample (divisor n − 1) over all feeds of the window; none for one feed.
    pub std_dev: Option<Rounded>,
    /// Sources with a feed in the window, in order of name, each once.
    pub sources: Vec<Source>,
    /// Feeds in the window.
    pub num_feeds: usize,
    /// Every source that was given, in order of name: what it said, and whether it counted.
    pub votes: Vec<SourceVote>,
}

impl Consensus {
    /// Computes the consensus of one symbol at `at`; none when no feed lies in the window.
    ///
    /// The window is `[at - window, at]`, both ends inclusive. `feeds` come in any order and should reach back by
    /// [`ConsensusPolicy::lookback`]; later ones than `at` are ignored, and earlier ones than needed show in `votes`
    /// as stale. Every figure is rounded once, half to even, to the largest scale among the feeds used plus 6 places,
    /// at most 18.
    ///
    /// Takes time linear in the feeds and `n log n` in the sources.
    pub fn compute(
        at: Timestamp,
        feeds: impl IntoIterator<Item = Feed>,
        policy: &ConsensusPolicy,
    ) -> Option<Self> {
        let start = at.minus(policy.window);
        let feeds = feeds.into_iter();
        let mut window: Vec<Price> = Vec::with_capacity(feeds.size_hint().0);
        let mut newest: HashMap<Source, Feed> = HashMap::new();
        for feed in feeds.filter(|feed| feed.key.timestamp <= at) {
            if feed.key.timestamp >= start {
                window.push(feed.price);
            }
            keep_newer(newest.entry(feed.source), feed);
        }
        let mut newest: Vec<Feed> = newest.into_values().collect();
        newest.sort_unstable_by_key(|feed| feed.source);

        let fresh = newest.iter().filter(|feed| policy.is_fresh(feed, at));
        let grid = Grid::of(window.iter().copied().chain(fresh.map(|feed| feed.price)));
        let mut units: Vec<u128> = window.iter().map(|price| grid.units(*price)).collect();
        let Statistics { median, mean, std_dev } = Statistics::of(&mut units)?;

        let in_window = newest.iter().filter(|feed| feed.key.timestamp >= start);
        let sources = in_window.map(|feed| feed.source).collect();
        let Outcome { status, price, votes } = vote::hold(&newest, at, grid, policy);
        Some(Self {
            at,
            price: price.map(|units| grid.rounded(units)),
            status,
            median: grid.rounded(median),
            mean: grid.rounded(mean),
            std_dev: std_dev.map(|units| grid.rounded(units)),
            sources,
            num_feeds: units.len(),
            votes,
        })
    }

    /// Gives the number of sources with a feed in the window.
    pub fn num_sources(&self) -> usize {
        self.sources.len()
    }
}

fn keep_newer<K>(entry: Entry<'_, K, Feed>, feed: Feed) {
    match entry {
        Entry::Vacant(entry) => {
            entry.insert(feed);
        }
        Entry::Occupied(mut entry) => {
            if feed.recency(entry.get()).is_gt() {
                entry.insert(feed);
            }
        }
    }
}
