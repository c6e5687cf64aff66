//! Times as the table shows them, and which times compare with a text as asked.

use chrono_domain::Timestamp;

/// Prints a time so that texts compare as times do.
pub(crate) fn shown(at: Timestamp) -> String {
    at.sortable_text().to_string()
}

/// Finds the first time whose text is not below this one, whatever it is; none when all are.
pub(crate) fn first_not_below(text: &str) -> Option<Timestamp> {
    first(|shown| shown >= text)
}

/// Finds the last time whose text is not above this one, whatever it is; none when all are.
pub(crate) fn last_not_above(text: &str) -> Option<Timestamp> {
    let end = first(|shown| shown > text);
    end.map_or(Some(Timestamp::MAX), |end| Timestamp::from_micros(end.micros() - 1).ok())
}

/// Finds the first time that has what all later ones have too.
fn first(has: impl Fn(&str) -> bool) -> Option<Timestamp> {
    let (mut low, mut high) = (Timestamp::MIN.micros(), Timestamp::MAX.micros() + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if has(&shown(Timestamp::from_micros(middle).ok()?)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Timestamp::from_micros(low).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_bound_is_where_the_comparison_of_texts_turns(
            micros in 0..=Timestamp::MAX.micros(),
            text in "[0-9]{4}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9](:[0-5][0-9](\\.[0-9]{0,9})?)?)?Z?|.{0,3}",
        ) {
            let at = Timestamp::from_micros(micros).unwrap();
            let shown = shown(at);
            let from = first_not_below(&text);
            prop_assert_eq!(from.is_some_and(|from| at >= from), shown.as_str() >= text.as_str());
            let to = last_not_above(&text);
            prop_assert_eq!(to.is_some_and(|to| at <= to), shown.as_str() <= text.as_str());
        }

        #[test]
        fn a_time_of_its_own_text_is_found_exactly(micros in 0..=Timestamp::MAX.micros()) {
            let at = Timestamp::from_micros(micros).unwrap();
            prop_assert_eq!(first_not_below(&shown(at)), Some(at));
            prop_assert_eq!(last_not_above(&shown(at)), Some(at));
        }
    }
}
