//! Plans against what each piece must be.

use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn plan_of(level: Interval, from: i64, until: i64) -> Vec<Piece> {
    plan(level, Span { from, until })
}

fn rows(level: Interval, from: i64, until: i64) -> Piece {
    Piece::Rows(level, Span { from, until })
}

fn ticks(from: i64, until: i64) -> Piece {
    Piece::Ticks(Span { from, until })
}

#[test]
fn takes_finer_rows_at_the_edges() {
    let (from, until) = (DAY - HOUR - MINUTE - 1, 2 * DAY + HOUR + MINUTE + 1);
    assert_eq!(
        plan_of(Interval::D1, from, until),
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
fn takes_ticks_alone_within_a_minute_and_nothing_of_nothing() {
    assert_eq!(plan_of(Interval::D1, DAY + 1, DAY + 9), [ticks(DAY + 1, DAY + 9)]);
    assert_eq!(plan_of(Interval::D1, DAY, DAY), []);
    assert_eq!(plan_of(Interval::D1, DAY, 0), []);
}

prop_compose! {
    fn any_moment()(day in 0_i64..4, hour in 0_i64..3, minute in 0_i64..3, micros in 0_i64..2) -> i64 {
        day * DAY + hour * 11 * HOUR + minute * 29 * MINUTE + micros * 31_000_001
    }
}

proptest! {
    #[test]
    fn pieces_join_to_the_span_and_rows_are_whole(
        ends in (any_moment(), any_moment()),
        level in prop::sample::select(vec![Interval::M1, Interval::H1, Interval::D1]),
    ) {
        let mut end = ends.0;
        for piece in plan_of(level, ends.0, ends.1) {
            let span = match piece {
                Piece::Ticks(span) => span,
                Piece::Rows(of, span) => {
                    let length = micros(of);
                    prop_assert!(of <= level && span.from % length == 0 && span.until % length == 0);
                    span
                }
            };
            prop_assert!(span.from == end && !span.is_empty());
            end = span.until;
        }
        prop_assert_eq!(end, ends.1.max(ends.0));
    }
}
