//! Symbols, sources, worker ids, topics and intervals.

#![no_main]

use chrono_domain::{Interval, Source, Symbol, WorkerId};
use chrono_stream::Topic;
use chrono_testkit::oracle::grammar;
use libfuzzer_sys::fuzz_target;

const INTERVALS: [&str; 7] = ["1m", "5m", "15m", "1h", "4h", "1d", "1w"];

fuzz_target!(|text: &str| {
    let symbol = Symbol::try_new(text).ok();
    assert_eq!(symbol.is_some(), grammar::is_symbol(text));
    if let Some(symbol) = symbol {
        assert_eq!(format!("{}/{}", symbol.base(), symbol.quote()), text);
        assert_eq!(symbol.as_str(), text);
    }
    let queried = Symbol::parse_query(text).ok().map(|symbol| symbol.to_string());
    assert_eq!(queried, grammar::queried_symbol(text));
    let topic = Topic::parse(text).ok().map(|topic| topic.as_str().to_owned());
    assert_eq!(topic, grammar::topic(text));
    let source = Source::try_new(text).ok().map(|source| source.to_string());
    assert_eq!(source.as_deref(), grammar::is_source(text).then_some(text));
    let worker = WorkerId::try_new(text).ok().map(|worker| worker.to_string());
    assert_eq!(worker.as_deref(), grammar::is_worker(text).then_some(text));
    let interval = text.parse::<Interval>().ok().map(Interval::name);
    assert_eq!(interval, INTERVALS.contains(&text).then_some(text));
});
