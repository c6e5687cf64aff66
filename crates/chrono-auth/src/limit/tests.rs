//! The limiter against a model that remembers every request.

use std::net::Ipv4Addr;
use std::time::Duration;

use chrono_domain::{ManualClock, Timestamp};
use proptest::prelude::*;

use super::*;

fn limit(requests: u32) -> Limit {
    Limit::per_minute(NonZeroU32::new(requests).unwrap())
}

fn limiter(buckets_max: usize) -> (Arc<ManualClock>, RateLimiter) {
    let clock = Arc::new(ManualClock::new(Timestamp::MIN));
    let limiter = RateLimiter::new(clock.clone(), buckets_max);
    (clock, limiter)
}

fn bucket(number: u32) -> Bucket {
    Bucket::Address(IpAddr::V4(Ipv4Addr::from_bits(number)))
}

/// The rule, written out over every request that ever passed.
fn model_allows(passed_ms: &[u64], now_ms: u64, requests: u32) -> bool {
    let minute = now_ms / WINDOW_MS;
    let count = |of: u64| passed_ms.iter().filter(|&&ms| ms / WINDOW_MS == of).count() as u128;
    let last = if minute == 0 { 0 } else { count(minute - 1) };
    let weight = u128::from(WINDOW_MS - now_ms % WINDOW_MS);
    let window = u128::from(WINDOW_MS);
    (count(minute) + 1) * window + last * weight <= u128::from(requests) * window
}

#[test]
fn a_whole_minute_may_be_spent_at_once() {
    let (_clock, limiter) = limiter(100);
    for left in (0..10).rev() {
        let decision = limiter.check(bucket(1), limit(10));
        assert_eq!((decision.allowed, decision.remaining, decision.limit), (true, left, 10));
    }
    let refused = limiter.check(bucket(1), limit(10));
    assert!(!refused.allowed);
    // 60 s until the minute is over, then a tenth of it until one of ten has left the window.
    assert_eq!((refused.retry_after_s, refused.reset_s, refused.remaining), (66, 66, 0));
    assert!(limiter.check(bucket(2), limit(10)).allowed, "another bucket has its own count");
}

#[test]
fn the_last_minute_weighs_by_what_of_it_is_in_the_window() {
    let (clock, limiter) = limiter(100);
    for _ in 0..10 {
        assert!(limiter.check(bucket(1), limit(10)).allowed);
    }
    clock.advance(Duration::from_secs(90));
    let passed = (0..10).filter(|_| limiter.check(bucket(1), limit(10)).allowed).count();
    assert_eq!(passed, 5);
    clock.advance(Duration::from_secs(150));
    assert_eq!(limiter.check(bucket(1), limit(10)).remaining, 9, "two quiet minutes forget");
}

#[test]
fn a_request_passes_from_the_very_millisecond_on() {
    // 4 so far and half of the last 10 leave room for one of 10.
    assert!(!window::decide(10, 4, 29_999, limit(10)).allowed);
    assert!(window::decide(10, 4, 30_000, limit(10)).allowed);
    assert_eq!(window::decide(10, 4, 28_001, limit(10)).retry_after_s, 2);
    assert_eq!(window::decide(10, 4, 28_000, limit(10)).retry_after_s, 2);
    assert_eq!(window::decide(10, 4, 27_999, limit(10)).retry_after_s, 3);
}

#[test]
fn a_quiet_bucket_resets_when_the_minute_ends() {
    let (clock, limiter) = limiter(100);
    clock.advance(Duration::from_millis(59_001));
    let decision = limiter.check(bucket(1), limit(10));
    assert_eq!((decision.reset_s, decision.retry_after_s), (1, 0));
}

#[test]
fn a_flood_of_buckets_stays_bounded_and_passes_no_more() {
    let (clock, limiter) = limiter(160);
    for number in 0..100_000 {
        limiter.check(bucket(number), limit(3));
    }
    assert_eq!(limiter.buckets(), 160);
    let passed = (200_000..300_000).filter(|&n| limiter.check(bucket(n), limit(3)).allowed).count();
    assert_eq!(passed, 0, "buckets beyond the bound share one count, which is spent");
    clock.advance(Duration::from_mins(3));
    assert!(limiter.check(bucket(200_000), limit(3)).allowed);
    assert!(limiter.buckets() <= 160);
}

