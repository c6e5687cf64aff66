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
    /// Load average of the last minute before the run: who else was at work.
    load: String,
    date: String,
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
            load: load(&ask("uptime", &[])).unwrap_or_default(),
            date: ask("date", &["-u", "+%F"]),
        }
    }
}

/// The first figure behind `load average:` or, elsewhere, `load averages:`.
fn load(uptime: &str) -> Option<String> {
    let (_, figures) = uptime.split_once("load average")?.1.split_once(": ")?;
    Some(figures.split([',', ' ']).next()?.to_owned())
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
        let Self { processor, cores, system, rustc, commit, load, date } = self;
        writeln!(f, "{processor}, {cores} cores · {system} · {rustc}")?;
        writeln!(f, "Commit {commit} · {date} · load average before the run {load}")
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
    fn reads_the_load_of_linux_and_others() {
        let linux = " 19:06:44 up  3:28,  0 user,  load average: 2.37, 2.46, 2.36";
        assert_eq!(load(linux).as_deref(), Some("2.37"));
        assert_eq!(load("1:02  up 3 days, load averages: 1.50 1.40 1.30").as_deref(), Some("1.50"));
        assert_eq!(load(""), None);
    }

    #[test]
    fn knows_the_compiler_and_the_cores() {
        let machine = Machine::here(&Workspace::find().unwrap());
        assert!(machine.rustc.starts_with("rustc "), "{machine}");
        assert!(machine.cores > 0, "{machine}");
    }
}
