//! Each rule of the vote at its bound.

use std::time::Duration;

use chrono_domain::ConsensusStatus::{Disputed, NoQuorum, Ok as Agreed, Thin};
use chrono_domain::{Arrival, Consensus, ConsensusPolicy, Feed, Verdict};

use crate::scene::{
    SECOND, answer, ask, at_least, earlier, grouping, max_age, noon, quotes, source, verdict,
    weighing,
};

fn default() -> ConsensusPolicy {
    ConsensusPolicy::default()
}

#[test]
fn the_example_of_the_specification_prints_as_it_shows() {
    let feeds =
        quotes(&[("binance", "67230.00"), ("coinbase", "67230.00"), ("kraken", "67245.36")]);
    let found = ask(&feeds, &default());
    assert_eq!(found.price.unwrap().to_string(), "67230.00");
    assert_eq!(found.median.to_string(), "67230.00");
    assert_eq!(found.mean.to_string(), "67235.12");
    assert_eq!(found.num_sources(), 3);
    assert_eq!(found.sources, ["binance", "coinbase", "kraken"].map(source));
}

#[test]
fn figures_have_six_places_more_than_the_finest_input() {
    let found = ask(&quotes(&[("a", "1"), ("b", "2"), ("c", "2.0")]), &default());
    assert_eq!(found.mean.to_string(), "1.6666667");
    assert_eq!(found.std_dev.unwrap().to_string(), "0.5773503");
    assert_eq!(found.median.to_string(), "2.0");
}

#[test]
fn figures_have_at_most_eighteen_places() {
    let found = ask(
        &quotes(&[("a", "0.0000000000001"), ("b", "0.0000000000002"), ("c", "0.0000000000002")]),
        &default(),
    );
    assert_eq!(found.mean.to_string(), "0.000000000000166667");
}

#[test]
fn both_ends_of_the_window_belong_to_it() {
    let edge = 300 * SECOND;
    let feeds = [
        earlier("late", "1", -1),
        earlier("now", "2", 0),
        earlier("edge", "3", edge),
        earlier("old", "4", edge + 1),
    ];
    let found = ask(&feeds, &default());
    assert_eq!((found.num_feeds, found.sources.clone()), (2, vec![source("edge"), source("now")]));
    assert_eq!(verdict(&found, "edge"), Some(Verdict::Counted));
    assert_eq!(verdict(&found, "old"), Some(Verdict::Stale));
    assert_eq!(verdict(&found, "late"), None);
}

#[test]
fn no_feed_in_the_window_means_no_consensus() {
    let nothing = Consensus::compute(noon(), [], &default());
    assert_eq!(nothing, None);
    let old = [earlier("a", "1", 300 * SECOND + 1), earlier("b", "1", -1)];
    assert_eq!(Consensus::compute(noon(), old, &max_age(3_600)), None);
}

#[test]
fn the_newest_price_votes_and_arrival_breaks_the_tie() {
    let arrived = |price, arrival| {
        let mut feed = earlier("a", price, SECOND);
        feed.key.arrival = Arrival(arrival);
        feed
    };
    let feeds = [earlier("a", "9", 2 * SECOND), arrived("3", 7), arrived("5", 9), arrived("4", 8)];
    assert_eq!(answer(&feeds, &default()), (Thin, Some("5".into())));
}

#[test]
fn a_vote_tells_price_time_age_weight_and_group() {
    let policy =
        ConsensusPolicy { groups: grouping(&[("a", "g")]).groups, ..weighing(&[("a", 3)]) };
    let found = ask(&quotes(&[("a", "1.50")]), &policy);
    let [vote] = found.votes.as_slice() else { panic!("one source votes") };
    assert_eq!((vote.source, vote.group), (source("a"), source("g")));
    assert_eq!((vote.price.to_string(), vote.weight.get()), ("1.50".to_owned(), 3));
    assert_eq!((vote.timestamp, vote.age), (noon().minus(vote.age), Duration::from_secs(1)));
}

#[test]
fn age_up_to_the_maximum_is_fresh() {
    let feeds = [earlier("a", "1", 10 * SECOND), earlier("b", "1", 10 * SECOND + 1)];
    let found = ask(&feeds, &max_age(10));
    assert_eq!(verdict(&found, "a"), Some(Verdict::Counted));
    assert_eq!(verdict(&found, "b"), Some(Verdict::Stale));
    assert_eq!(found.num_sources(), 2);
}

#[test]
fn a_maximum_age_beyond_the_window_lets_slow_sources_vote() {
    let feeds = [
        earlier("quick", "100", 0),
        earlier("slow", "101.5", 900 * SECOND),
        earlier("slower", "102", 1_800 * SECOND),
    ];
    let policy = max_age(3_600);
    assert_eq!(policy.lookback(), Duration::from_hours(1));
    let found = ask(&feeds, &policy);
    assert_eq!((found.num_feeds, found.num_sources()), (1, 1));
    assert_eq!((found.status, found.price.unwrap().to_string()), (Agreed, "101.5".to_owned()));
}

