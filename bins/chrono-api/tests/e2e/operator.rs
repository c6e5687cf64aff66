//! What an operator does: settings, keys beside a running gateway, a look into the store.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use chrono_testkit::{GatewayCommand, PUBLIC_KEY, scratch};

use crate::ask::Answer;
use crate::service::{BINARY, Service};

/// Exit code of a wrong configuration.
pub(crate) const USAGE: i32 = 64;
/// How soon a key that was made or revoked elsewhere must be known.
const FOLLOW: Duration = Duration::from_secs(5);
/// Pause between two looks.
const STEP: Duration = Duration::from_millis(100);

pub(crate) fn run(directory: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.env_clear().env("CHRONO_DATA_DIR", directory).current_dir(directory);
    command.envs(variables.iter().copied()).args(arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs a command that must succeed, and gives what it printed.
fn run_well(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, &[], arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn three_bad_settings_are_named_in_one_exit() {
    let dir = scratch().unwrap();
    let bad = [
        ("PORT", "seventy"),
        ("CONSENSUS_INTERVAL", "-1"),
        ("PUBLIC_API_KEYS", "a_secret_without_prefix"),
    ];
    for arguments in [&[][..], &["serve"], &["config"], &["keys", "list"]] {
        let output = run(dir.path(), &bad, arguments);
        let log = text(&output.stderr);
        assert_eq!(output.status.code(), Some(USAGE), "{arguments:?} {log}");
        assert!(bad.iter().all(|(name, _)| log.contains(name)), "{log}");
        assert!(log.contains("3 bad settings") && log.contains("seventy"), "{log}");
        assert!(!log.contains("a_secret"), "{log}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is touched");
}

#[test]
fn servers_that_are_not_built_yet_are_refused_without_their_secrets() {
    let dir = scratch().unwrap();
    for (name, url, what) in [
        ("DATABASE_URL", "postgres://u:hunter2@db/chrono", "PostgreSQL"),
        ("REDIS_URL", "redis://:hunter2@cache", "Redis"),
    ] {
        let output = run(dir.path(), &[(name, url)], &[]);
        let log = text(&output.stderr);
        assert_eq!(output.status.code(), Some(USAGE), "{log}");
        assert!(log.contains(name) && log.contains(what) && log.contains("not built yet"), "{log}");
        assert!(!log.contains("hunter2"), "{log}");
    }
}

#[test]
fn an_unknown_flag_command_or_file_is_a_usage_error() {
    let dir = scratch().unwrap();
    for arguments in [
        &["--prot", "1"][..],
        &["srve"],
        &["keys"],
        &["keys", "create"],
        &["--config", "none.toml"],
    ] {
        assert_eq!(run(dir.path(), &[], arguments).status.code(), Some(USAGE), "{arguments:?}");
    }
    assert_eq!(run(dir.path(), &[], &["--help"]).status.code(), Some(0));
    assert_eq!(run(dir.path(), &[], &["--version"]).status.code(), Some(0));
}

#[test]
fn the_effective_configuration_masks_secrets_and_names_origins() {
    let dir = scratch().unwrap();
    fs::write(
        dir.path().join("c.toml"),
        "port = 4000\nws_heartbeat_interval = 7000\nlog_level = \"warn\"\n",
    )
    .unwrap();
    let variables = [("PUBLIC_API_KEYS", PUBLIC_KEY), ("PORT", "5000"), ("LOG_LEVEL", "debug")];
    let output =
        run(dir.path(), &variables, &["config", "--config", "c.toml", "--log-level", "error"]);
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for line in [
        "PORT=5000  # environment",
        "LOG_LEVEL=error  # flag",
        "WS_HEARTBEAT_INTERVAL=7000  # file",
        "RATE_LIMIT_PUBLIC_FREE=1000  # default",
        "# DATABASE_URL is not set",
    ] {
        assert!(shown.lines().any(|found| found == line), "{line} in {shown}");
    }
    assert!(shown.contains("PUBLIC_API_KEYS=********") && !shown.contains(PUBLIC_KEY), "{shown}");
}

#[test]
fn a_gateway_without_keys_makes_a_set_and_keeps_it_private() {
    let dir = scratch().unwrap();
    let none = ["INTERNAL_API_KEYS", "PUBLIC_PAID_API_KEYS", "ADMIN_API_KEYS"];
    let command = none
        .iter()
        .fold(GatewayCommand::new(BINARY, dir.path()), |command, name| command.with(name, ""));
    let file = dir.path().join("keys.txt");
    let mut seen = Vec::new();
    for _ in 0..2 {
        let gateway = command.start().unwrap();
        let keys = fs::read_to_string(&file).unwrap();
        let key = |role: &str| {
            keys.lines().find_map(|line| line.strip_prefix(&format!("{role}="))).unwrap().to_owned()
        };
        for (role, path) in [
            ("public", "/metadata/intervals"),
            ("admin", "/metadata/system"),
            ("internal", "/internal/ingest"),
        ] {
            let (method, status) = if role == "internal" { ("POST", 400) } else { ("GET", 200) };
            let answer =
                crate::ask::ask(gateway.url(), method, path, &[("X-API-Key", &key(role))], "");
            assert_eq!(answer.status, status, "{role} {}", answer.body);
        }
        seen.push(keys);
        assert!(gateway.stop().unwrap().success());
    }
    assert_eq!(seen[0], seen[1], "a second start makes no others");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

fn ask_with(service: &Service, key: &str) -> Answer {
    service.ask("GET", "/metadata/intervals", &[("X-API-Key", key)], "")
}

/// Asks until the answer has a status, for no longer than a gateway may take to follow.
fn wait_for(service: &Service, key: &str, status: u16) {
    let mut waited = Duration::ZERO;
    while ask_with(service, key).status != status {
        assert!(waited < FOLLOW, "no {status} within {FOLLOW:?}");
        std::thread::sleep(STEP);
        waited += STEP;
    }
}

#[test]
fn a_running_gateway_follows_keys_that_are_made_and_revoked_beside_it() {
    let service = Service::start();
    let dir = service.data_dir();
    let made = run(
        dir,
        &[],
        &[
            "keys", "create", "--role", "public", "--tier", "paid", "--client", "alice", "--days",
            "30",
        ],
    );
    let key = text(&made.stdout).trim().to_owned();
    assert!(made.status.success() && key.starts_with("chrono_public_"), "{}", text(&made.stderr));
    wait_for(&service, &key, 200);

    let list = run_well(dir, &["keys", "list"]);
    let of_alice: Vec<&str> = list.lines().filter(|line| line.contains("alice")).collect();
    let [line] = of_alice.as_slice() else { panic!("{list}") };
    assert!(line.contains("public") && line.contains("paid") && !list.contains(&key), "{list}");
    let id = line.split_whitespace().next().unwrap();

    // The old key lives on beside the new one, until it is revoked; a third is refused.
    let rotated = run_well(dir, &["keys", "rotate", id]).trim().to_owned();
    assert_ne!(rotated, key);
    wait_for(&service, &rotated, 200);
    assert_eq!(ask_with(&service, &key).status, 200);
    assert_eq!(run(dir, &[], &["keys", "rotate", id]).status.code(), Some(1));

    run_well(dir, &["keys", "revoke", id]);
    wait_for(&service, &key, 401);
    assert_eq!(ask_with(&service, &rotated).status, 200);
    assert_eq!(
        run(dir, &[], &["keys", "revoke", id]).status.code(),
        Some(1),
        "it is revoked already"
    );
    assert_eq!(
        run(dir, &[], &["keys", "create", "--role", "public", "--client", ""]).status.code(),
        Some(1)
    );
    assert_eq!(
        run_well(dir, &["keys", "list"]).lines().filter(|line| line.contains("alice")).count(),
        2
    );

    let service = service.restart();
    assert_eq!((ask_with(&service, &key).status, ask_with(&service, &rotated).status), (401, 200));
}

#[test]
fn a_store_has_one_gateway() {
    let service = Service::start();
    let second = run(service.data_dir(), &[("HOST", "127.0.0.1"), ("PORT", "0")], &[]);
    assert_eq!(second.status.code(), Some(1), "{}", text(&second.stderr));
    assert_eq!(service.ask("GET", "/health/ready", &[], "").status, 200);
}

#[test]
fn the_schema_is_checked_and_brought_up_to_date() {
    let dir = scratch().unwrap();
    let check = run(dir.path(), &[], &["migrate", "--check"]);
    assert_eq!(check.status.code(), Some(1), "{}", text(&check.stdout));
    assert!(run_well(dir.path(), &["migrate"]).starts_with("applied: "));
    assert_eq!(run_well(dir.path(), &["migrate", "--check"]), "the schema is up to date\n");
}
