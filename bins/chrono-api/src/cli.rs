//! The command line: commands, and a flag for every setting that is no secret.

mod reading;

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{SETTINGS, Setting, Sources, flag_name};
use crate::demo;
pub use reading::{ExportRequest, SqlRequest};

/// The flag that names a file of settings.
const CONFIG: &str = "config";
/// The only setting that commands beside the gateway need.
const STORE_SETTING: &str = "CHRONO_DATA_DIR";

/// What the command line asks for.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// What to do.
    pub action: Action,
    /// The settings as they were found.
    pub sources: Sources,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Run the gateway.
    Serve,
    /// Run the gateway with simulated exchanges.
    Demo,
    /// Print the effective configuration, or the example file.
    ShowConfig(Shown),
    /// Work on API keys.
    Keys(KeysAction),
    /// Bring the store's schema up to date, or only look.
    Migrate(Migration),
    /// Answer a statement about what is stored.
    Sql(SqlRequest),
    /// Write what is stored.
    Export(ExportRequest),
}

/// Which configuration to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// What is in force.
    Effective,
    /// The commented example.
    Example,
}

/// How far to go with a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migration {
    /// Apply what is missing.
    Apply,
    /// Only say what is missing.
    Check,
}

/// What to do with API keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeysAction {
    /// Make a key and print it once.
    Create {
        /// `public`, `internal` or `admin`.
        role: String,
        /// `free` or `paid`.
        tier: Option<String>,
        /// Whose key it is.
        client: String,
        /// Days until it ends.
        days: Option<u32>,
    },
    /// Print every key without its secret.
    List,
    /// Make a second live key for the client of this one.
    Rotate {
        /// The key's id.
        id: String,
        /// Days until the new key ends.
        days: Option<u32>,
    },
    /// End a key.
    Revoke {
        /// The key's id.
        id: String,
    },
}

/// Gives the command line's grammar.
///
/// Every setting may stand before a command; the help of a command shows those that it heeds.
pub fn command() -> Command {
    let before = settings().chain([config_file()]).map(|flag| flag.hide(true));
    Command::new("chrono-api")
        .about("A self-hosted gateway for market prices")
        .version(env!("CARGO_PKG_VERSION"))
        .args(before)
        .after_help(
            "Without a command it serves. Settings are flags, too: see `chrono-api serve --help`.",
        )
        .subcommand(
            Command::new("serve")
                .about("Run the gateway (the default)")
                .arg(config_file())
                .args(settings()),
        )
        .subcommand(
            Command::new("demo")
                .about("Run the gateway with three simulated exchanges on a store of its own")
                .arg(config_file())
                .args(demo_settings()),
        )
        .subcommand(
            Command::new("config")
                .about("Print the effective settings, secrets masked")
                .arg(
                    Arg::new("example")
                        .long("example")
                        .action(ArgAction::SetTrue)
                        .help("Print .env.example in place of them"),
                )
                .arg(config_file())
                .args(settings()),
        )
        .subcommand(reading::sql_command().args(store_flags()))
        .subcommand(reading::export_command().args(store_flags()))
        .subcommand(keys_command().args(store_flags().map(|flag| flag.global(true))))
        .subcommand(
            Command::new("migrate")
                .about("Bring the store's schema up to date")
                .arg(
                    Arg::new("check")
                        .long("check")
                        .action(ArgAction::SetTrue)
                        .help("Only say what is missing; exit 1 if anything"),
                )
                .args(store_flags()),
        )
}

fn config_file() -> Arg {
    let help =
        "Read settings from a TOML file, their names in lower case: port = 3001 for PORT=3001";
    Arg::new(CONFIG).long(CONFIG).value_name("FILE").help(help)
}

/// Gives a flag for every setting that is no secret.
fn settings() -> impl Iterator<Item = Arg> {
    plain_settings().map(|setting| flag_of(setting, setting.default))
}

/// Gives those of the demo, which has some defaults of its own and no TLS.
fn demo_settings() -> impl Iterator<Item = Arg> {
    plain_settings().map(|setting| {
        let own = demo::DEFAULTS.iter().find(|(name, _)| *name == setting.name);
        let default = own.map(|(_, default)| *default).or(setting.default);
        flag_of(setting, default).hide(demo::TLS.contains(&setting.name))
    })
}

fn plain_settings() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| !setting.secret)
}

fn flag_of(setting: &'static Setting, default: Option<&str>) -> Arg {
    let default = default.map(|text| format!(" [default {text}]")).unwrap_or_default();
    Arg::new(setting.name)
        .long(flag_name(setting))
        .value_name("VALUE")
        .help(format!("{}{default} [env {}]", setting.help, setting.name))
        .help_heading("Settings")
}

fn store_flags() -> impl Iterator<Item = Arg> {
    settings().filter(|flag| flag.get_id() == STORE_SETTING).chain([config_file()])
}

