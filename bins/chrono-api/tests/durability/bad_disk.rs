//! Disks that fail under a running gateway: syncs of the database itself that fail, and no room.
//!
//! The tracer fails the calls of the one file that is meant, which it cannot do and show the others as well: so what
//! is left is judged by the ledger and a next start, and not by the disks that a loss of power leaves.

#[cfg(not(target_os = "linux"))]
#[test]
fn calls_of_one_file_are_failed_on_linux_only() {
    println!("not checked here: disks that fail; strace runs on Linux only");
}

#[cfg(target_os = "linux")]
mod linux;
