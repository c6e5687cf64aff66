//! The arithmetic of the sliding-window counter, apart from where its counts are kept.
//!
//! A minute's limit may be spent at once. After that the last minute's count still weighs, by the part of it that lies
//! inside the 60 seconds before now, so that twice the limit never passes across the boundary of two minutes. The
//! method is described at <https://blog.cloudflare.com/counting-things-a-lot-of-different-things/>. All in integers.

use super::{Decision, Limit};

/// The window, in milliseconds.
pub const WINDOW_MS: u64 = 60_000;

/// Decides on one more request.
///
/// `last` and `now` are what passed in the last minute and so far in this one, `at_ms` the milliseconds since this one
/// began (below [`WINDOW_MS`]). The caller counts the request if it is allowed.
pub fn decide(last: u32, now: u32, at_ms: u64, limit: Limit) -> Decision {
    let at_ms = at_ms.min(WINDOW_MS - 1);
    let left = free(last, now, at_ms, limit.get());
    let allowed = left > 0;
    let passed = now.saturating_add(u32::from(allowed));
    let remaining = free(last, passed, at_ms, limit.get());
    let retry_ms = wait_ms(last, passed, at_ms, limit.get());
    let reset_ms = if remaining == 0 { retry_ms.max(WINDOW_MS - at_ms) } else { WINDOW_MS - at_ms };
    Decision {
        allowed,
        limit: limit.get(),
        remaining,
        reset_s: seconds(reset_ms),
        retry_after_s: if allowed { 0 } else { seconds(retry_ms) },
    }
}

/// Counts the whole requests that may still pass: limit - now - last × (the last minute's part still in the window).
fn free(last: u32, now: u32, at_ms: u64, limit: u32) -> u32 {
    let weighed = u64::from(last) * (WINDOW_MS - at_ms);
    let spent = u64::from(now) * WINDOW_MS + weighed;
    let left = (u64::from(limit) * WINDOW_MS).saturating_sub(spent) / WINDOW_MS;
    u32::try_from(left).unwrap_or(u32::MAX)
}

/// Gives the milliseconds until one request passes if none is sent before.
fn wait_ms(last: u32, now: u32, at_ms: u64, limit: u32) -> u64 {
    let from_ms = earliest(last, now, limit).unwrap_or_else(|| {
        // This minute's count is then the last one's; it weighs nothing at the latest when that minute ends too.
        WINDOW_MS + earliest(now, 0, limit).unwrap_or(WINDOW_MS)
    });
    from_ms.saturating_sub(at_ms)
}

/// Finds the first millisecond of a minute from which one request passes.
fn earliest(last: u32, now: u32, limit: u32) -> Option<u64> {
    // one passes when last × (W - t) ≤ (limit - now - 1) × W
    let room = u64::from(limit.checked_sub(now)?.checked_sub(1)?) * WINDOW_MS;
    if last == 0 {
        return Some(0);
    }
    Some(WINDOW_MS.saturating_sub(room / u64::from(last)))
}

/// Rounds up to whole seconds, so that waiting them is enough.
fn seconds(ms: u64) -> u32 {
    u32::try_from(ms.div_ceil(1_000)).unwrap_or(u32::MAX)
}
