//! Starts that cannot work: each says what is wrong, soon, and with an exit code that tells a mistake from a fault.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use chrono_domain::{Clock, SystemClock};
use chrono_testkit::{fill, scratch};
use tempfile::TempDir;

use crate::service::{BINARY, Service};

/// How soon a start that cannot work must say so.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// Exit codes: of a fault around the gateway, and of a wrong configuration.
const FAULT: i32 = 1;
const USAGE: i32 = 64;
/// Bytes of a page of the store's file.
const PAGE_BYTES: usize = 4_096;
/// Blocks of 512 bytes, or 1,024 with some shells, that a file may have: too few for the schema.
const FILE_BLOCKS: u32 = 16;

/// Blocks of a file that are enough for the schema, and too few for the ticks of an old database.
const CARRY_BLOCKS: u32 = 256;
const CARRIED: u32 = 2_000;
/// Ticks of an old database that hardly shrink.
const ROWS: &str = "INSERT INTO symbols (name) VALUES ('A/B'); INSERT INTO sources (name) VALUES ('s'); \
    INSERT INTO workers VALUES (1, 'w'); \
    WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2000) \
    INSERT INTO price_ticks SELECT 1, n, n, 1, 1, '1.5', NULL, '{\"n\":\"' || hex(randomblob(400)) || '\"}', n FROM n; \
    UPDATE counters SET next = 2001;";
/// A user without rights.
const NOBODY: u32 = 65_534;

/// Starts a gateway under a shell's command that ends in it; gives its exit code and what it said.
fn start(directory: &Path, shell: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    told(&mut command(directory, shell, variables))
}

fn told(command: &mut Command) -> (Option<i32>, String) {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let ended = end_of(&mut child);
    let said = child.wait_with_output().unwrap().stderr;
    (ended.code(), String::from_utf8(said).unwrap())
}

