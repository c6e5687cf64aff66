//! Ends at chosen places of the first start: whatever came of it, every key that the next one shows opens something.

use std::fs;
use std::process::Command;

use anyhow::{Context, ensure};
use chrono_testkit::{GatewayCommand, scratch};

use crate::ask::ask;
use crate::service::BINARY;

/// Where the first start ends, from the file that has no name yet to the keys that are stored.
const PLACES: [&str; 4] = [
    "first_keys_before_rename",
    "first_keys_before_store",
    "keys_before_commit",
    "keys_after_commit",
];

#[test]
fn a_first_start_that_is_killed_leaves_no_key_that_opens_nothing() -> anyhow::Result<()> {
    for place in PLACES {
        let dir = scratch()?;
        let names = ["INTERNAL_API_KEYS", "PUBLIC_PAID_API_KEYS", "ADMIN_API_KEYS"];
        let command = GatewayCommand::new(BINARY, dir.path());
        let command = names.iter().fold(command, |command, name| command.with(name, ""));
        let killed = command.clone().with("CHRONO_FAILPOINT", &format!("{place}:1")).start();
        let killed = killed.err().context("it starts")?.to_string();
        ensure!(killed.contains("SIGABRT"), "{place}: {killed}");

        let gateway = command.start()?;
        let shown = fs::read_to_string(dir.path().join("keys.txt"))?;
        let keys: Vec<_> = shown.lines().filter_map(|line| line.split_once('=')).collect();
        ensure!(keys.len() == 3, "{place}: {shown}");
        for (role, key) in keys {
            let status = |key: &str| {
                ask(gateway.url(), "GET", "/metadata/intervals", &[("X-API-Key", key)], "").status
            };
            ensure!(status(&key.replace("chrono_", "junk_")) == 401, "every key opens everything");
            ensure!(status(key) != 401, "{place}: the key for {role} is dead");
        }
        let mut list = Command::new(BINARY);
        list.args(["keys", "list"]).env_clear().env("CHRONO_DATA_DIR", dir.path());
        let list = String::from_utf8(list.output()?.stdout)?;
        ensure!(list.lines().count() == 1 + 3, "{place}: keys that stand nowhere\n{list}");
        ensure!(gateway.stop()?.success(), "{place}: it does not stop as it should");
    }
    Ok(())
}
