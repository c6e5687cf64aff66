//! The configuration for people: what is in force, and an example to start from.

use super::settings::{SETTINGS, Setting};
use super::sources::Sources;

/// What stands in place of a secret.
const MASK: &str = "********";
/// Width of a line of help in the example.
const LINE_CHARS: usize = 100;

/// Gives the effective settings, one `NAME=value` a line with its origin, secrets masked.
pub fn effective(sources: &Sources) -> String {
    let mut text = String::new();
    for setting in SETTINGS {
        let line = match sources.get(setting.name) {
            Some(value) if setting.secret => {
                format!("{}={MASK}  # {}", setting.name, value.origin.name())
            }
            Some(value) => format!("{}={}  # {}", setting.name, value.text, value.origin.name()),
            None => format!("# {} is not set", setting.name),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// Gives the commented `.env.example`.
pub fn example() -> String {
    let mut text = String::from(
        "# Settings of chrono-api and their defaults. Flags win over the environment, the environment over the file of\n\
         # --config. A secret NAME may also be read from the file that NAME_FILE names. No .env is read by itself; copy\n\
         # this file to .env, take the # from what you set, and load it with: set -a; . ./.env; set +a\n",
    );
    for setting in SETTINGS {
        text.push('\n');
        wrap(&mut text, setting);
        let line = format!("# {}={}\n", setting.name, setting.default.unwrap_or_default());
        text.push_str(&line);
    }
    text
}

fn wrap(text: &mut String, setting: &Setting) {
    let mut line = String::from("#");
    for word in setting.help.split(' ') {
        if line.len() + 1 + word.len() > LINE_CHARS {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}
