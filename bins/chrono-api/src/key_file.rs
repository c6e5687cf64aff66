//! The keys that a gateway without any makes for itself at its first start.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono_auth::{CreatedKey, KeyOrder, KeyService, Role, Tier};
use secrecy::ExposeSecret;

/// Makes a key of each role, writes them to `keys.txt`, readable by its owner only, and gives its path.
pub(crate) async fn make_first_keys(
    keys: &KeyService,
    directory: &Path,
) -> anyhow::Result<PathBuf> {
    let mut text = String::from(
        "# Made at the first start, because no key was configured. The gateway keeps only their hashes:\n\
         # this file is for you. More keys: chrono-api keys create\n",
    );
    for role in [Role::Internal, Role::Public, Role::Admin] {
        let made = create(keys, role).await?;
        writeln!(text, "{}={}", role.as_str(), made.text.expose_secret())?;
    }
    let path = directory.join("keys.txt");
    write_private(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

async fn create(keys: &KeyService, role: Role) -> anyhow::Result<CreatedKey> {
    let order =
        KeyOrder { role, tier: Tier::Free, client: "first start".to_owned(), not_after: None };
    Ok(keys.create(order).await?)
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
