//! Where recordings are: files, directories, standard input; plain or compressed.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use indicatif::ProgressBar;

use crate::WorkerError;

/// Longest line taken; the gateway takes 4 KiB of metadata.
const LINE_BYTES_MAX: u64 = 64 << 10;
/// How every gzip stream starts (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// What standard input is called.
const STDIN: &str = "-";

/// One recording.
#[derive(Debug, Clone)]
pub(super) struct Input {
    path: PathBuf,
    bytes: u64,
}

/// A line, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The buffer holds it, perhaps with its line break.
    Text,
    /// It is longer than any tick; the rest of it was passed over.
    TooLong,
    /// The recording is over.
    End,
}

/// Finds the recordings that paths name; directories are searched, sorted by path.
pub(super) fn expand(paths: &[PathBuf]) -> Result<Vec<Input>, WorkerError> {
    let mut inputs = Vec::new();
    for path in paths {
        if path.as_os_str() == STDIN {
            inputs.push(Input { path: path.clone(), bytes: 0 });
            continue;
        }
        let metadata = fs::metadata(path).map_err(|source| unreadable(path, source))?;
        if metadata.is_dir() {
            search(path, &mut inputs)?;
        } else {
            inputs.push(Input { path: path.clone(), bytes: metadata.len() });
        }
    }
    if inputs.is_empty() {
        let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(WorkerError::NoInput(paths.join(", ")));
    }
    Ok(inputs)
}

/// Does not follow links to directories, so it ends.
fn search(dir: &Path, inputs: &mut Vec<Input>) -> Result<(), WorkerError> {
    let failed = |source| unreadable(dir, source);
    let entries: Result<Vec<_>, _> = fs::read_dir(dir).map_err(failed)?.collect();
    let mut entries = entries.map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if entry.file_type().map_err(failed)?.is_dir() {
            search(&path, inputs)?;
        } else if is_recording(&path) {
            let bytes = fs::metadata(&path).map_err(|source| unreadable(&path, source))?.len();
            inputs.push(Input { path, bytes });
        }
    }
    Ok(())
}

fn is_recording(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".ndjson") || name.ends_with(".ndjson.gz")
}

fn unreadable(path: &Path, source: io::Error) -> WorkerError {
    WorkerError::Read { place: path.display().to_string(), source }
}

impl Input {
    /// Gives the path as it was given, for people.
    pub(super) fn label(&self) -> String {
        self.path.display().to_string()
    }

    /// Gives what names the file in idempotency keys: its path from the root, however it was spelled.
    pub(super) fn identity(&self) -> PathBuf {
        let path = if self.is_stdin() { None } else { fs::canonicalize(&self.path).ok() };
        path.unwrap_or_else(|| self.path.clone())
    }

    /// Names a line.
    pub(super) fn place(&self, line: u64) -> String {
        format!("{}:{line}", self.path.display())
    }

    /// Gives the size on disk, in bytes; 0 for standard input.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn is_stdin(&self) -> bool {
        self.path.as_os_str() == STDIN
    }

    /// Opens it, uncompressing what starts like gzip; `progress` counts the bytes read.
    pub(super) fn open(&self, progress: &ProgressBar) -> Result<Box<dyn BufRead>, WorkerError> {
        let failed = |source| unreadable(&self.path, source);
        let source: Box<dyn Read> = if self.is_stdin() {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(&self.path).map_err(failed)?)
        };
        let mut source = BufReader::new(progress.wrap_read(source));
        let compressed = source.fill_buf().map_err(failed)?.starts_with(&GZIP_MAGIC);
        Ok(if compressed {
            Box::new(BufReader::new(MultiGzDecoder::new(source)))
        } else {
            Box::new(source)
        })
    }
}

/// Reads the next line into `buffer`, which never grows beyond the longest line.
pub(super) fn read_line(source: &mut dyn BufRead, buffer: &mut Vec<u8>) -> io::Result<Line> {
    buffer.clear();
    if source.take(LINE_BYTES_MAX + 1).read_until(b'\n', buffer)? == 0 {
        return Ok(Line::End);
    }
    if buffer.ends_with(b"\n") || buffer.len() <= usize::try_from(LINE_BYTES_MAX).unwrap_or(0) {
        return Ok(Line::Text);
    }
    source.skip_until(b'\n')?;
    Ok(Line::TooLong)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn lines(input: &Input) -> Vec<String> {
        let mut source = input.open(&ProgressBar::hidden()).unwrap();
        let mut buffer = Vec::new();
        let mut lines = Vec::new();
        while read_line(source.as_mut(), &mut buffer).unwrap() != Line::End {
            lines.push(String::from_utf8(buffer.clone()).unwrap());
        }
        lines
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn searches_directories_in_order_and_takes_recordings_only() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("b")).unwrap();
        for name in ["c.ndjson", "b/x.ndjson.gz", "a.ndjson.gz", "README.md", "b/y.json"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let inputs = expand(&[dir.path().to_owned()]).unwrap();
        let prefix = format!("{}/", dir.path().display());
        let found: Vec<String> =
            inputs.iter().map(|input| input.label().replace(&prefix, "")).collect();
        assert_eq!(found, ["a.ndjson.gz", "b/x.ndjson.gz", "c.ndjson"]);
    }

    #[test]
    fn takes_files_of_any_name_and_says_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ticks.txt");
        fs::write(&path, "").unwrap();
        assert_eq!(expand(&[path, PathBuf::from("-")]).unwrap().len(), 2);
        assert!(matches!(expand(&[dir.path().to_owned()]), Err(WorkerError::NoInput(_))));
        let missing = expand(&[dir.path().join("none")]);
        assert!(matches!(missing, Err(WorkerError::Read { .. })));
    }

    #[test]
    fn tells_gzip_by_its_content_also_of_several_members() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        for content in [b"a\nb\nc".to_vec(), gzip("a\nb\nc"), [gzip("a\nb"), gzip("\nc")].concat()]
        {
            let bytes = content.len() as u64;
            fs::write(&path, content).unwrap();
            let input = Input { path: path.clone(), bytes };
            assert_eq!(lines(&input), ["a\n", "b\n", "c"]);
        }
    }

    #[test]
    fn passes_over_an_endless_line_in_bounded_memory() {
        let longest = "x".repeat(64 << 10);
        let text = format!("{longest}\n{longest}x\n{longest}{longest}{longest}\nb\n{longest}x");
        let mut source = text.as_bytes();
        let mut buffer = Vec::new();
        let mut read = Vec::new();
        loop {
            let line = read_line(&mut source, &mut buffer).unwrap();
            assert!(buffer.len() <= (64 << 10) + 1);
            if line == Line::End {
                break;
            }
            read.push((line, buffer.len()));
        }
        let kinds: Vec<bool> = read.iter().map(|(line, _)| *line == Line::Text).collect();
        assert_eq!(kinds, [true, false, false, true, false]);
    }

    #[test]
    fn a_cut_off_archive_is_an_error() {
        let mut cut = gzip(&"abc\n".repeat(10_000));
        cut.truncate(cut.len() / 2);
        let mut source = BufReader::new(MultiGzDecoder::new(cut.as_slice()));
        let mut buffer = Vec::new();
        let fault = loop {
            match read_line(&mut source, &mut buffer) {
                Ok(Line::End) => panic!("took a cut archive for a whole one"),
                Ok(_) => {}
                Err(fault) => break fault,
            }
        };
        assert_eq!(fault.kind(), io::ErrorKind::UnexpectedEof);
    }
}
