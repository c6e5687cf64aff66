//! The machine, the toolchain and the commit that figures belong to.

use std::process::Command;
use std::{fmt, fs, thread};

use crate::command;
use crate::workspace::Workspace;

/// What a figure is worth nothing without; what cannot be found out is left empty.
#[derive(Debug, Default)]
pub(super) struct Machine {
    processor: String,
    cores: usize,
    system: String,
    rustc: String,
    commit: String,
}

impl Machine {
    /// The machine this runs on.
    pub(super) fn here(workspace: &Workspace) -> Self {
        let ask = |program: &str, args: &[&str]| {
            let mut question = Command::new(program);
            let answer = command::output_of(question.args(args).current_dir(workspace.root()));
            answer.unwrap_or_default().trim().to_owned()
        };
        let mut commit = ask("git", &["rev-parse", "--short=12", "HEAD"]);
        if !ask("git", &["status", "--porcelain"]).is_empty() {
            commit.push_str(" with changes");
        }
        Self {
            processor: processor()
                .unwrap_or_else(|| ask("sysctl", &["-n", "machdep.cpu.brand_string"])),
            cores: thread::available_parallelism().map_or(0, usize::from),
            system: ask("uname", &["-srm"]),
            rustc: ask("rustc", &["--version"]),
            commit,
        }
    }
}

/// The processor's name where Linux tells it.
fn processor() -> Option<String> {
    model_name(&fs::read_to_string("/proc/cpuinfo").ok()?)
}

fn model_name(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "- Processor: {}, {} cores", self.processor, self.cores)?;
        writeln!(f, "- System: {}", self.system)?;
        writeln!(f, "- Compiler: {}", self.rustc)?;
        writeln!(f, "- Commit: {}", self.commit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_processor_of_linux() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU @ 2.60GHz\nprocessor\t: 1\n";
        assert_eq!(model_name(cpuinfo).as_deref(), Some("Some CPU @ 2.60GHz"));
        assert_eq!(model_name("BogoMIPS: 1\n"), None);
    }

    #[test]
    fn knows_the_compiler_and_the_cores() {
        let machine = Machine::here(&Workspace::find().unwrap());
        assert!(machine.rustc.starts_with("rustc "), "{machine}");
        assert!(machine.cores > 0, "{machine}");
    }
}
