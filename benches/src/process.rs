//! What a process costs: CPU time and memory, its own or another's.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;

/// Clock ticks a second in `/proc`: 100 on every Linux that we build for (`getconf CLK_TCK`).
const TICKS_PER_SECOND: u64 = 100;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of all its threads, in user and kernel mode; steps of 10 ms.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
}

impl Usage {
    /// Reads what a process has used: from `/proc` on Linux, from `ps` elsewhere.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let usage = if cfg!(target_os = "linux") {
            let read = |file| fs::read_to_string(format!("/proc/{pid}/{file}"));
            from_proc(&read("stat")?, &read("status")?)
        } else {
            let asked =
                Command::new("ps").args(["-o", "time=,rss=", "-p", &pid.to_string()]).output()?;
            from_ps(&String::from_utf8_lossy(&asked.stdout))
        };
        usage.with_context(|| format!("cannot tell what process {pid} uses"))
    }

    /// Reads what this process has used.
    ///
    /// # Errors
    /// As [`Usage::of`].
    pub fn own() -> anyhow::Result<Self> {
        Self::of(std::process::id())
    }
}

/// Gives the bytes of the files of a directory.
///
/// # Errors
/// When it cannot be read.
pub fn bytes_on_disk(directory: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

/// Binds a process with all its threads to a core, where there is a `taskset` to do it and such a core; elsewhere it
/// says so on standard error and nothing happens.
pub fn pin(pid: u32, core: usize) {
    let arguments = ["-a", "-c", "-p", &core.to_string(), &pid.to_string()];
    let pinned = Command::new("taskset").args(arguments).stdout(Stdio::null()).status();
    if !pinned.is_ok_and(|status| status.success()) {
        eprintln!("process {pid} is not bound to core {core}");
    }
}

/// Reads `utime` and `stime` of `/proc/<pid>/stat`, fields 14 and 15 of proc(5), and `VmRSS` of `status`.
fn from_proc(stat: &str, status: &str) -> Option<Usage> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let cpu = Duration::from_millis((ticks()? + ticks()?) * 1_000 / TICKS_PER_SECOND);
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = rss.split_whitespace().next()?.parse().ok()?;
    Some(Usage { cpu, rss_bytes: kibibytes * 1_024 })
}

/// Reads `[hh:]mm:ss[.cc]` and kibibytes.
fn from_ps(line: &str) -> Option<Usage> {
    let mut words = line.split_whitespace();
    let (time, kibibytes) = (words.next()?, words.next()?.parse::<u64>().ok()?);
    let mut seconds = 0.0;
    for part in time.split(':') {
        seconds = seconds * 60.0 + part.parse::<f64>().ok()?;
    }
    Some(Usage { cpu: Duration::from_secs_f64(seconds), rss_bytes: kibibytes * 1_024 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_linux_and_ps() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 9 0 1 1 1";
        let usage = from_proc(stat, "Name:\ta\nVmRSS:\t  2048 kB\n").unwrap();
        assert_eq!(usage, Usage { cpu: Duration::from_secs(3), rss_bytes: 2_097_152 });
        let usage = from_ps("  1:02.50  2048\n").unwrap();
        assert_eq!(usage, Usage { cpu: Duration::from_millis(62_500), rss_bytes: 2_097_152 });
        assert_eq!(from_ps(""), None);
    }

    #[test]
    fn knows_what_this_process_uses() {
        assert!(Usage::own().unwrap().rss_bytes > 100_000);
    }
}