#[test]
fn a_flood_lets_no_bucket_pass_twice_its_limit_across_a_border() {
    let mut shard = Shard::default();
    let passes = |shard: &mut Shard, number, at_ms| {
        (0..20).filter(|_| shard.count(bucket(number), at_ms, limit(10), 1).allowed).count()
    };
    shard.turn(1);
    assert_eq!(passes(&mut shard, 1, WINDOW_MS - 1), 10);
    shard.turn(2);
    assert_eq!(passes(&mut shard, 2, 0), 10, "the flood was here first");
    assert_eq!(passes(&mut shard, 1, 0), 0, "its own ten of a moment ago weigh on");
    assert_eq!(passes(&mut shard, 1, WINDOW_MS - 1), 9);
    shard.turn(3);
    assert_eq!(passes(&mut shard, 1, 0), 1, "the nine that it passed among others weigh on");
}

#[test]
fn buckets_of_this_minute_and_the_last_are_held_and_no_older_ones() {
    let (clock, limiter) = limiter(160);
    for (minutes, held) in [(0, 10), (1, 20), (2, 10)] {
        clock.advance(Duration::from_mins(minutes));
        (0..10).for_each(|number| assert!(limiter.check(bucket(number), limit(3)).allowed));
        assert_eq!(limiter.buckets(), held);
    }
}

/// How many of these times, in order, lie within 60 s at most.
fn busiest_minute(passed_ms: &[u64]) -> usize {
    let end = |from: u64| passed_ms.partition_point(|&ms| ms < from + WINDOW_MS);
    passed_ms.iter().enumerate().map(|(idx, &from)| end(from) - idx).max().unwrap_or(0)
}

#[test]
fn fifty_keys_at_ten_times_their_limit_pass_it_within_two_percent_in_any_minute() {
    const KEYS: u32 = 50;
    const LIMIT: u32 = 100;
    let (clock, limiter) = limiter(1_000);
    let mut passed_ms = vec![Vec::new(); KEYS as usize];
    let step_ms = WINDOW_MS / u64::from(10 * LIMIT);
    for now_ms in (0..6 * WINDOW_MS).step_by(usize::try_from(step_ms).unwrap()) {
        for (number, passed_ms) in (0..KEYS).zip(&mut passed_ms) {
            if limiter.check(bucket(number), limit(LIMIT)).allowed {
                passed_ms.push(now_ms);
            }
        }
        clock.advance(Duration::from_millis(step_ms));
    }
    for passed_ms in passed_ms {
        for minute in 0..6 {
            let passed = passed_ms.iter().filter(|&&ms| ms / WINDOW_MS == minute).count();
            assert!((98..=102).contains(&passed), "{passed} in minute {minute}");
        }
        assert!(busiest_minute(&passed_ms) <= 102, "{}", busiest_minute(&passed_ms));
    }
}

#[test]
fn a_burst_before_the_border_of_a_minute_leaves_less_than_twice_the_limit() {
    const LIMIT: u32 = 1_000;
    for first_ms in [0, 10_000, 30_000, 59_000, 59_999] {
        let (clock, limiter) = limiter(10);
        clock.advance(Duration::from_millis(first_ms));
        let mut passed_ms = Vec::new();
        for now_ms in (first_ms..3 * WINDOW_MS).step_by(10) {
            while limiter.check(bucket(1), limit(LIMIT)).allowed {
                passed_ms.push(now_ms);
                assert!(
                    passed_ms.len() <= 3 * LIMIT as usize,
                    "more than the limit of each minute"
                );
            }
            clock.advance(Duration::from_millis(10));
        }
        let across = |within_ms: u64| {
            let near = passed_ms.iter().filter(|ms| ms.abs_diff(WINDOW_MS) <= within_ms);
            near.count()
        };
        assert!(across(1_000) <= 1_020, "{} within a second of the border", across(1_000));
        assert!(busiest_minute(&passed_ms) < 2 * LIMIT as usize);
    }
}

