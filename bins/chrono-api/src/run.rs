//! From the command line to the work, and to an exit code.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use chrono_sql::ReadError;

use crate::cli::{self, Action, Invocation, Shown};
use crate::config::{self, Faults};
use crate::serve::SyncFailed;
use crate::{demo, keys_command, migrate, observe, reading, serve};

/// Exit code of a wrong configuration or command line (`EX_USAGE` of sysexits.h).
const EXIT_USAGE: u8 = 64;
/// Exit code of a gateway whose disk failed to sync (`EX_IOERR`).
const EXIT_DISK: u8 = 74;

/// Runs the command line; what a person or script asked for goes to `out`, logs and errors to standard error.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write) -> ExitCode {
    let matches = match cli::command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(stop) => {
            // A failed print to a closed terminal leaves nobody to tell.
            drop(stop.print());
            return if stop.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let (code, words) = match act(&cli::invocation(&matches), out) {
        Ok(code) => (code, String::new()),
        // Whoever read has seen enough, as `head` does.
        Err(error) if is_closed_pipe(&error) => (ExitCode::SUCCESS, String::new()),
        Err(error) => (exit_code(&error), format!("chrono-api: {error:#}\n")),
    };
    observe::say_last(&words);
    code
}

fn exit_code(error: &anyhow::Error) -> ExitCode {
    let is_asked_wrong = matches!(
        error.downcast_ref::<ReadError>(),
        Some(ReadError::Usage(_) | ReadError::Reversed { .. })
    );
    if is_asked_wrong || error.downcast_ref::<Faults>().is_some() {
        return ExitCode::from(EXIT_USAGE);
    }
    if error.downcast_ref::<SyncFailed>().is_some() {
        return ExitCode::from(EXIT_DISK);
    }
    ExitCode::FAILURE
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<ReadError>().is_some_and(ReadError::is_closed_pipe)
}

fn act(invocation: &Invocation, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let sources = &invocation.sources;
    match &invocation.action {
        Action::ShowConfig(Shown::Example) => out.write_all(config::example().as_bytes())?,
        Action::ShowConfig(Shown::Effective) => {
            config::load(sources)?;
            out.write_all(config::effective(sources).as_bytes())?;
        }
        Action::Serve => {
            let config = config::load(sources)?;
            run_gateway(serve::serve(&config))?;
        }
        Action::Demo => run_gateway(demo::run(sources, out))?,
        Action::Keys(action) => {
            let config = config::load(sources)?;
            runtime()?.block_on(keys_command::run(&config, action, out))?;
        }
        Action::Migrate(migration) => {
            return migrate::run(&config::load(sources)?, *migration, out);
        }
        Action::Sql(request) => reading::query(&config::load(sources)?, request, out)?,
        Action::Export(request) => {
            return reading::export(&config::load(sources)?, request, out);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a gateway; a store that is still being opened does not hold up its end.
fn run_gateway(gateway: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = runtime()?;
    let ended = runtime.block_on(gateway);
    runtime.shutdown_background();
    ended
}

/// Starts what asynchronous work runs on.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
