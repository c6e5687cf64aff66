//! Precedence, faults and masks.

use super::*;

fn from(variables: &[(&str, &str)]) -> Sources {
    Sources::defaults().with_variables(|name| {
        variables.iter().find(|(held, _)| *held == name).map(|(_, text)| (*text).to_owned())
    })
}

#[test]
fn the_defaults_are_right() {
    let config = load(&Sources::defaults()).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:3000");
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.stream.heartbeat.as_secs(), 30);
}

#[test]
fn the_defaults_of_streams_are_those_of_the_library() {
    use chrono_stream::StreamSettings;

    let config = load(&Sources::defaults()).unwrap();
    assert_eq!(StreamSettings::from(config.stream), StreamSettings::default());
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "port = 1\nlog_level = \"warn\"\nmetrics_enabled = false\n")
        .unwrap();
    let sources = from(&[("PORT", "2"), ("LOG_LEVEL", "debug")])
        .with_file(file.path())
        .with_flag("PORT", "3");
    let config = load(&sources).unwrap();
    assert_eq!(
        (config.listen.port(), config.log.filter.as_str(), config.metrics.enabled),
        (3, "debug", false)
    );
}

#[test]
fn every_fault_is_named_at_once() {
    let sources = from(&[
        ("PORT", "70000"),
        ("RATE_LIMIT_INTERNAL", "many"),
        ("PUBLIC_API_KEYS", "hunter2hunter2hunter2"),
    ]);
    let faults = load(&sources).unwrap_err();
    let names: Vec<_> = faults.0.iter().map(|fault| fault.name.as_str()).collect();
    assert_eq!(names, ["PORT", "PUBLIC_API_KEYS", "RATE_LIMIT_INTERNAL"]);
    assert!(!faults.to_string().contains("hunter2"), "{faults}");
}

#[test]
fn a_log_level_names_a_level() {
    for text in ["info", "WARN", "off", "info,chrono_stream=debug", "chrono_api=trace"] {
        assert_eq!(load(&from(&[("LOG_LEVEL", text)])).unwrap().log.filter, text);
    }
    for text in ["loud", "info,loud", "chrono_api=loud", "chrono_stream"] {
        let faults = load(&from(&[("LOG_LEVEL", text)])).unwrap_err();
        assert!(faults.0.iter().all(|fault| fault.name == "LOG_LEVEL"), "{text}: {faults}");
    }
}

#[test]
fn what_is_not_built_yet_says_so() {
    for name in ["DATABASE_URL", "REDIS_URL"] {
        let faults =
            load(&from(&[(name, "postgresql://user:secret@host/db")])).unwrap_err().to_string();
        assert!(faults.contains("not built yet") && !faults.contains("secret"), "{faults}");
    }
}

#[test]
fn an_unknown_key_in_the_file_is_a_fault() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "prot = 1\nPORT = 1\nhost = [1]\n").unwrap();
    let faults = load(&Sources::defaults().with_file(file.path())).unwrap_err();
    assert_eq!(faults.0.len(), 3);
}

#[test]
fn secrets_are_masked_and_may_come_from_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "chrono_admin_0123456789\n").unwrap();
    let path = file.path().display().to_string();
    let sources = from(&[("ADMIN_API_KEYS_FILE", &path)]);
    assert_eq!(load(&sources).unwrap().keys.len(), 1);
    let shown = effective(&sources);
    assert!(
        shown.contains("ADMIN_API_KEYS=********  # environment") && !shown.contains("0123456789")
    );
}

#[test]
fn the_example_is_a_shell_s_and_sets_the_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let uncommented = example().replace("\n# ", "\n");
    let settings = uncommented.lines().filter(|line| {
        SETTINGS.iter().any(|setting| line.starts_with(&format!("{}=", setting.name)))
    });
    let lines: Vec<&str> = settings.collect();
    assert_eq!(lines.len(), SETTINGS.len());
    std::fs::write(dir.path().join(".env"), lines.join("\n")).unwrap();
    let printed = std::process::Command::new("sh")
        .args(["-c", "set -a; . ./.env; set +a; env"])
        .current_dir(dir.path())
        .env_clear()
        .output()
        .unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let sourced = Sources::defaults().with_variables(|name| {
        printed.lines().find_map(|line| line.strip_prefix(&format!("{name}="))).map(str::to_owned)
    });
    for setting in SETTINGS {
        let held = |sources: &Sources| sources.get(setting.name).map(|value| value.text.clone());
        assert_eq!(held(&sourced), held(&Sources::defaults()), "{}", setting.name);
    }
}

#[test]
fn the_example_file_in_the_repository_is_the_generated_one() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.env.example");
    let held = std::fs::read_to_string(path).unwrap();
    assert_eq!(held, example(), "write it anew with `chrono-api config --example > .env.example`");
}