#[test]
fn fifty_clients_that_wait_as_told_are_refused_no_second_time() {
    const STEP_MS: u64 = 50;
    let (clock, limiter) = limiter(1_000);
    // Per client: a limit of its own, and when it asks next; whether it waited as told.
    let mut clients: Vec<(u32, u64, bool)> =
        (0..50).map(|number| (1 + 7 * number, 0, false)).collect();
    let (mut refused, mut obeyed) = (0, 0);
    for now_ms in (0..10 * WINDOW_MS).step_by(usize::try_from(STEP_MS).unwrap()) {
        for (number, (requests, next_ms, waited)) in (0..).zip(&mut clients) {
            if *next_ms > now_ms {
                continue;
            }
            let decision = limiter.check(bucket(number), limit(*requests));
            assert!(decision.allowed || !*waited, "client {number} waited as told at {now_ms}");
            obeyed += u32::from(*waited);
            *waited = !decision.allowed;
            if *waited {
                refused += 1;
                *next_ms = now_ms + 1_000 * u64::from(decision.retry_after_s);
            }
        }
        clock.advance(Duration::from_millis(STEP_MS));
    }
    assert!(refused > 1_000 && refused - obeyed <= 50, "{refused} {obeyed}");
}

#[test]
fn a_minute_ends_at_its_last_millisecond_for_whoever_counts_on() {
    for at_ms in [WINDOW_MS, WINDOW_MS + 1, u64::MAX] {
        let last = window::decide(10, 4, WINDOW_MS - 1, limit(10));
        assert_eq!(window::decide(10, 4, at_ms, limit(10)), last);
    }
}

#[test]
fn after_a_flood_the_tables_hold_room_for_twice_a_quiet_minute() {
    let mut shard = Shard::default();
    for (minute, buckets) in [(1, 10_000), (2, 100), (3, 100)] {
        shard.turn(minute);
        for number in 0..buckets {
            shard.count(bucket(number), 0, limit(1), usize::MAX);
        }
    }
    assert!((200..1_000).contains(&shard.now.capacity()), "{}", shard.now.capacity());
}

#[test]
fn an_ipv6_customer_is_one() {
    let address = |text: &str| customer_of(text.parse().unwrap());
    assert_eq!(address("2001:db8:1:2::1"), address("2001:db8:1:2:ffff::9"));
    assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
    assert_eq!(address("::ffff:10.0.0.1"), address("10.0.0.1"));
}

#[test]
fn roles_and_tiers_have_the_specified_limits() {
    let limits = Limits::default();
    let find = |role, tier| {
        let key_id = KeyId::find("abcdefgh").unwrap();
        let principal = Principal { key_id, role, tier, not_after: None, client: "x".into() };
        limits.find(&principal).map(Limit::get)
    };
    assert_eq!(find(Role::Public, Tier::Free), Some(1_000));
    assert_eq!(find(Role::Public, Tier::Paid), Some(10_000));
    assert_eq!(find(Role::Internal, Tier::Free), Some(5_000));
    assert_eq!(find(Role::Admin, Tier::Free), None);
}

