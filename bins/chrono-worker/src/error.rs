//! Why a worker stops.

use std::io;

use chrono_client::ClientError;
use chrono_domain::NameError;
use tokio::task::JoinError;

/// Says why a worker could not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// A file or directory cannot be read, or breaks off.
    #[error("cannot read {place}")]
    Read {
        /// The path, with the line where there is one.
        place: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The paths hold no recording.
    #[error("no .ndjson or .ndjson.gz file in {0}")]
    NoInput(String),
    /// Shifting needs the last timestamp first, which a stream that is read once cannot give.
    #[error("timestamps of standard input cannot be shifted: give files")]
    ShiftOfStdin,
    /// A line is no tick, and the worker was told to be strict.
    #[error("{place}: {reason}")]
    Unreadable {
        /// File and line.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The gateway refuses for good, or was gone for longer than the retries last.
    #[error("cannot post {place}")]
    Gateway {
        /// What was posted.
        place: String,
        /// What the gateway says.
        #[source]
        source: ClientError,
    },
    /// A simulated exchange has no usable name.
    #[error("cannot name an exchange")]
    Name(#[from] NameError),
    /// The reading thread broke off.
    #[error("reading broke off")]
    Reader(#[source] JoinError),
}
