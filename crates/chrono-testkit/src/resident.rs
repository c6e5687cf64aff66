//! How much memory a process takes.

use std::process::Command;

use anyhow::Context;

/// Gives how much of the memory of a process is resident, in KiB.
///
/// # Errors
/// When the system does not tell.
pub fn resident_kib(pid: u32) -> anyhow::Result<u64> {
    let text = match std::fs::read_to_string(format!("/proc/{pid}/status")) {
        Ok(status) => {
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            line.context("no VmRSS")?.to_owned()
        }
        // No such files on macOS.
        Err(_absent) => {
            let pid = pid.to_string();
            let output = Command::new("ps").args(["-o", "rss=", "-p", &pid]).output()?;
            String::from_utf8(output.stdout)?
        }
    };
    Ok(text.trim().trim_end_matches(" kB").parse()?)
}
