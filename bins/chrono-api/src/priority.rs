//! How urgent a thread is to the system.

/// Steps of niceness: a tenth of a processor that the others want, all of one that they do not.
#[cfg(target_os = "linux")]
const STEPS: i32 = 10;

/// Puts the calling thread behind the others of this process, for good.
#[cfg(target_os = "linux")]
pub(crate) fn step_back() {
    // Of Linux: elsewhere the call is about the whole process.
    if let Err(error) = rustix::process::nice(STEPS) {
        tracing::debug!(%error, "upkeep runs as urgently as requests");
    }
}

/// Leaves the calling thread as it is: only Linux has a priority for one that safe code can set.
#[cfg(not(target_os = "linux"))]
pub(crate) const fn step_back() {}
