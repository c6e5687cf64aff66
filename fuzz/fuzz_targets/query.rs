//! A query string of the edge, its percent-encoding included.

#![no_main]

use chrono_api::edge::{ErrorCode, Query};
use chrono_fuzz::query::pairs;
use libfuzzer_sys::fuzz_target;

const ALLOWED: &[&str] = &["symbol", "symbols", "from", "limit", "metadata"];

fuzz_target!(|raw: &str| {
    let query = match (Query::parse(raw, ALLOWED), pairs(raw, ALLOWED)) {
        (Ok(query), Some(pairs)) => {
            for name in ALLOWED {
                let meant = pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value);
                assert_eq!(query.find(name), meant.map(String::as_str));
            }
            query
        }
        (Err(fault), None) => return assert_eq!(fault.code(), ErrorCode::Validation),
        (query, pairs) => panic!("{query:?}, but meant {pairs:?}"),
    };
    let flag = query.flag("metadata").ok();
    assert_eq!(
        flag,
        match query.find("metadata") {
            None | Some("false") => Some(false),
            Some("true") => Some(true),
            Some(_) => None,
        }
    );
    let items = query.list("symbols", "symbols", 3).ok();
    let meant = query.find("symbols").filter(|text| !text.is_empty());
    let meant = meant.map(|text| text.split(',').collect::<Vec<_>>()).filter(|all| all.len() <= 3);
    assert_eq!(items, meant);
    assert_eq!(query.one("symbol", "").ok(), query.find("symbol").filter(|text| !text.is_empty()));
});
