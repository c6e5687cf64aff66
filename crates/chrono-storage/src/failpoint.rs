//! Named places where a test build ends the process, as a crash would, or panics.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// What happens at an armed place.
#[derive(Clone, Copy)]
enum Act {
    /// The process ends as by a crash.
    Abort,
    /// Whatever works there panics, once.
    Panic,
}

/// The armed place, what happens there, and how many hits are left before it does.
static ARMED: Mutex<Option<(String, Act, u32)>> = Mutex::new(None);

/// Arms one place: the process aborts when it is reached for the `nth` time, counted from 1.
pub fn arm(place: &str, nth: u32) {
    arm_for(Act::Abort, place, nth);
}

/// Arms one place in the stead of the last: whatever reaches it for the `nth` time, counted from 1, panics there.
pub fn arm_panic(place: &str, nth: u32) {
    arm_for(Act::Panic, place, nth);
}

fn arm_for(act: Act, place: &str, nth: u32) {
    if let Ok(mut armed) = ARMED.lock() {
        *armed = Some((place.to_owned(), act, nth));
    }
}

/// Ends the process or panics here if this place is armed and due.
///
/// # Panics
/// When [`arm_panic`] asked for it.
#[expect(clippy::panic, reason = "this is what a test build asks for")]
pub fn hit(place: &str) {
    match due(place) {
        Some(Act::Abort) => std::process::abort(),
        Some(Act::Panic) => panic!("the failpoint {place}"),
        None => {}
    }
}

/// Counts a hit; gives what is due, which disarms the place.
fn due(place: &str) -> Option<Act> {
    let mut armed = ARMED.lock().ok()?;
    let (_, act, left) = armed.as_mut().filter(|(name, ..)| name == place)?;
    let act = *act;
    *left = left.saturating_sub(1);
    if *left > 0 {
        return None;
    }
    *armed = None;
    Some(act)
}

/// Whether the writer acknowledges before COMMIT: the control that a durability test must catch.
static EARLY_ACK: AtomicBool = AtomicBool::new(false);

/// Makes the writer acknowledge before COMMIT.
pub fn acknowledge_early() {
    EARLY_ACK.store(true, Ordering::SeqCst);
}

/// Tells whether the writer acknowledges before COMMIT.
pub fn acknowledges_early() -> bool {
    EARLY_ACK.load(Ordering::SeqCst)
}

/// Whether the embedded store believes blobs whose checksum differs: another such control.
static SKIPS_CHECKSUMS: AtomicBool = AtomicBool::new(false);

/// Makes the embedded store believe blobs whose checksum differs.
pub fn skip_checksums() {
    SKIPS_CHECKSUMS.store(true, Ordering::SeqCst);
}

/// Tells whether the embedded store believes blobs whose checksum differs.
pub fn skips_checksums() -> bool {
    SKIPS_CHECKSUMS.load(Ordering::SeqCst)
}

/// Whether the embedded store goes on after a sync that failed: another such control.
static FORGIVES_SYNCS: AtomicBool = AtomicBool::new(false);

/// Makes the embedded store go on after a sync that failed, as if the next one made it good.
pub fn forgive_syncs() {
    FORGIVES_SYNCS.store(true, Ordering::SeqCst);
}

/// Tells whether the embedded store goes on after a sync that failed.
pub fn forgives_syncs() -> bool {
    FORGIVES_SYNCS.load(Ordering::SeqCst)
}
