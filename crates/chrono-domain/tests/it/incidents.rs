//! F1: six incidents of other oracles as fixtures, under the policy of a production set-up (three sources at least).
//!
//! The facts are those of the project's reliability notes; prices not given there are round numbers.

use chrono_domain::ConsensusStatus::{Disputed, NoQuorum, Ok as Agreed, Thin};
use chrono_domain::{ConsensusPolicy, Price, Verdict};

use crate::scene::{
    SECOND, answer, ask, at_least, earlier, grouping, max_age, quotes, verdict, weighing,
};

fn production() -> ConsensusPolicy {
    at_least(3)
}

/// Synthetix, June 2019: one API gave the Korean won 1,000 times too high, another was out unseen, and the two left
/// were averaged.
#[test]
fn synthetix_two_sources_left_are_never_averaged() {
    let three = [("api1", "0.00084"), ("api2", "0.00085"), ("api3", "0.84")];
    let found = ask(&quotes(&three), &production());
    assert_eq!((found.status, found.price.unwrap().to_string()), (Agreed, "0.00085".to_owned()));

    let outage = [earlier("api1", "0.00084", SECOND), earlier("api3", "0.84", SECOND)];
    assert_eq!(answer(&outage, &production()), (NoQuorum, None));
    // Even where an operator is content with one source, two that disagree make no price.
    assert_eq!(answer(&outage, &at_least(1)), (Disputed, None));

    let silent = [&outage[..], &[earlier("api2", "0.00085", 301 * SECOND)]].concat();
    let found = ask(&silent, &production());
    assert_eq!((found.status, found.price), (NoQuorum, None));
    assert_eq!(verdict(&found, "api2"), Some(Verdict::Stale));
}

/// Pyth, 20 September 2021: a publisher's zero, another's exponent 10^0 for 10^-8, and an aggregation that let a tight
/// confidence outweigh the rest printed Bitcoin at 5,402 dollars.
#[test]
fn pyth_neither_a_lost_exponent_nor_a_heavy_weight_makes_the_price() {
    assert!(Price::try_new("0").is_err());
    let rows = [
        ("p1", "44150.10"),
        ("p2", "44162.00"),
        ("p3", "44171.55"),
        ("p4", "44180.00"),
        ("exponent", "0.00044165"),
    ];
    let found = ask(&quotes(&rows), &production());
    assert_eq!(verdict(&found, "exponent"), Some(Verdict::Outlier));
    assert_eq!(
        (found.status, found.price.unwrap().to_string()),
        (Agreed, "44166.77500000".to_owned())
    );

    let sure =
        ConsensusPolicy { weights: weighing(&[("exponent", 1_000_000)]).weights, ..production() };
    let heavy = ask(&quotes(&rows), &sure);
    assert_eq!((heavy.status, heavy.price), (found.status, found.price));
}

/// LUNA, May 2022, Venus: the feed stopped at 0.107 while the market fell to 0.01.
#[test]
fn luna_a_feed_that_stopped_is_no_price_and_its_age_shows() {
    let policy = production();
    let stopped = ["a", "b", "c", "d"].map(|name| earlier(name, "0.107", 400 * SECOND));
    let market = earlier("e", "0.01", SECOND);
    let found = ask(&[&stopped[..], &[market]].concat(), &policy);
    assert_eq!((found.status, found.price), (NoQuorum, None));
    assert_eq!(found.votes[0].age.as_secs(), 400);

    let markets = ["c", "d", "e"].map(|name| earlier(name, "0.01", SECOND));
    assert_eq!(answer(&[&stopped[..], &markets].concat(), &policy), (Agreed, Some("0.01".into())));
    // A feed held at its floor with moving times is one vote, and no floor is put under the others.
    let clamped = [&markets[..], &[earlier("clamped", "0.107", SECOND)]].concat();
    let found = ask(&clamped, &policy);
    assert_eq!(verdict(&found, "clamped"), Some(Verdict::Outlier));
    assert_eq!(found.price.unwrap().to_string(), "0.010");
}

/// Compound, November 2020: DAI at 1.30 on one venue, and the anchor that should have stopped it read from a market
/// that was off as well.
#[test]
fn compound_one_dislocated_venue_and_its_followers_are_one_vote() {
    let rows = [
        ("coinbase", "1.30"),
        ("anchor1", "1.29"),
        ("anchor2", "1.31"),
        ("kraken", "1.01"),
        ("bitfinex", "1.02"),
    ];
    let groups = [("anchor1", "coinbase"), ("anchor2", "coinbase")];
    let grouped = ConsensusPolicy { groups: grouping(&groups).groups, ..production() };
    assert_eq!(answer(&quotes(&rows), &production()), (Agreed, Some("1.30".into())));
    assert_eq!(answer(&quotes(&rows), &grouped), (Agreed, Some("1.02".into())));

    // Only the dislocated venue and one other: they dispute, and nobody averages them.
    let two = quotes(&[rows[0], rows[1], rows[2], rows[3]]);
    assert_eq!(answer(&two, &grouped), (NoQuorum, None));
    assert_eq!(answer(&two, &grouping(&groups)), (Disputed, None));
}

/// Mango, October 2022: thin spot books pumped some 14 times within minutes.
#[test]
fn mango_thin_books_do_not_outweigh_deep_ones() {
    let rows = [
        ("thin1", "0.54"),
        ("thin2", "0.53"),
        ("thin3", "0.52"),
        ("deep1", "0.0385"),
        ("deep2", "0.0386"),
        ("deep3", "0.0387"),
    ];
    assert_eq!(answer(&quotes(&rows), &production()), (Disputed, None));
    let deep = weighing(&[("deep1", 4), ("deep2", 4), ("deep3", 4)]).weights;
    let by_depth = ConsensusPolicy { weights: deep, ..production() };
    assert_eq!(answer(&quotes(&rows), &by_depth), (Agreed, Some("0.0386".into())));
    // Two deep books outweigh the thin ones too, but two are no quorum of three.
    assert_eq!(answer(&quotes(&rows[..5]), &by_depth), (NoQuorum, None));
    // One pumped book alone is a thin price, and says so.
    assert_eq!(answer(&quotes(&rows[..1]), &at_least(1)), (Thin, Some("0.54".into())));
}

/// Several audits, 2023: one staleness bound for feeds that beat each second and feeds that beat each hour.
#[test]
fn shared_heartbeat_each_symbol_has_its_own_maximum_age() {
    let minutes = |minutes: i64| minutes * 60 * SECOND;
    let slow = [
        earlier("a", "1300.5", minutes(4)),
        earlier("b", "1300.0", minutes(50)),
        earlier("c", "1301.0", minutes(55)),
    ];
    let fast = [
        earlier("a", "67000", minutes(4)),
        earlier("b", "67050", 2 * SECOND),
        earlier("c", "67051", SECOND),
    ];
    let hourly = ConsensusPolicy { max_age: max_age(3_600).max_age, ..production() };
    let quick = ConsensusPolicy { max_age: max_age(10).max_age, ..production() };
    assert_eq!(answer(&slow, &hourly), (Agreed, Some("1300.5".into())));
    assert_eq!(answer(&fast, &quick), (NoQuorum, None));
    // Either bound for both would be wrong: no slow price at all, or a fast one that is minutes old.
    assert_eq!(answer(&slow, &quick), (NoQuorum, None));
    assert_eq!(answer(&fast, &hourly), (Agreed, Some("67050".into())));
}
