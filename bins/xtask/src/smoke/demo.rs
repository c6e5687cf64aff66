//! The demo's process: started in an empty directory, its output in files, ended in any case.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::{env, process};

use anyhow::{Context as _, bail};

use super::Look;
use crate::command;
use crate::workspace::Workspace;

/// A running demo.
pub(super) struct Demo {
    child: Child,
    home: PathBuf,
}

/// Where to knock, and with which key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Door {
    /// On 127.0.0.1.
    pub(super) port: u16,
    /// A public key.
    pub(super) key: String,
}

impl Demo {
    /// Starts README's command with a port and a directory of its own.
    pub(super) fn start(workspace: &Workspace) -> anyhow::Result<Self> {
        let home = env::temp_dir().join(format!("chrono-smoke-{}", process::id()));
        fs::create_dir_all(&home)?;
        // Bound and given back: free unless somebody takes it within a moment.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port().to_string();
        let manifest = workspace.root().join("Cargo.toml");
        let mut cargo = workspace.cargo(["run", "--release", "--locked", "--manifest-path"]);
        cargo.arg(manifest).args(["--", "demo", "--port", &port, "--data-dir"]).arg("data");
        let child = cargo
            .current_dir(&home)
            .stdin(Stdio::null())
            .stdout(File::create(home.join("stdout"))?)
            .stderr(File::create(home.join("stderr"))?)
            .spawn()
            .context("cannot run cargo")?;
        Ok(Self { child, home })
    }

    /// The address and the key, as soon as both are printed.
    pub(super) fn door(&mut self) -> anyhow::Result<Look<Door>> {
        match find_door(&self.printed("stdout")) {
            Some(door) => Ok(Look::Seen(door)),
            None => self.alive_until(false).map(|_| Look::NotYet),
        }
    }

    /// Passes `reached` on, but a demo that has ended will never get there.
    pub(super) fn alive_until(&mut self, reached: bool) -> anyhow::Result<Look<()>> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the demo ended with {status}");
        }
        Ok(reached.then_some(()).into())
    }

    /// Sends SIGTERM. Cargo has replaced itself by the program it ran, so its id is the demo's.
    pub(super) fn terminate(&self) -> anyhow::Result<()> {
        let id = self.child.id().to_string();
        command::output_of(Command::new("kill").args(["-TERM", &id])).map(|_| ())
    }

    /// How the process ended, once it has.
    pub(super) fn exit_status(&mut self) -> anyhow::Result<Look<ExitStatus>> {
        Ok(self.child.try_wait()?.into())
    }

    /// What is in the file so far; the last character may be there in part.
    fn printed(&self, name: &str) -> String {
        let bytes = fs::read(self.home.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The last lines of what it printed.
    pub(super) fn said(&self) -> String {
        let tail = |name: &str| {
            let text = self.printed(name);
            let skipped = text.lines().count().saturating_sub(40);
            let lines: Vec<_> = text.lines().skip(skipped).collect();
            format!("-- the demo's {name}:\n{}", lines.join("\n"))
        };
        format!("{}\n{}", tail("stdout"), tail("stderr"))
    }
}

impl Drop for Demo {
    /// Nothing is left behind, whatever happened; a fault here has nobody to hear it.
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        fs::remove_dir_all(&self.home).ok();
    }
}

/// The first address and the first public key in what the demo printed.
fn find_door(printed: &str) -> Option<Door> {
    let (_, from_port) = printed.split_once("http://127.0.0.1:")?;
    let port = leading(from_port, |letter| letter.is_ascii_digit());
    let at = printed.find("chrono_public_")?;
    let key = leading(printed.get(at..)?, |letter| letter.is_ascii_alphanumeric() || letter == '_');
    // Without what follows them, either may be printed in part only.
    let is_whole = from_port.len() > port.len() && printed.len() > at + key.len();
    if is_whole { Some(Door { port: port.parse().ok()?, key: key.to_owned() }) } else { None }
}

fn leading(text: &str, belongs: impl Fn(char) -> bool) -> &str {
    text.split(|letter| !belongs(letter)).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_address_and_the_key() {
        let printed = "Chrono demo\n  URL  http://127.0.0.1:8123/#key=chrono_public_Ab9_x\n";
        let door = Door { port: 8123, key: "chrono_public_Ab9_x".to_owned() };
        assert_eq!(find_door(printed), Some(door));
    }

    #[test]
    fn half_a_line_is_not_enough() {
        assert_eq!(find_door("URL http://127.0.0.1:81"), None);
        assert_eq!(find_door("URL http://127.0.0.1:8123/#key=chrono_public_Ab"), None);
        assert_eq!(find_door("URL http://127.0.0.1:8123/\n"), None);
    }
}
