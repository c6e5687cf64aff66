//! Running other programs: what is typed is shown, and a failure names it.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// Runs a command with its output on the terminal.
///
/// # Errors
/// When it cannot be started, or ends with anything but success.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    println!("$ {}", shown(command));
    let status = command.status().with_context(|| format!("cannot run {}", shown(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs a command and hands each line of its standard output to `line`, which may print it.
///
/// Answers whether the command succeeded: a test run that fails still has counts to read.
///
/// # Errors
/// When it cannot be started or read.
pub fn run_by_line(command: &mut Command, mut line: impl FnMut(&str)) -> anyhow::Result<bool> {
    println!("$ {}", shown(command));
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", shown(command)))?;
    let output = child.stdout.take().context("a piped output")?;
    for text in BufReader::new(output).split(b'\n') {
        line(String::from_utf8_lossy(&text?).trim_end_matches('\r'));
    }
    Ok(child.wait()?.success())
}

/// Runs a command quietly and gives its standard output.
///
/// # Errors
/// When it cannot be started, fails (with what it wrote on standard error), or prints no UTF-8.
pub fn output_of(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot run {}", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}: {}", shown(command), output.status, said.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} prints no text", shown(command)))
}

/// Whether a program can be started at all.
pub fn exists(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

/// The command as one would type it, without paths and quotes.
fn shown(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let mut line = program.rsplit('/').next().unwrap_or_default().to_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command() {
        let fault = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert!(fault.to_string().starts_with("sh -c exit 3 ended with"), "{fault}");
    }

    #[test]
    fn reads_the_lines_of_a_command_that_fails() {
        let mut lines = Vec::new();
        let ok =
            run_by_line(Command::new("sh").args(["-c", "echo one; echo two; exit 1"]), |line| {
                lines.push(line.to_owned());
            });
        assert!(!ok.unwrap());
        assert_eq!(lines, ["one", "two"]);
    }

    #[test]
    fn a_missing_program_does_not_exist() {
        assert!(exists("cargo"));
        assert!(!exists("no-program-is-called-this"));
    }
}
