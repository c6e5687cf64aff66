//! How a test build is told to crash, or to be wrong; no other build reads these variables.

use super::fault::SettingFault;

/// Where to abort, as `place:nth`: on the `nth` time that the place is reached, counted from 1.
const FAILPOINT: &str = "CHRONO_FAILPOINT";
/// Where to panic, in the same words.
const PANIC: &str = "CHRONO_PANIC";
/// `1` acknowledges before COMMIT.
const EARLY_ACK: &str = "CHRONO_EARLY_ACK";
/// `OFF` does not wait for the disk.
const SYNCHRONOUS: &str = "CHRONO_SYNCHRONOUS";

/// `IGNORE` goes on after a sync that failed.
const FAILED_SYNC: &str = "CHRONO_FAILED_SYNC";

/// What a test build does wrong on purpose; the default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failpoints {
    /// The place where the process aborts, and how often it is reached until then.
    pub abort: Option<(String, u32)>,
    /// The place where a task panics, in the same words; it counts when both are given.
    pub panic: Option<(String, u32)>,
    /// Whether batches are acknowledged before they are committed.
    pub early_ack: bool,
    /// Whether commits are acknowledged before they are on the disk.
    pub unsynced: bool,
    /// Whether the store goes on after a sync that failed.
    pub forgives_syncs: bool,
}

impl Failpoints {
    /// Reads the process's environment; what cannot be read goes to `faults`.
    #[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
    pub(super) fn from_environment(faults: &mut Vec<SettingFault>) -> Self {
        Self::from_variables(|name| std::env::var(name).ok(), faults)
    }

    fn from_variables(
        lookup: impl Fn(&str) -> Option<String>,
        faults: &mut Vec<SettingFault>,
    ) -> Self {
        let mut read = |name: &str, expected: &str, take: &mut dyn FnMut(&str) -> bool| {
            let Some(text) = lookup(name) else { return };
            if !take(&text) {
                let (name, expected) = (name.to_owned(), expected.to_owned());
                faults.push(SettingFault { name, received: Some(text), expected });
            }
        };
        let mut found = Self::default();
        for (name, slot) in [(FAILPOINT, &mut found.abort), (PANIC, &mut found.panic)] {
            read(name, "a place and a number from 1, such as before_commit:3", &mut |text| {
                *slot = place(text);
                slot.is_some()
            });
        }
        read(EARLY_ACK, "1", &mut |text| {
            found.early_ack = text == "1";
            found.early_ack
        });
        read(SYNCHRONOUS, "FULL or OFF", &mut |text| {
            found.unsynced = text == "OFF";
            matches!(text, "FULL" | "OFF")
        });
        read(FAILED_SYNC, "IGNORE", &mut |text| {
            found.forgives_syncs = text == "IGNORE";
            found.forgives_syncs
        });
        found
    }
}

fn place(text: &str) -> Option<(String, u32)> {
    let (place, nth) = text.split_once(':')?;
    let nth = nth.parse().ok().filter(|nth| *nth > 0)?;
    Some((place.to_owned(), nth))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (Failpoints, Vec<String>) {
        let find = |name: &str| variables.iter().find(|(held, _)| *held == name);
        let mut faults = Vec::new();
        let found = Failpoints::from_variables(
            |name| find(name).map(|(_, text)| (*text).to_owned()),
            &mut faults,
        );
        (found, faults.into_iter().map(|fault| fault.name).collect())
    }

    #[test]
    fn a_test_build_is_right_unless_told_otherwise() {
        assert_eq!(read(&[]), (Failpoints::default(), Vec::new()));
        let (told, faults) = read(&[
            (FAILPOINT, "after_insert:7"),
            (EARLY_ACK, "1"),
            (SYNCHRONOUS, "OFF"),
            (FAILED_SYNC, "IGNORE"),
        ]);
        let abort = Some(("after_insert".to_owned(), 7));
        let (early_ack, unsynced, forgives_syncs) = (true, true, true);
        assert_eq!(told, Failpoints { abort, panic: None, early_ack, unsynced, forgives_syncs });
        assert!(faults.is_empty());
        let (told, _) = read(&[(PANIC, "mid_publish:1")]);
        assert_eq!(told.panic, Some(("mid_publish".to_owned(), 1)));
    }

    #[test]
    fn a_wrong_wish_is_a_fault() {
        let wrong = [
            (FAILPOINT, "before_commit:0"),
            (EARLY_ACK, "yes"),
            (SYNCHRONOUS, "off"),
            (FAILED_SYNC, "1"),
        ];
        assert_eq!(
            read(&wrong),
            (Failpoints::default(), wrong.map(|(name, _)| name.into()).into())
        );
    }
}