fn keys_command() -> Command {
    let id = || {
        Arg::new("id").required(true).value_name("ID").help("The key's id, as `keys list` shows it")
    };
    let days = |help: &'static str| {
        let range = clap::value_parser!(u32).range(1..);
        Arg::new("days").long("days").value_name("N").value_parser(range).help(help)
    };
    Command::new("keys")
        .about("Work on API keys; a running gateway follows within 5 s")
        .subcommand_required(true)
        .subcommand(
            Command::new("create")
                .about("Make a key and print it, once")
                .arg(
                    Arg::new("role")
                        .long("role")
                        .required(true)
                        .value_parser(["public", "internal", "admin"])
                        .help("What it may do"),
                )
                .arg(
                    Arg::new("tier")
                        .long("tier")
                        .value_parser(["free", "paid"])
                        .help("How often a public key may ask"),
                )
                .arg(
                    Arg::new("client")
                        .long("client")
                        .required(true)
                        .value_name("NAME")
                        .help("Whose key it is"),
                )
                .arg(days("Days until it ends; unset never")),
        )
        .subcommand(Command::new("list").about("Print every key, without secrets"))
        .subcommand(
            Command::new("rotate")
                .about("Make a second live key for the same client, and print it, once")
                .arg(id())
                .arg(days("Days until it ends; unset as long as the old one was made for")),
        )
        .subcommand(Command::new("revoke").about("End a key and its open streams").arg(id()))
}

/// Reads a parsed command line, the environment and the file.
pub fn invocation(matches: &ArgMatches) -> Invocation {
    let mut sources = Sources::defaults();
    if let Some(file) = flag(matches, CONFIG) {
        sources = sources.with_file(&PathBuf::from(file));
    }
    sources = sources.with_environment();
    for setting in SETTINGS.iter().filter(|setting| !setting.secret) {
        if let Some(text) = flag(matches, setting.name) {
            sources = sources.with_flag(setting.name, text);
        }
    }
    Invocation { action: action(matches), sources }
}

/// Gives a flag's value; behind a command it wins over before it.
fn flag<'m>(matches: &'m ArgMatches, name: &str) -> Option<&'m String> {
    let behind = matches.subcommand().and_then(|(_, found)| flag(found, name));
    // Not every command knows every flag.
    behind.or_else(|| matches.try_get_one(name).ok().flatten())
}

fn action(matches: &ArgMatches) -> Action {
    match matches.subcommand() {
        Some(("demo", _)) => Action::Demo,
        Some(("config", found)) if found.get_flag("example") => Action::ShowConfig(Shown::Example),
        Some(("config", _)) => Action::ShowConfig(Shown::Effective),
        Some(("keys", found)) => Action::Keys(keys_action(found)),
        Some(("migrate", found)) if found.get_flag("check") => Action::Migrate(Migration::Check),
        Some(("migrate", _)) => Action::Migrate(Migration::Apply),
        Some(("sql", found)) => Action::Sql(reading::sql_request(found)),
        Some(("export", found)) => Action::Export(reading::export_request(found)),
        _ => Action::Serve,
    }
}

fn keys_action(matches: &ArgMatches) -> KeysAction {
    let text = |found: &ArgMatches, name: &str| found.get_one::<String>(name).cloned();
    match matches.subcommand() {
        Some(("create", found)) => KeysAction::Create {
            role: text(found, "role").unwrap_or_default(),
            tier: text(found, "tier"),
            client: text(found, "client").unwrap_or_default(),
            days: found.get_one::<u32>("days").copied(),
        },
        Some(("rotate", found)) => KeysAction::Rotate {
            id: text(found, "id").unwrap_or_default(),
            days: found.get_one::<u32>("days").copied(),
        },
        Some(("revoke", found)) => KeysAction::Revoke { id: text(found, "id").unwrap_or_default() },
        _ => KeysAction::List,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn a_flag_may_stand_before_or_after_the_command() {
        for line in [["chrono-api", "--port", "5", "demo"], ["chrono-api", "demo", "--port", "5"]] {
            let found = invocation(&command().try_get_matches_from(line).unwrap());
            assert_eq!(found.action, Action::Demo);
            assert_eq!(found.sources.get("PORT").unwrap().text, "5");
        }
    }

    #[test]
    fn a_flag_behind_the_command_wins() {
        let line = ["chrono-api", "--data-dir", "a", "keys", "list", "--data-dir", "b"];
        let found = invocation(&command().try_get_matches_from(line).unwrap());
        assert_eq!(found.sources.get("CHRONO_DATA_DIR").unwrap().text, "b");
    }

    #[test]
    fn the_help_of_a_command_shows_the_settings_that_it_heeds() {
        let settings = |words: &[&str]| {
            let line = ["chrono-api"].iter().chain(words).chain(&["--help"]);
            let help = command().try_get_matches_from(line).unwrap_err().to_string();
            help.matches("[env ").count()
        };
        let all = SETTINGS.iter().filter(|setting| !setting.secret).count();
        for gateway in ["serve", "config"] {
            assert_eq!(settings(&[gateway]), all, "{gateway}");
        }
        assert_eq!(settings(&["demo"]), all - demo::TLS.len());
        for store in [
            &["keys"][..],
            &["keys", "create"],
            &["keys", "list"],
            &["migrate"],
            &["sql"],
            &["export"],
        ] {
            assert_eq!(settings(store), 1, "{store:?}");
        }
        assert_eq!(settings(&[]), 0);
    }

    #[test]
    fn the_help_shows_defaults_and_the_demos_own() {
        for (name, host) in [("serve", "0.0.0.0"), ("demo", "127.0.0.1")] {
            let line = ["chrono-api", name, "--help"];
            let help = command().try_get_matches_from(line).unwrap_err().to_string();
            assert!(help.contains(&format!("[default {host}] [env HOST]")), "{help}");
            assert!(help.contains("[default 3000] [env PORT]"), "{help}");
        }
    }

    #[test]
    fn a_secret_is_no_flag() {
        assert!(command().try_get_matches_from(["chrono-api", "--admin-api-keys", "x"]).is_err());
    }
}
