//! What holds for every packed blob: what can be read is written and read alike.

use chrono_storage::sqlite::fuzzing::Kind;

/// Takes an input as the body of a blob of a kind, and as a whole one.
pub fn check(kind: Kind, input: &[u8]) {
    for blob in [kind.seal(input), input.to_vec()] {
        let Some((said, again)) = kind.read(&blob) else { continue };
        let Some(again) = again else {
            assert!(kind == Kind::Metadata && !said.contains("Some"), "not written: {said}");
            continue;
        };
        let (said_again, third) = kind.read(&again).expect("reads what it wrote");
        assert_eq!(said, said_again);
        assert_eq!(third.expect("writes what it read"), again);
    }
}