proptest! {
    #[test]
    fn agrees_with_a_model_that_remembers_every_request(
        requests in 1_u32..20,
        steps_ms in prop::collection::vec(prop_oneof![Just(0), 0..5_000_u64, 0..150_000_u64], 1..200),
    ) {
        let (clock, limiter) = limiter(16);
        let (mut passed_ms, mut now_ms) = (Vec::new(), 0);
        for step_ms in steps_ms {
            clock.advance(Duration::from_millis(step_ms));
            now_ms += step_ms;
            let decision = limiter.check(bucket(1), limit(requests));
            prop_assert_eq!(decision.allowed, model_allows(&passed_ms, now_ms, requests));
            if decision.allowed {
                passed_ms.push(now_ms);
            }
            let minute = |ms: u64| ms / WINDOW_MS;
            let this_minute = passed_ms.iter().filter(|&&ms| minute(ms) == minute(now_ms)).count();
            prop_assert!(this_minute <= requests as usize);
            let sixty_s = passed_ms.iter().filter(|&&ms| ms + WINDOW_MS > now_ms).count();
            prop_assert!(sixty_s < 2 * requests as usize, "{} passed within 60 s", sixty_s);
        }
    }

    #[test]
    fn no_bucket_passes_more_than_the_model_lets_it_however_many_there_are(
        requests in 1_u32..10,
        asked in prop::collection::vec((0_u32..4, prop_oneof![Just(0), 0..5_000_u64, 0..70_000_u64]), 1..200),
    ) {
        let mut shard = Shard::default();
        let mut passed_ms = vec![Vec::new(); 4];
        let mut now_ms = 0;
        for (number, step_ms) in asked {
            now_ms += step_ms;
            shard.turn(now_ms / WINDOW_MS);
            let decision = shard.count(bucket(number), now_ms % WINDOW_MS, limit(requests), 2);
            let own = &mut passed_ms[number as usize];
            if decision.allowed {
                prop_assert!(model_allows(own, now_ms, requests));
                own.push(now_ms);
            }
        }
    }

    #[test]
    fn remaining_requests_pass_and_no_more(
        requests in 1_u32..50, last in 0_u32..60, now in 0_u32..60, at_ms in 0..WINDOW_MS,
    ) {
        let first = window::decide(last, now, at_ms, limit(requests));
        let mut passed = now + u32::from(first.allowed);
        for _ in 0..first.remaining {
            prop_assert!(window::decide(last, passed, at_ms, limit(requests)).allowed);
            passed += 1;
        }
        prop_assert!(!window::decide(last, passed, at_ms, limit(requests)).allowed);
    }

    #[test]
    fn a_request_passes_once_the_count_is_reset(
        requests in 1_u32..50,
        steps_ms in prop::collection::vec(0..20_000_u64, 1..300),
    ) {
        let (clock, limiter) = limiter(16);
        for step_ms in steps_ms {
            clock.advance(Duration::from_millis(step_ms));
            let reset_s = limiter.check(bucket(1), limit(requests)).reset_s;
            prop_assert!((1..=120).contains(&reset_s));
            clock.advance(Duration::from_secs(u64::from(reset_s)));
            prop_assert!(limiter.check(bucket(1), limit(requests)).allowed);
        }
    }

    #[test]
    fn obeying_retry_after_is_never_refused_again(
        requests in 1_u32..50,
        steps_ms in prop::collection::vec(0..20_000_u64, 1..300),
    ) {
        let (clock, limiter) = limiter(16);
        for step_ms in steps_ms {
            clock.advance(Duration::from_millis(step_ms));
            let decision = limiter.check(bucket(1), limit(requests));
            if !decision.allowed {
                prop_assert!(decision.retry_after_s > 0);
                prop_assert!(decision.reset_s >= decision.retry_after_s);
                clock.advance(Duration::from_secs(u64::from(decision.retry_after_s)));
                prop_assert!(limiter.check(bucket(1), limit(requests)).allowed);
            }
        }
    }

    #[test]
    fn a_decision_tells_the_first_whole_seconds_that_are_enough(
        requests in 1_u32..50, last in 0_u32..60, now in 0_u32..60, at_ms in 0..WINDOW_MS,
    ) {
        let decision = window::decide(last, now, at_ms, limit(requests));
        let passed = now + u32::from(decision.allowed);
        let passes = |after_s: &u32| {
            let ms = at_ms + 1_000 * u64::from(*after_s);
            let (last, now) = match ms / WINDOW_MS {
                0 => (last, passed),
                1 => (passed, 0),
                _ => (0, 0),
            };
            window::decide(last, now, ms % WINDOW_MS, limit(requests)).allowed
        };
        let retry_s = if decision.allowed { Some(0) } else { (0..=120).find(passes) };
        prop_assert_eq!(Some(decision.retry_after_s), retry_s);
        let minute_s = u32::try_from((WINDOW_MS - at_ms).div_ceil(1_000)).unwrap();
        prop_assert_eq!(Some(decision.reset_s), (minute_s..=120).find(passes));
    }
}
