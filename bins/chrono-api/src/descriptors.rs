//! File descriptors: how many the process may have, and how they are shared out at the start.
//!
//! A connection takes one. Were they all taken, the store could not open its files and nobody could ask how things
//! are; so connections get what the system's limit leaves after a reserve, and `/metrics` on an address of its own has
//! places that no flood of the main address takes.

use crate::http::Settings;

/// Least and most descriptors that no connection gets; between them a tenth of the limit.
///
/// Files of the store, listeners, logs and the runtime take about thirty. Too few, and a checkpoint or a reader fails
/// under a flood; too many, and places stay empty.
const RESERVE: (usize, usize) = (64, 1_000);
/// Connections at once of `/metrics` on an address of its own: scrapers, and somebody who looks.
const OPERATIONS_MAX: usize = 16;

/// How many connections each listener may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Places {
    /// Of the main listener.
    pub(crate) main: usize,
    /// Of the one that serves metrics alone, nothing without it.
    pub(crate) operations: usize,
}

impl Places {
    /// Raises the process's limit as far as the system lets it, and shares it out.
    ///
    /// Says so in the log when fewer connections fit than `wanted`.
    pub(crate) fn share_out(wanted: usize, has_operations: bool) -> Self {
        // Where the system does not tell, accepting fails at the limit, is counted, and is tried again.
        let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(u64::MAX);
        let places = Self::of(usize::try_from(limit).unwrap_or(usize::MAX), wanted, has_operations);
        if places.main < wanted {
            tracing::warn!(
                descriptors = limit,
                connections_max = places.main,
                wanted,
                "HTTP_MAX_CONNECTIONS cannot be reached: raise the limit of open files (ulimit -n, LimitNOFILE)"
            );
        }
        places
    }

    fn of(limit: usize, wanted: usize, has_operations: bool) -> Self {
        let operations = if has_operations { OPERATIONS_MAX } else { 0 };
        let (least, most) = RESERVE;
        let kept = (limit / 10).clamp(least, most) + operations;
        Self { main: wanted.min(limit.saturating_sub(kept).max(1)), operations }
    }

    /// Gives the bounds of the listener of metrics, whose places one scraper may all take.
    pub(crate) fn operations_settings(self) -> Settings {
        let places = self.operations;
        Settings { connections_max: places, connections_per_ip_max: places, ..Settings::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_kept_and_nobody_gets_more_than_was_asked_for() {
        let main = |limit, has_operations| Places::of(limit, 12_000, has_operations).main;
        assert_eq!((main(256, false), main(256, true)), (192, 176));
        assert_eq!((main(1_024, false), main(10_000, false)), (922, 9_000));
        assert_eq!((main(20_000, false), main(usize::MAX, true)), (12_000, 12_000));
        assert_eq!(main(0, true), 1);
    }
}
