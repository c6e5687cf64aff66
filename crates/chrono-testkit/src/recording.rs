//! Recorded ticks and candles: where they are, and what a row holds.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Names the directory of recordings, when it is not beside the repository.
const DIR_VARIABLE: &str = "CHRONO_REAL_DATA";
/// Where the recordings are otherwise, from the repository's root.
const DIR_DEFAULT: &str = "../shared/data";

/// One recorded tick, its numbers as the exchange wrote them: exponents and all.
#[derive(Debug, Clone, Deserialize)]
pub struct TickRow {
    /// `BASE/QUOTE`.
    pub symbol: String,
    /// The price's text.
    pub price: String,
    /// The volume's text; none where the exchange sent none.
    pub volume: Option<String>,
    /// The exchange, with its kind of market where it has several.
    pub source: String,
    /// The exchange's time, RFC 3339, with up to nine decimals.
    pub timestamp: String,
    /// What else the exchange sent; `volume_kind` says what the volume means.
    #[serde(default)]
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

/// One candle as an exchange published it; a running candle has a row per update, and the last one counts.
#[derive(Debug, Clone, Deserialize)]
pub struct CandleRow {
    /// `BASE/QUOTE`.
    pub symbol: String,
    /// The candle's length, such as `1m`.
    pub interval: String,
    /// The bucket's start, RFC 3339.
    pub open_time: String,
    /// First price.
    pub open: String,
    /// Highest price.
    pub high: String,
    /// Lowest price.
    pub low: String,
    /// Last price.
    pub close: String,
    /// Sum of the traded sizes.
    pub volume: String,
    /// The exchange.
    pub source: String,
    /// Number of trades, where published.
    #[serde(default)]
    pub trades: Option<String>,
    /// First trade's number, where published.
    #[serde(default)]
    pub first_id: Option<String>,
    /// Last trade's number, where published.
    #[serde(default)]
    pub last_id: Option<String>,
}

/// Finds the recordings, or says on stderr that they are absent.
pub fn data_dir() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests have no configuration to ask")]
    let named = std::env::var_os(DIR_VARIABLE);
    let dir = named.map_or_else(default_dir, PathBuf::from);
    if dir.is_dir() {
        return Some(dir);
    }
    let line =
        format!("no recordings in {}: set {DIR_VARIABLE} to check against them", dir.display());
    // Not through `eprintln!`, whose output a run without failures does not show; and a closed stderr takes no line.
    drop(writeln!(io::stderr(), "{line}"));
    None
}

fn default_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(DIR_DEFAULT)
}

/// Lists the recordings of ticks below `dir`, sorted by path: `ticks/**/*.ndjson.gz`.
///
/// # Errors
/// When a directory cannot be read.
pub fn tick_files(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.join("ticks")];
    while let Some(dir) = dirs.pop() {
        let entries = fs::read_dir(&dir).with_context(|| dir.display().to_string())?;
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                dirs.push(entry.path());
            } else if entry.file_name().to_string_lossy().ends_with(".ndjson.gz") {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Reads every row of an NDJSON file, which may be compressed (`.gz`).
///
/// # Errors
/// When the file cannot be read, or a row is not what `T` says; the message names the line.
pub fn read_rows<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<T>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let compressed = path.extension().is_some_and(|extension| extension == "gz");
    let bytes: Box<dyn Read> =
        if compressed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let rows = BufReader::new(bytes).lines().enumerate().map(|(index, line)| {
        let place = || format!("{}:{}", path.display(), index + 1);
        serde_json::from_str(&line.with_context(place)?).with_context(place)
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const ROW: &str = r#"{"symbol":"A/B","price":"9.2E-7","volume":null,"source":"s","timestamp":"2021-04-17T16:47:07.940Z","metadata":{"kind":"trade"}}"#;

    #[test]
    fn reads_plain_and_compressed_files_alike() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("a.ndjson");
        fs::write(&plain, format!("{ROW}\n{ROW}\n")).unwrap();
        let packed = dir.path().join("a.ndjson.gz");
        let mut encoder = GzEncoder::new(File::create(&packed).unwrap(), Compression::fast());
        writeln!(encoder, "{ROW}\n{ROW}").unwrap();
        encoder.finish().unwrap();
        for path in [plain, packed] {
            let rows: Vec<TickRow> = read_rows(&path).unwrap();
            let prices: Vec<&str> = rows.iter().map(|row| row.price.as_str()).collect();
            assert_eq!(prices, ["9.2E-7", "9.2E-7"]);
        }
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ndjson");
        fs::write(&path, format!("{ROW}\n{{}}\n")).unwrap();
        let fault = read_rows::<TickRow>(&path).unwrap_err().to_string();
        assert!(fault.ends_with("a.ndjson:2"), "{fault}");
    }

    #[test]
    fn a_run_that_passes_without_recordings_says_so() {
        let mut run = Command::new(std::env::current_exe().unwrap());
        run.args(["--exact", "recording::tests::every_recorded_row_reads"]);
        let ended = run.env(DIR_VARIABLE, "/nowhere").output().unwrap();
        let (said, outcome) =
            (String::from_utf8_lossy(&ended.stderr), String::from_utf8_lossy(&ended.stdout));
        assert!(ended.status.success() && outcome.contains("1 passed"), "{outcome}");
        let line = "no recordings in /nowhere: set CHRONO_REAL_DATA to check against them\n";
        assert!(said.contains(line), "{said}");
    }

    #[test]
    fn every_recorded_row_reads() {
        let Some(dir) = data_dir() else { return };
        let files = tick_files(&dir).unwrap();
        let rows: usize = files.iter().map(|file| read_rows::<TickRow>(file).unwrap().len()).sum();
        assert_eq!((files.len(), rows), (31, 23_803));
        let candles = dir.join("candles/binance-2021-04-04/candles.ndjson.gz");
        assert_eq!(read_rows::<CandleRow>(&candles).unwrap().len(), 118);
    }
}