#[test]
fn a_vote_from_before_the_window_adds_its_places() {
    let feeds = [earlier("quick", "100", 0), earlier("slow", "100.50", 900 * SECOND)];
    let found = ask(&feeds, &max_age(3_600));
    assert_eq!(
        (found.price.unwrap().to_string(), found.median.to_string()),
        ("100.25".into(), "100.00".into())
    );
}

#[test]
fn fewer_than_three_votes_are_thin() {
    assert_eq!(answer(&quotes(&[("a", "1")]), &default()), (Thin, Some("1".into())));
    assert_eq!(answer(&quotes(&[("a", "1"), ("b", "1")]), &default()), (Thin, Some("1".into())));
    let three = quotes(&[("a", "1"), ("b", "1"), ("c", "1")]);
    assert_eq!(answer(&three, &default()), (Agreed, Some("1".into())));
}

#[test]
fn fewer_votes_than_asked_for_make_no_price() {
    let two = quotes(&[("a", "1"), ("b", "1")]);
    assert_eq!(answer(&two, &at_least(2)), (Thin, Some("1".into())));
    assert_eq!(answer(&two, &at_least(3)), (NoQuorum, None));
}

#[test]
fn an_outlier_does_not_stand_for_the_quorum() {
    let feeds = quotes(&[("a", "100"), ("b", "100"), ("c", "100"), ("d", "100000")]);
    assert_eq!(answer(&feeds, &at_least(3)), (Agreed, Some("100".into())));
    assert_eq!(answer(&feeds, &at_least(4)), (NoQuorum, None));
}

#[test]
fn stale_votes_alone_make_no_price_but_statistics() {
    let found = ask(&quotes(&[("a", "100"), ("b", "102")]), &max_age(0));
    assert_eq!((found.status, found.price), (NoQuorum, None));
    assert_eq!(found.median.to_string(), "101");
}

#[test]
fn a_middle_pair_one_percent_apart_is_averaged_and_no_further() {
    assert_eq!(
        answer(&quotes(&[("a", "100"), ("b", "101")]), &default()),
        (Thin, Some("100.5".into()))
    );
    let wider = quotes(&[("a", "100"), ("b", "101.000000000000001")]);
    assert_eq!(answer(&wider, &default()), (Disputed, None));
    let four = quotes(&[("a", "99"), ("b", "100"), ("c", "101"), ("d", "102")]);
    assert_eq!(answer(&four, &default()), (Agreed, Some("100.5".into())));
    let split = quotes(&[("a", "99"), ("b", "100"), ("c", "101.1"), ("d", "102")]);
    assert_eq!(answer(&split, &default()), (Disputed, None));
}

#[test]
fn an_odd_count_has_one_middle_and_no_dispute() {
    let feeds = quotes(&[("a", "90"), ("b", "100"), ("c", "110")]);
    assert_eq!(answer(&feeds, &default()), (Agreed, Some("100".into())));
}

#[test]
fn weights_that_meet_at_half_have_a_middle_pair() {
    // 99.9 100 100 | 101 101 101.1, and then further apart.
    let even = weighing(&[("a", 2), ("b", 2)]);
    let feeds = quotes(&[("a", "100"), ("b", "101"), ("c", "99.9"), ("d", "101.1")]);
    assert_eq!(answer(&feeds, &even), (Agreed, Some("100.5".into())));
    let feeds = quotes(&[("a", "100"), ("b", "101.5"), ("c", "99.9"), ("d", "101.6")]);
    assert_eq!(answer(&feeds, &even), (Disputed, None));
}

#[test]
fn of_two_the_heavier_decides_and_equals_dispute() {
    let feeds = quotes(&[("a", "100"), ("b", "200")]);
    assert_eq!(answer(&feeds, &weighing(&[("b", 2)])), (Thin, Some("200".into())));
    assert_eq!(answer(&feeds, &weighing(&[("a", 2), ("b", 2)])), (Disputed, None));
}

#[test]
fn no_weight_counts_more_than_a_third() {
    // Alone against four, a weight of 1,000 would be the median; capped at a third it is not.
    let feeds =
        quotes(&[("big", "104"), ("a", "100"), ("b", "100"), ("c", "100.4"), ("d", "100.4")]);
    let tolerant = ConsensusPolicy { outlier_mads: 1_000_000, ..weighing(&[("big", 1_000)]) };
    // Capped at 2 of 6: 100 100 100.4 | 100.4 104 104.
    assert_eq!(answer(&feeds, &tolerant), (Agreed, Some("100.4".into())));
    let three = quotes(&[("big", "104"), ("a", "100"), ("b", "101")]);
    assert_eq!(answer(&three, &weighing(&[("big", 1_000)])), (Agreed, Some("101".into())));
}