fn command(directory: &Path, shell: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{shell} exec \"$PROGRAM\"")]).env_clear();
    command
        .env("PROGRAM", BINARY)
        .env("CHRONO_DATA_DIR", directory)
        .env("HOST", "127.0.0.1")
        .env("PORT", "0");
    command.envs(variables.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn end_of(child: &mut Child) -> ExitStatus {
    let clock = SystemClock::new();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if clock.uptime() > TOLD_WITHIN {
            child.kill().unwrap();
            panic!("it runs on, then {}", child.wait().unwrap());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs statements on a file, as any program may.
fn run_sql(file: &Path, statements: &str) {
    let program = "import sqlite3, sys; sqlite3.connect(sys.argv[1], isolation_level=None).executescript(sys.argv[2])";
    let mut python = Command::new("python3");
    assert!(python.args(["-c", program]).arg(file).arg(statements).status().unwrap().success());
}

/// A user whom permissions bind, for whoever is root.
struct Nobody {
    /// The program, where everybody may run it.
    program: TempDir,
}

impl Nobody {
    /// Gives a data directory away, unless its owner is bound by permissions.
    fn if_root(data: &Path) -> Option<Self> {
        if fs::metadata(data).unwrap().uid() != 0 {
            return None;
        }
        let give = |path: &Path| chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        for entry in fs::read_dir(data).unwrap() {
            give(&entry.unwrap().path());
        }
        give(data);
        let program = scratch().unwrap();
        fs::set_permissions(program.path(), Permissions::from_mode(0o755)).unwrap();
        fs::copy(BINARY, program.path().join("chrono-api")).unwrap();
        Some(Self { program })
    }

    fn is_to_run(&self, command: &mut Command) {
        let program = self.program.path().join("chrono-api");
        command.uid(NOBODY).gid(NOBODY).env("PROGRAM", program);
    }
}

fn assert_says(found: &(Option<i32>, String), code: i32, words: &[&str]) {
    let (ended, said) = found;
    assert_eq!(*ended, Some(code), "{said}");
    assert!(words.iter().all(|word| said.contains(word)), "{words:?} in {said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_taken_port_is_named_and_the_store_is_not_touched() {
    let dir = scratch().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, port) = {
        let address = taken.local_addr().unwrap();
        (address.to_string(), address.port().to_string())
    };
    let found = start(dir.path(), "", &[("PORT", &port)]);
    assert_says(&found, FAULT, &[&address, "the port is taken"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let found = start(dir.path(), "", &[("METRICS_ADDR", &address)]);
    assert_says(&found, FAULT, &[&address, "the port is taken"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    // An address for documentation, which no machine has (RFC 5737).
    let found = start(dir.path(), "", &[("METRICS_ADDR", "192.0.2.1:9000")]);
    assert_says(&found, FAULT, &["192.0.2.1:9000", "no such address"]);
}

#[test]
fn a_start_that_cannot_work_ends_while_nobody_reads_what_it_says() {
    let dir = scratch().unwrap();
    let (_unread, written) = UnixStream::pair().unwrap();
    fill(&written).unwrap();
    fs::write(dir.path().join("chrono.db"), "no database ".repeat(1_000)).unwrap();
    for (port, code) in [("70000", USAGE), ("0", FAULT)] {
        let mut command = command(dir.path(), "", &[("PORT", port)]);
        let log = OwnedFd::from(written.try_clone().unwrap());
        let ended = end_of(&mut command.stderr(log).spawn().unwrap());
        assert_eq!(ended.code(), Some(code));
    }
}

#[test]
fn a_directory_that_is_none_is_named() {
    let dir = scratch().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "not a directory").unwrap();
    for directory in [file.clone(), file.join("below")] {
        let found = start(&directory, "", &[]);
        assert_says(&found, FAULT, &[directory.to_str().unwrap()]);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "not a directory");
}

#[test]
fn a_file_that_is_no_database_is_named_and_left_alone() {
    let dir = scratch().unwrap();
    let file = dir.path().join("chrono.db");
    let junk = "no database ".repeat(1_000);
    fs::write(&file, &junk).unwrap();
    let found = start(dir.path(), "", &[]);
    assert_says(&found, FAULT, &["chrono.db", "not a database"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), junk);
}

#[test]
fn a_database_whose_end_is_cut_off_is_named_and_left_alone() {
    let dir = Service::start().stopped();
    let file = dir.path().join("chrono.db");
    let whole = fs::read(&file).unwrap();
    for length in [PAGE_BYTES / 2, whole.len() / 2, whole.len() - PAGE_BYTES] {
        fs::write(&file, &whole[..length]).unwrap();
        let found = start(dir.path(), "", &[]);
        assert_says(&found, FAULT, &["chrono.db", "malformed"]);
        assert_eq!(fs::read(&file).unwrap(), whole[..length]);
    }
}

#[test]
fn a_database_or_a_directory_that_it_may_not_read_or_write_is_named() {
    let dir = Service::start().stopped();
    let nobody = Nobody::if_root(dir.path());
    let file = dir.path().join("chrono.db");
    for (path, mode, fault) in [
        (file.as_path(), 0, "unable to open"),
        (file.as_path(), 0o444, "may not be written"),
        (dir.path(), 0, "Permission denied"),
    ] {
        let allowed = fs::metadata(path).unwrap().permissions();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let mut command = command(dir.path(), "", &[]);
        if let Some(nobody) = &nobody {
            nobody.is_to_run(&mut command);
        }
        let found = told(&mut command);
        fs::set_permissions(path, allowed).unwrap();
        assert_says(&found, FAULT, &[path.to_str().unwrap(), fault]);
    }
    let service = Service::start_in(dir);
    assert_eq!(service.ask("GET", "/health/ready", &[], "").status, 200);
}

#[test]
fn a_database_of_somebody_else_or_of_a_newer_program_is_left_alone() {
    let dir = scratch().unwrap();
    run_sql(&dir.path().join("chrono.db"), "CREATE TABLE theirs (x)");
    assert_says(&start(dir.path(), "", &[]), FAULT, &["chrono.db", "not Chrono's"]);

    let dir = Service::start().stopped();
    let newer = "INSERT INTO schema_migrations SELECT 99, 'newer', checksum, applied_at FROM schema_migrations LIMIT 1";
    run_sql(&dir.path().join("chrono.db"), newer);
    assert_says(&start(dir.path(), "", &[]), FAULT, &["version 99", "start the newer program"]);
}

/// A limit on the size of files stands in for a full disk: both fail the first write that grows a file.
#[test]
fn a_disk_without_room_for_the_schema_is_said() {
    let dir = scratch().unwrap();
    let found = start(dir.path(), &format!("trap '' XFSZ; ulimit -f {FILE_BLOCKS};"), &[]);
    assert_says(&found, FAULT, &["chrono.db"]);
    // With room again it starts as if nothing had been.
    let service = Service::start_in(dir);
    assert_eq!(service.ask("GET", "/health/ready", &[], "").status, 200);
}

#[test]
fn a_disk_without_room_to_carry_an_old_database_over_is_said() {
    let dir = scratch().unwrap();
    let file = dir.path().join("chrono.db");
    let first = chrono_migrations::SQLITE.first().unwrap();
    let applied = format!(
        "CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, \
         checksum TEXT NOT NULL, applied_at TEXT NOT NULL) STRICT; \
         INSERT INTO schema_migrations VALUES (1, '{}', '{:016x}', 'then');",
        first.name, first.checksum
    );
    run_sql(&file, &format!("PRAGMA journal_mode = wal; {}; {applied} {ROWS}", first.sql));
    let found = start(dir.path(), &format!("trap '' XFSZ; ulimit -f {CARRY_BLOCKS};"), &[]);
    assert_says(&found, FAULT, &["chrono.db", "cannot be worked on", "disk I/O error"]);
    assert!(!found.1.contains("cannot be read"), "{}", found.1);
    let service = Service::start_in(dir);
    assert_eq!(service.get("/metadata/system").ok()["store"]["ticks"], CARRIED);
}

#[test]
fn every_bad_setting_is_named_before_anything_is_touched() {
    let dir = scratch().unwrap();
    let bad = [("PORT", "70000"), ("METRICS_ADDR", "here"), ("HTTP_MAX_CONNECTIONS", "0")];
    let found = start(dir.path(), "", &bad);
    assert_says(&found, USAGE, &["PORT", "METRICS_ADDR", "HTTP_MAX_CONNECTIONS", "3 bad settings"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
