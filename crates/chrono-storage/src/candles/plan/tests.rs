//! Plans against what each piece must be.

use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn plan(watermark: i64, dirty_hours: &[i64], level: Interval, span: (i64, i64)) -> Vec<Piece> {
    Stored { watermark, dirty_hours }.plan(level, Span { from: span.0, until: span.1 })
}

fn rows(level: Interval, from: i64, until: i64) -> Piece {
    Piece::Rows(level, Span { from, until })
}

fn ticks(from: i64, until: i64) -> Piece {
    Piece::Ticks(Span { from, until })
}

#[test]
fn takes_the_row_that_the_watermark_cuts_and_ticks_from_there() {
    let watermark = 2 * DAY + 5 * HOUR + 7 * MINUTE;
    let pieces = plan(watermark, &[], Interval::D1, (DAY, 3 * DAY));
    assert_eq!(pieces, [rows(Interval::D1, DAY, watermark), ticks(watermark, 3 * DAY)]);
}

#[test]
fn takes_finer_rows_at_the_edges() {
    let (from, until) = (DAY - HOUR - MINUTE - 1, 2 * DAY + HOUR + MINUTE + 1);
    assert_eq!(
        plan(9 * DAY, &[], Interval::D1, (from, until)),
        [
            ticks(from, from + 1),
            rows(Interval::M1, from + 1, DAY - HOUR),
            rows(Interval::H1, DAY - HOUR, DAY),
            rows(Interval::D1, DAY, 2 * DAY),
            rows(Interval::H1, 2 * DAY, 2 * DAY + HOUR),
            rows(Interval::M1, 2 * DAY + HOUR, 2 * DAY + HOUR + MINUTE),
            ticks(until - 1, until),
        ]
    );
}

#[test]
fn takes_the_clean_hours_of_a_dirty_day() {
    let dirty = [DAY + 3 * HOUR, DAY + 4 * HOUR];
    assert_eq!(
        plan(9 * DAY, &dirty, Interval::D1, (0, 3 * DAY)),
        [
            rows(Interval::D1, 0, DAY),
            rows(Interval::H1, DAY, DAY + 3 * HOUR),
            ticks(DAY + 3 * HOUR, DAY + 5 * HOUR),
            rows(Interval::H1, DAY + 5 * HOUR, 2 * DAY),
            rows(Interval::D1, 2 * DAY, 3 * DAY),
        ]
    );
}

#[test]
fn takes_ticks_for_a_minute_of_a_dirty_hour() {
    let (from, until) = (DAY + 59 * MINUTE, DAY + 61 * MINUTE);
    assert_eq!(
        plan(9 * DAY, &[DAY], Interval::M1, (from, until)),
        [ticks(from, DAY + HOUR), rows(Interval::M1, DAY + HOUR, until)]
    );
}

prop_compose! {
    fn any_moment()(day in 0_i64..4, hour in 0_i64..3, minute in 0_i64..3, micros in 0_i64..2) -> i64 {
        day * DAY + hour * 11 * HOUR + minute * 29 * MINUTE + micros * 31_000_001
    }
}

proptest! {
    #[test]
    fn pieces_join_to_the_span_and_trust_no_row_they_must_not(
        watermark in any_moment(),
        mut dirty in prop::collection::vec(0_i64..96, 0..6),
        ends in (any_moment(), any_moment()),
        level in prop::sample::select(vec![Interval::M1, Interval::H1, Interval::D1]),
    ) {
        let watermark = watermark - watermark % MINUTE;
        dirty.sort_unstable();
        dirty.dedup();
        let dirty: Vec<i64> = dirty.into_iter().map(|hour| hour * HOUR).filter(|hour| *hour < watermark).collect();
        let mut end = ends.0;
        for piece in plan(watermark, &dirty, level, ends) {
            let span = match piece {
                Piece::Ticks(span) => span,
                Piece::Rows(of, span) => {
                    let length = micros(of);
                    prop_assert!(of <= level && span.from % length == 0);
                    prop_assert!(span.until % length == 0 || span.until == watermark);
                    prop_assert!(span.until <= watermark);
                    let touched = (span.from, span.until + (length - span.until % length) % length);
                    prop_assert!(!dirty.iter().any(|hour| touched.0 < hour + HOUR && *hour < touched.1));
                    span
                }
            };
            prop_assert!(span.from == end && !span.is_empty());
            end = span.until;
        }
        prop_assert_eq!(end, ends.1.max(ends.0));
    }
}