#[test]
fn two_heavy_sources_are_both_capped() {
    // 9, 9, 1, 1: capped at 2, 2, 1, 1. The heavy pair at the top meets the light ones' weight only with one of them.
    let policy = weighing(&[("x", 9), ("y", 9)]);
    let feeds = quotes(&[("a", "100"), ("b", "100.1"), ("x", "100.2"), ("y", "100.4")]);
    assert_eq!(answer(&feeds, &policy), (Agreed, Some("100.2".into())));
    let feeds = quotes(&[("x", "100"), ("a", "100.1"), ("b", "100.2"), ("y", "100.3")]);
    assert_eq!(answer(&feeds, &policy), (Agreed, Some("100.15".into())));
}

#[test]
fn an_outlier_is_further_than_five_deviations() {
    // Median 100, deviations 1 0 0 1 and that of e: the median one is 1.
    let with = |far| quotes(&[("a", "99"), ("b", "100"), ("c", "100"), ("d", "101"), ("e", far)]);
    let at_bound = ask(&with("105"), &default());
    assert_eq!(verdict(&at_bound, "e"), Some(Verdict::Counted));
    let beyond = ask(&with("105.000001"), &default());
    assert_eq!(verdict(&beyond, "e"), Some(Verdict::Outlier));
    assert_eq!(
        (beyond.status, beyond.price.unwrap().to_string()),
        (Agreed, "100.000000".to_owned())
    );
}

#[test]
fn an_outlier_is_further_than_half_a_percent() {
    let with = |far| quotes(&[("a", "100"), ("b", "100"), ("c", "100"), ("d", far)]);
    assert_eq!(verdict(&ask(&with("100.5"), &default()), "d"), Some(Verdict::Counted));
    assert_eq!(verdict(&ask(&with("99.5"), &default()), "d"), Some(Verdict::Counted));
    assert_eq!(verdict(&ask(&with("100.500001"), &default()), "d"), Some(Verdict::Outlier));
    assert_eq!(verdict(&ask(&with("99.499999"), &default()), "d"), Some(Verdict::Outlier));
}

#[test]
fn three_votes_have_no_outlier() {
    let found = ask(&quotes(&[("a", "100"), ("b", "100"), ("c", "100000")]), &default());
    assert_eq!(verdict(&found, "c"), Some(Verdict::Counted));
    assert_eq!(found.price.unwrap().to_string(), "100");
}

#[test]
fn mirrors_are_one_vote_and_not_four() {
    let mirrored = grouping(&[("m1", "m"), ("m2", "m")]);
    let feeds = quotes(&[("a", "100"), ("b", "100"), ("m1", "100"), ("m2", "500")]);
    let found = ask(&feeds, &mirrored);
    // Three votes: too few for outliers.
    assert_eq!(verdict(&found, "m2"), Some(Verdict::Counted));
    assert_eq!(verdict(&found, "m1"), Some(Verdict::SameGroup));
    assert_eq!(found.num_sources(), 4);
}

#[test]
fn the_newest_of_a_group_votes_with_the_largest_fresh_weight() {
    let policy = ConsensusPolicy {
        groups: grouping(&[("m1", "m"), ("m2", "m"), ("m3", "m")]).groups,
        max_age: Duration::from_mins(1),
        ..weighing(&[("m1", 2), ("m3", 9), ("z", 2)])
    };
    let feeds = [
        earlier("m1", "90", 5 * SECOND),
        earlier("m2", "100", SECOND),
        earlier("m3", "80", 90 * SECOND),
        earlier("z", "200", SECOND),
    ];
    // 2 against 2: the stale member's 9 does not count.
    let found = ask(&feeds, &policy);
    assert_eq!(found.status, Disputed);
    let verdicts = ["m1", "m2", "m3", "z"].map(|name| verdict(&found, name).unwrap().name());
    assert_eq!(verdicts, ["same_group", "counted", "stale", "counted"]);
}

#[test]
fn a_group_named_like_a_source_takes_that_source_in() {
    let policy = grouping(&[("binance_us", "binance")]);
    let feeds = [earlier("binance", "1", SECOND), earlier("binance_us", "2", 2 * SECOND)];
    assert_eq!(answer(&feeds, &policy), (Thin, Some("1".into())));
}

#[test]
fn a_stored_tick_is_a_feed() {
    use chrono_domain::{Price, StoredTick, Symbol, Tick};
    let feed = earlier("a", "1.50", SECOND);
    let tick = Tick::try_new(
        Symbol::try_new("BTC/USD").unwrap(),
        feed.source,
        Price::try_new("1.50").unwrap(),
        None,
        feed.key.timestamp,
    );
    let stored =
        StoredTick { tick: tick.unwrap(), arrival: Arrival(0), ingested_at: feed.key.timestamp };
    assert_eq!(Feed::from(&stored), feed);
}
