//! Numbers written with exponents, written out as the gateway takes them.

use std::borrow::Cow;

/// Largest exponent that is written out. The gateway takes 18 digits on either side of the point, so anything larger
/// is refused there anyway; without a bound `1e999999999` would fill memory.
const EXPONENT_MAX: u32 = 64;

/// Writes `9.2E-7` as `0.00000092`: the same number, every digit of the mantissa kept.
///
/// A text without exponent, or that is no such number, comes back as it is: to judge it is the gateway's work.
///
/// ```
/// assert_eq!(chrono_worker::plain_digits("1.0E-4"), "0.00010");
/// assert_eq!(chrono_worker::plain_digits("1.01748847777E7"), "10174884.7777");
/// assert_eq!(chrono_worker::plain_digits("67230.00"), "67230.00");
/// ```
pub fn plain_digits(text: &str) -> Cow<'_, str> {
    text.split_once(['e', 'E'])
        .and_then(|(mantissa, exponent)| write_out(mantissa, exponent))
        .map_or(Cow::Borrowed(text), Cow::Owned)
}

fn write_out(mantissa: &str, exponent: &str) -> Option<String> {
    let (integer, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    if integer.is_empty() || !all_digits(integer) || !all_digits(fraction) {
        return None;
    }
    let exponent: i32 = exponent.parse().ok()?;
    if exponent.unsigned_abs() > EXPONENT_MAX {
        return None;
    }
    let decimals = i64::try_from(fraction.len()).ok()? - i64::from(exponent);
    let mut digits = format!("{integer}{fraction}");
    let Ok(decimals) = usize::try_from(decimals) else {
        let zeros = usize::try_from(-decimals).ok()?;
        digits.extend(std::iter::repeat_n('0', zeros));
        return Some(without_leading_zeros(&digits).to_owned());
    };
    let padded = format!("{digits:0>width$}", width = decimals + 1);
    let (integer, fraction) = padded.split_at_checked(padded.len() - decimals)?;
    let integer = without_leading_zeros(integer);
    Some(if fraction.is_empty() { integer.to_owned() } else { format!("{integer}.{fraction}") })
}

/// Keeps at least the last digit.
fn without_leading_zeros(digits: &str) -> &str {
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() { "0" } else { significant }
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use proptest::prelude::*;
    use rust_decimal::Decimal;

    use super::*;

    #[test]
    fn keeps_every_digit_of_the_mantissa() {
        for (text, plain) in [
            ("9.2E-7", "0.00000092"),
            ("1.25e-05", "0.0000125"),
            ("1.0E-4", "0.00010"),
            ("1.01748847777E7", "10174884.7777"),
            ("1.50E1", "15.0"),
            ("1.5E3", "1500"),
            ("12.0E0", "12.0"),
            ("100e-2", "1.00"),
            ("1E+3", "1000"),
            ("0.5E1", "5"),
            ("0.0E5", "0"),
            ("0E-7", "0.0000000"),
            ("00012.5e1", "125"),
        ] {
            assert_eq!(plain_digits(text), plain, "{text}");
        }
    }

    #[test]
    fn leaves_everything_else_to_the_gateway() {
        let others = [
            "",
            "1",
            "67230.00",
            "-1e5",
            "+1e5",
            "1e",
            "e5",
            ".5e1",
            "5.e1",
            "1e5e5",
            "1e5.0",
            "1e65",
            "1e-65",
            "1e999999999",
            "1e99999999999999999999",
            "1.2.3e1",
            "１e1",
            "hello",
            "NaN",
            "1_0e1",
            "0xe1",
            "1 e1",
        ];
        for text in others {
            assert_eq!(plain_digits(text), text);
        }
    }

    proptest! {
        #[test]
        fn says_the_same_number(
            integer in "0|[1-9][0-9]{0,5}",
            fraction in "(\\.[0-9]{1,6})?",
            exponent in -12_i32..=12,
        ) {
            let plain = plain_digits(&format!("{integer}{fraction}E{exponent}")).into_owned();
            // 12 digits and 12 zeros fit a decimal of 96 bits, so the oracle never rounds.
            let mut oracle = Decimal::from_str(&format!("{integer}{fraction}")).unwrap();
            let ten = Decimal::from(if exponent < 0 { 1 } else { 10 });
            for _ in 0..exponent {
                oracle = oracle.checked_mul(ten).unwrap();
            }
            let scale = oracle.scale() + exponent.min(0).unsigned_abs();
            oracle.set_scale(scale).unwrap();
            prop_assert_eq!(Decimal::from_str(&plain).unwrap(), oracle);
            prop_assert!(!plain.contains(['e', 'E']));
        }

        #[test]
        fn keeps_the_decimals_that_the_exponent_leaves(
            mantissa in "[1-9](\\.[0-9]{1,9})?",
            exponent in -15_i32..=15,
        ) {
            let plain = plain_digits(&format!("{mantissa}e{exponent}")).into_owned();
            let written = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            let kept = plain.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            let expected = i32::try_from(written).unwrap() - exponent;
            prop_assert_eq!(i32::try_from(kept).unwrap(), expected.max(0));
            let digits = |text: &str| text.replace('.', "").trim_start_matches('0').to_owned();
            prop_assert!(digits(&plain).starts_with(&digits(&mantissa)));
        }

        #[test]
        fn never_panics_and_never_grows_without_bound(text in "\\PC{0,40}") {
            prop_assert!(plain_digits(&text).len() <= text.len() + 2 + 64);
        }
    }
}
