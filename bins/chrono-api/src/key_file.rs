//! The keys that a gateway without any makes for itself at its first start.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono_auth::{CreatedKey, KeyOrder, KeyService, Role, Tier};
use secrecy::ExposeSecret;

#[cfg(feature = "failpoints")]
use chrono_storage::failpoint::hit;

/// Marks a place where a test build may end the process.
#[cfg(not(feature = "failpoints"))]
const fn hit(_place: &str) {}

/// Makes a key of each role, writes them to `keys.txt`, readable by its owner only, and gives its path.
///
/// The file is on the disk before the hashes are stored, all in one commit: a start that breaks off before that makes a
/// new set, and the file never holds a key that opens nothing beside one that does.
pub(crate) async fn make_first_keys(
    keys: &KeyService,
    directory: &Path,
) -> anyhow::Result<PathBuf> {
    let roles = [Role::Internal, Role::Public, Role::Admin];
    let made = roles.map(CreatedKey::unstored).into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut text = String::from(
        "# Made at the first start, because no key was configured. The gateway keeps only their hashes:\n\
         # this file is for you. More keys: chrono-api keys create\n",
    );
    for (role, key) in roles.iter().zip(&made) {
        writeln!(text, "{}={}", role.as_str(), key.text.expose_secret())?;
    }
    let path = directory.join("keys.txt");
    write_private(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    hit("first_keys_before_store");
    let order = |role| {
        let client = "first start".to_owned();
        KeyOrder { role, tier: Tier::Free, client, not_after: None }
    };
    keys.store_made(made.iter().zip(roles.map(order)).collect()).await?;
    Ok(path)
}

/// Writes a file that was never readable by others, in place of one that may have been.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("txt.new");
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // Left over from a start that broke off.
    fs::remove_file(&fresh).or_else(|fault| {
        if fault.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(fault) }
    })?;
    let mut file = options.open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    hit("first_keys_before_rename");
    fs::rename(&fresh, path)?;
    // Else a power cut may take the name away, after the keys were stored that stand nowhere else.
    fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono_auth::Keyring;
    use chrono_domain::SystemClock;
    use chrono_storage::model::ModelStore;

    use super::*;

    fn service() -> KeyService {
        KeyService::new(
            Arc::new(ModelStore::default()),
            Arc::new(Keyring::new([])),
            Arc::new(SystemClock::new()),
        )
    }

    #[tokio::test]
    async fn the_first_keys_are_private_and_replace_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("keys.txt"), "old").unwrap();
        let keys = service();
        let path = make_first_keys(&keys, directory.path()).await.unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().filter(|line| line.contains("=chrono_")).count(), 3);
        assert_eq!(keys.list().await.unwrap().len(), 3);
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(
                &fs::metadata(&path).unwrap().permissions(),
            );
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[tokio::test]
    async fn no_key_is_stored_that_nobody_can_read() {
        let directory = tempfile::tempdir().unwrap();
        let keys = service();
        let nowhere = directory.path().join("missing");
        assert!(make_first_keys(&keys, &nowhere).await.is_err());
        assert!(keys.list().await.unwrap().is_empty());
    }
}
