//! The lines of an LCOV report: how often each was run.

use std::path::Path;

/// The lines of a file that count.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Measured {
    /// From the root, with `/`.
    pub(super) path: String,
    /// How many there are.
    pub(super) lines: u32,
    /// The numbers of those that no test runs, growing.
    pub(super) uncovered: Vec<u32>,
}

impl Measured {
    /// The uncovered lines, joined to ranges: `3, 7-9`.
    pub(super) fn ranges(&self) -> String {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for line in &self.uncovered {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == *line => *last = *line,
                _ => ranges.push((*line, *line)),
            }
        }
        let shown = ranges.iter().map(|(first, last)| match last - first {
            0 => first.to_string(),
            _ => format!("{first}-{last}"),
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

/// Reads a report; `counts` tells whether a line of a file counts.
pub(super) fn measured(
    report: &str,
    root: &Path,
    counts: impl Fn(&str, usize) -> bool,
) -> Vec<Measured> {
    let mut files: Vec<Measured> = Vec::new();
    for line in report.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            let path = Path::new(path).strip_prefix(root).unwrap_or(Path::new(path));
            let path = path.to_string_lossy().into_owned();
            files.push(Measured { path, lines: 0, uncovered: Vec::new() });
            continue;
        }
        let (Some(file), Some((number, times))) = (files.last_mut(), line_data(line)) else {
            continue;
        };
        if counts(&file.path, number as usize) {
            file.lines += 1;
            file.uncovered.extend((times == 0).then_some(number));
        }
    }
    files
}

/// The number and the count in `DA:12,3`.
fn line_data(line: &str) -> Option<(u32, u64)> {
    let (number, times) = line.strip_prefix("DA:")?.split_once(',')?;
    Some((number.parse().ok()?, times.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_joins_what_is_uncovered() {
        let report = "SF:/r/a.rs\nFN:1,x\nDA:1,5\nDA:2,0\nDA:3,0\nDA:9,0\nDA:10,0\nend_of_record\nSF:/r/b.rs\nDA:1,1\n";
        let files = measured(report, Path::new("/r"), |path, line| path != "a.rs" || line != 10);
        assert_eq!(files[0].path, "a.rs");
        assert_eq!((files[0].lines, files[0].ranges().as_str()), (4, "2-3, 9"));
        assert_eq!((files[1].lines, files[1].ranges().as_str()), (1, ""));
    }
}
