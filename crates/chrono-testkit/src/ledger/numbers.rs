//! Exact decimals and times, written once more, so that a mistake of the gateway's is not made here too.

/// Decimal places of the unit in which sums are kept.
const PLACES: usize = 18;
/// Microseconds in a day.
const DAY: i64 = 86_400_000_000;

/// Reads plain digits with at most one point as a count of 10^-18; none for anything else, or too large.
pub(super) fn units(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > PLACES {
        return None;
    }
    format!("{whole}{fraction:0<PLACES$}").parse().ok()
}

/// Counts the decimal places that a text shows.
pub(super) fn places(text: &str) -> usize {
    text.split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

/// Prints a count of 10^-18, zero or above, with so many decimal places.
pub(super) fn decimal(units: i128, places: usize) -> String {
    let digits = format!("{units:0>width$}", width = PLACES + 1);
    let (whole, fraction) = digits.split_at(digits.len() - PLACES);
    match fraction.get(..places) {
        None | Some("") => whole.to_owned(),
        Some(fraction) => format!("{whole}.{fraction}"),
    }
}

/// Prints microseconds since 1970 as RFC 3339 in UTC with so many decimals of the second, the rest cut off.
pub fn rfc3339(micros: i64, decimals: usize) -> String {
    let (days, of_day) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    let (year, month, day) = civil(days);
    let (seconds, fraction) = (of_day / 1_000_000, format!("{:06}", of_day % 1_000_000));
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let fraction = match fraction.get(..decimals) {
        None | Some("") => String::new(),
        Some(digits) => format!(".{digits}"),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Prints the time of a tick as the gateway does: three decimals, six where they say more.
pub(super) fn tick_time(micros: i64) -> String {
    rfc3339(micros, if micros % 1_000 == 0 { 3 } else { 6 })
}

/// Turns days since 1970 into year, month and day, after Howard Hinnant's `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_read_and_print_exactly() {
        for text in ["0", "7", "0.000000000000000001", "123.40", "999999999999999999.1"] {
            assert_eq!(decimal(units(text).unwrap(), places(text)), text);
        }
        let sum = units("0.1").unwrap() + units("2.35").unwrap();
        assert_eq!(decimal(sum, 2), "2.45");
        assert_eq!((units("1e5"), units("")), (None, Some(0)));
        assert_eq!(units("0.0000000000000000001"), None);
    }

    #[test]
    fn times_print_as_calendars_say() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999_999, "2024-02-29T23:59:59.999999Z"),
            (1_735_689_600_001_000, "2025-01-01T00:00:00.001Z"),
        ] {
            assert_eq!(tick_time(micros), text);
        }
        assert_eq!(rfc3339(1_735_689_600_001_000, 0), "2025-01-01T00:00:00Z");
    }
}
