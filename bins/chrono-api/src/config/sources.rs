//! Where settings come from, and which one wins.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::fault::SettingFault;
use super::settings::{SETTINGS, Setting};

/// Where a value comes from; the later one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The table's default.
    Default,
    /// The file of `--config`.
    File,
    /// The environment.
    Environment,
    /// A flag of the command line.
    Flag,
}

impl Origin {
    /// Gives the word used when the configuration is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "environment",
            Self::Flag => "flag",
        }
    }
}

/// A setting's text and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The text.
    pub text: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// All texts that were found, before they are checked.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    values: BTreeMap<&'static str, Value>,
    /// What could not even be read: an unknown key in the file, a secret's file that is not there.
    pub faults: Vec<SettingFault>,
}

impl Sources {
    /// Starts from the table's defaults.
    pub fn defaults() -> Self {
        let mut sources = Self::default();
        for setting in SETTINGS {
            if let Some(text) = setting.default {
                sources.put(setting, text.to_owned(), Origin::Default);
            }
        }
        sources
    }

    /// Takes a TOML file in; its keys are the settings in lower case.
    #[must_use]
    pub fn with_file(mut self, path: &Path) -> Self {
        let shown = path.display().to_string();
        let table =
            fs::read_to_string(path).map_err(|broken| broken.to_string()).and_then(|text| {
                text.parse::<toml::Table>().map_err(|broken| broken.message().to_owned())
            });
        match table {
            Ok(table) => {
                table.into_iter().for_each(|(key, value)| self.put_file_entry(&key, &value));
            }
            Err(reason) => {
                self.fault("--config", Some(shown), format!("a readable TOML file ({reason})"));
            }
        }
        self
    }

    /// Takes the process's environment in, with the `NAME_FILE` form of secrets.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
    pub fn with_environment(self) -> Self {
        self.with_variables(|name| std::env::var(name).ok())
    }

    /// Takes variables in, with the `NAME_FILE` form of secrets; an empty one counts as not set.
    #[must_use]
    pub fn with_variables(mut self, lookup: impl Fn(&str) -> Option<String>) -> Self {
        for setting in SETTINGS {
            let found = lookup(setting.name).filter(|text| !text.is_empty());
            let file = setting.secret.then(|| lookup(&format!("{}_FILE", setting.name))).flatten();
            match (found, file) {
                (Some(text), _) => self.put(setting, text, Origin::Environment),
                (None, Some(path)) => match fs::read_to_string(&path) {
                    Ok(text) => self.put(setting, text.trim().to_owned(), Origin::Environment),
                    Err(broken) => {
                        let expected = format!("a readable file ({broken})");
                        self.fault(&format!("{}_FILE", setting.name), Some(path), expected);
                    }
                },
                (None, None) => {}
            }
        }
        self
    }

    /// Takes a flag's value in.
    #[must_use]
    pub fn with_flag(mut self, name: &str, text: &str) -> Self {
        if let Some(setting) = find(name) {
            self.put(setting, text.to_owned(), Origin::Flag);
        }
        self
    }

    /// Forgets a setting, whoever set it.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.values.remove(name);
        self
    }

    /// Gives a setting's value; none when nothing sets it.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    fn put_file_entry(&mut self, key: &str, value: &toml::Value) {
        let Some(setting) =
            find(&key.to_ascii_uppercase()).filter(|_| key == key.to_ascii_lowercase())
        else {
            self.fault(
                key,
                None,
                "a known setting in lower case, such as port = 3001; see `chrono-api config`"
                    .to_owned(),
            );
            return;
        };
        let text = match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(truth) => truth.to_string(),
            _ => {
                self.fault(key, None, "a string, a whole number, true or false".to_owned());
                return;
            }
        };
        self.put(setting, text, Origin::File);
    }

    fn put(&mut self, setting: &Setting, text: String, origin: Origin) {
        if self.values.get(setting.name).is_none_or(|held| held.origin <= origin) {
            self.values.insert(setting.name, Value { text, origin });
        }
    }

    fn fault(&mut self, name: &str, received: Option<String>, expected: String) {
        self.faults.push(SettingFault { name: name.to_owned(), received, expected });
    }
}

/// Gives the flag of a setting, without its dashes: `RATE_LIMIT_INTERNAL` is `rate-limit-internal`.
pub fn flag_name(setting: &Setting) -> String {
    setting.name.trim_start_matches("CHRONO_").to_ascii_lowercase().replace('_', "-")
}

fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}
