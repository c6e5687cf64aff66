//! Named places where a test build ends the process, as a crash would.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// The armed place and how many hits are left before it fires.
static ARMED: Mutex<Option<(String, u32)>> = Mutex::new(None);

/// Arms one place: the process aborts when it is reached for the `nth` time, counted from 1.
pub fn arm(place: &str, nth: u32) {
    if let Ok(mut armed) = ARMED.lock() {
        *armed = Some((place.to_owned(), nth));
    }
}

/// Ends the process here if this place is armed and due.
pub fn hit(place: &str) {
    let Ok(mut armed) = ARMED.lock() else { return };
    if let Some((name, left)) = armed.as_mut()
        && name == place
    {
        *left = left.saturating_sub(1);
        if *left == 0 {
            std::process::abort();
        }
    }
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
