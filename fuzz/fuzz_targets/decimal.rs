//! A price and a volume, with a space between: what is accepted prints back, and sums are exact.

#![no_main]

use chrono_domain::{ExactSum, Price, Source, Symbol, Tick, Timestamp, Volume};
use chrono_testkit::oracle::grammar::decimal;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let (price_text, volume_text) = input.split_once(' ').unwrap_or((input, input));
    let (price, volume) = (Price::try_new(price_text), Volume::try_new(volume_text));
    let meant = (decimal(price_text, true), decimal(volume_text, false));
    assert_eq!(
        price.map(|price| price.to_string()),
        meant.0.clone().map(|_| price_text.to_owned())
    );
    assert_eq!(
        volume.map(|sent| sent.to_string()),
        meant.1.clone().map(|_| volume_text.to_owned())
    );
    let ((Ok(price), Ok(volume)), (Ok(price_meant), Ok(volume_meant))) = ((price, volume), meant)
    else {
        return;
    };
    let notional = ExactSum::of_notional(price, volume);
    assert_eq!(notional.to_string(), price_meant.times(&volume_meant).text());
    assert_eq!(ExactSum::parse(&notional.to_string()), Ok(notional));
    let sizes = ExactSum::of_volume(volume).plus(notional);
    assert_eq!(sizes.to_string(), volume_meant.plus(&price_meant.times(&volume_meant)).text());
    let tick = Tick::try_new(
        Symbol::try_new("A/B").expect("a symbol"),
        Source::try_new("s").expect("a source"),
        price,
        Some(volume),
        Timestamp::MIN,
    );
    assert_eq!(tick.is_ok(), price_meant.times(&volume_meant).fits_sums());
    if let Ok(other) = Price::try_new(volume_text) {
        let (a, b) = (price_meant.units(18), volume_meant.units(18));
        assert_eq!(price.cmp(&other), a.cmp(&b));
        let (higher, lower) = (price.higher(other), price.lower(other));
        assert_eq!((higher.to_string(), lower.to_string()), {
            let wider =
                if price_meant.scale > volume_meant.scale { price_text } else { volume_text };
            match a.cmp(&b) {
                std::cmp::Ordering::Equal => (wider.to_owned(), wider.to_owned()),
                std::cmp::Ordering::Less => (volume_text.to_owned(), price_text.to_owned()),
                std::cmp::Ordering::Greater => (price_text.to_owned(), volume_text.to_owned()),
            }
        });
    }
});
