//! A disk that loses power: what of the traced writes is still there afterwards.
//!
//! What a successful sync covered is there. Every other write may be there, in part or not at all, whatever became of
//! those before and after it; so may the names that files were given or lost since their directory was synced, in
//! their order. A write that a failed sync covered is of the second kind for ever: the system has let go of it and
//! does not try again, so that no later sync makes it safe.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};

use crate::random::Random;
use crate::trace::Call;

/// What a disk writes whole.
const SECTOR: usize = 512;

/// How much of what was not synced is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// All of it.
    All,
    /// Any of it.
    Some,
    /// Any of it, and parts of writes.
    Torn,
}

/// Files by their names, as a start after the loss finds them.
pub(crate) type Image = BTreeMap<String, Vec<u8>>;

/// The files of one directory whose names begin alike.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    directory: String,
    stem: String,
    files: Vec<File>,
    /// What each name stands for, to those who look before the loss.
    names: BTreeMap<String, usize>,
    /// What each name stands for on the disk.
    synced_names: BTreeMap<String, usize>,
    /// Names given and lost since, with the lines of their calls' ends.
    renamings: Vec<(usize, String, Option<usize>)>,
}

#[derive(Debug, Clone, Default)]
struct File {
    /// What the writes up to the first that is not synced come to.
    bytes: Vec<u8>,
    writes: Vec<Write>,
}

#[derive(Debug, Clone)]
struct Write {
    /// The line in which its call ended.
    end: usize,
    change: Change,
    state: State,
}

#[derive(Debug, Clone)]
enum Change {
    Bytes { at: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Synced,
    /// A sync that should have covered it failed.
    Given,
}

impl Disk {
    /// Starts empty; `path` is that of the database, whose companions begin with its name.
    pub(crate) fn new(path: &str) -> anyhow::Result<Self> {
        let (directory, stem) = path.rsplit_once('/').context("a path with a directory")?;
        Ok(Self {
            directory: directory.to_owned(),
            stem: stem.to_owned(),
            files: Vec::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            renamings: Vec::new(),
        })
    }

    /// Has a file on the disk from the beginning, name and all.
    pub(crate) fn hold(&mut self, name: &str, bytes: Vec<u8>) {
        self.files.push(File { bytes, writes: Vec::new() });
        for names in [&mut self.names, &mut self.synced_names] {
            names.insert(name.to_owned(), self.files.len() - 1);
        }
    }

    /// Tells whether a call is one that [`Disk::take`] must see.
    ///
    /// What lies in shared memory is made anew from the log after a crash, and the lock file is empty.
    pub(crate) fn concerns(&self, call: &Call) -> bool {
        call.file == self.directory || self.name(call).is_some()
    }

    /// Takes a call: a write or a change of names at its beginning, a sync at its end.
    pub(crate) fn take(&mut self, call: &Call) -> anyhow::Result<()> {
        let name = self.name(call).map(str::to_owned);
        match (call.name.as_str(), name) {
            ("fsync" | "fdatasync", None) => self.sync_names(call),
            ("fsync" | "fdatasync", Some(name)) => self.sync(&name, call),
            ("pwrite64", Some(name)) => {
                let written = u64::try_from(call.answer).ok();
                ensure!(written == Some(call.bytes.len() as u64), "a short write: {call:?}");
                let at = usize::try_from(call.last.context("an offset")?)?;
                self.write(&name, call.end, Change::Bytes { at, bytes: call.bytes.clone() });
            }
            ("ftruncate", Some(name)) => {
                let length = usize::try_from(call.last.context("a length")?)?;
                self.write(&name, call.end, Change::Length(length));
            }
            ("unlink" | "unlinkat", Some(name)) if call.answer == 0 => {
                self.names.remove(&name);
                self.renamings.push((call.end, name, None));
            }
            ("unlink" | "unlinkat", _) => {}
            _ => bail!("a call that this disk does not know: {call:?}"),
        }
        Ok(())
    }

    /// Gives what is left after a loss now.
    pub(crate) fn image(&self, loss: Loss, random: &mut Random) -> Image {
        let mut names = self.synced_names.clone();
        let renamed = match loss {
            Loss::All => 0,
            _ => usize::try_from(random.within(0, self.renamings.len() as u64)).unwrap_or_default(),
        };
        for (_, name, file) in self.renamings.iter().take(renamed) {
            match file {
                Some(file) => drop(names.insert(name.clone(), *file)),
                None => drop(names.remove(name)),
            }
        }
        // Few, half or most of them: each finds other faults.
        let often = *random.pick(&[10, 50, 90]);
        let mut bytes = |file: &usize| self.files[*file].left(loss, often, random);
        names.iter().map(|(name, file)| (name.clone(), bytes(file))).collect()
    }

    fn name<'c>(&self, call: &'c Call) -> Option<&'c str> {
        let name = call.file.strip_prefix(&self.directory)?.strip_prefix('/')?;
        let companion = name.strip_prefix(&self.stem)?;
        let kept = ["-shm", ".lock"].iter().all(|other| !companion.starts_with(other));
        (kept && !companion.ends_with(" (deleted)")).then_some(name)
    }

    fn write(&mut self, name: &str, end: usize, change: Change) {
        let file = *self.names.entry(name.to_owned()).or_insert_with(|| {
            self.files.push(File::default());
            let file = self.files.len() - 1;
            self.renamings.push((end, name.to_owned(), Some(file)));
            file
        });
        self.files[file].writes.push(Write { end, change, state: State::Waiting });
    }

    fn sync(&mut self, name: &str, sync: &Call) {
        let Some(file) = self.names.get(name) else { return };
        let file = &mut self.files[*file];
        let state = if sync.answer == 0 { State::Synced } else { State::Given };
        let waiting = file.writes.iter_mut().filter(|write| write.state == State::Waiting);
        for write in waiting.filter(|write| write.end < sync.begin) {
            write.state = state;
        }
        let synced = file.writes.iter().take_while(|write| write.state == State::Synced).count();
        for write in file.writes.drain(..synced) {
            write.change.apply(&mut file.bytes);
        }
    }

    fn sync_names(&mut self, sync: &Call) {
        let covered = self.renamings.iter().take_while(|(end, ..)| *end < sync.begin).count();
        for (_, name, file) in self.renamings.drain(..if sync.answer == 0 { covered } else { 0 }) {
            match file {
                Some(file) => drop(self.synced_names.insert(name, file)),
                None => drop(self.synced_names.remove(&name)),
            }
        }
    }
}

impl File {
    fn left(&self, loss: Loss, often: u64, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for write in &self.writes {
            let kept = write.state == State::Synced || (loss != Loss::All && random.percent(often));
            if kept && write.state != State::Synced && loss == Loss::Torn && random.percent(30) {
                write.change.torn(random).iter().for_each(|part| part.apply(&mut bytes));
            } else if kept {
                write.change.apply(&mut bytes);
            }
        }
        bytes
    }
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Length(length) => file.resize(*length, 0),
            Self::Bytes { at, bytes } => {
                let end = at + bytes.len();
                if file.len() < end {
                    file.resize(end, 0);
                }
                file[*at..end].copy_from_slice(bytes);
            }
        }
    }

    /// Gives the parts of it that arrive: some of its sectors, or what comes before one of its bytes.
    fn torn(&self, random: &mut Random) -> Vec<Self> {
        let Self::Bytes { at, bytes } = self else { return vec![self.clone()] };
        let part =
            |from: usize, to: usize| Self::Bytes { at: at + from, bytes: bytes[from..to].to_vec() };
        if random.percent(50) {
            let end = usize::try_from(random.within(0, bytes.len() as u64)).unwrap();
            return vec![part(0, end)];
        }
        let first = SECTOR - at % SECTOR;
        let ends = (first..bytes.len()).step_by(SECTOR).chain([bytes.len()]);
        let mut from = 0;
        let mut parts = Vec::new();
        for to in ends {
            if random.percent(50) {
                parts.push(part(from, to));
            }
            from = to;
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, file: &str, bytes: &[u8], last: u64, line: usize) -> Call {
        Call {
            name: name.to_owned(),
            file: format!("/d{file}"),
            bytes: bytes.to_vec(),
            last: Some(last),
            begin: line,
            end: line,
            answer: i64::try_from(bytes.len()).unwrap(),
        }
    }

    /// Plays calls, one a line, and gives what is left of the file `db` when all is lost that can be.
    fn left(calls: &[Line<'_>], failing: &[usize]) -> Option<Vec<u8>> {
        let mut disk = Disk::new("/d/db").unwrap();
        for (line, (name, file, bytes, last)) in calls.iter().enumerate() {
            let mut call = call(name, file, bytes, *last, line);
            call.answer = if failing.contains(&line) { -1 } else { call.answer };
            assert!(disk.concerns(&call));
            disk.take(&call).unwrap();
        }
        disk.image(Loss::All, &mut Random::new(1)).remove("db")
    }

    type Line<'a> = (&'a str, &'a str, &'a [u8], u64);

    fn write(bytes: &[u8], at: u64) -> Line<'_> {
        ("pwrite64", "/db", bytes, at)
    }

    #[test]
    fn keeps_what_was_synced_and_nothing_else() {
        let sync = ("fdatasync", "/db", &b""[..], 0);
        let names = ("fsync", "", &b""[..], 0);
        assert_eq!(left(&[write(b"ab", 0), sync, write(b"c", 1), names], &[]).unwrap(), b"ab");
        assert_eq!(left(&[write(b"ab", 0), sync], &[]), None);
        assert_eq!(left(&[names, write(b"ab", 1), names], &[]).unwrap(), b"");
        let cut = ("ftruncate", "/db", &b""[..], 1);
        assert_eq!(left(&[write(b"ab", 1), cut, names, sync], &[]).unwrap(), b"\0");
    }

    #[test]
    fn what_a_failed_sync_covered_no_later_one_saves() {
        let sync = ("fdatasync", "/db", &b""[..], 0);
        let names = ("fsync", "", &b""[..], 0);
        let calls = [write(b"a", 0), names, sync, write(b"b", 1), sync];
        assert_eq!(left(&calls, &[]).unwrap(), b"ab");
        assert_eq!(left(&calls, &[2]).unwrap(), b"\0b");
    }

    #[test]
    fn a_torn_write_leaves_parts_of_itself() {
        let mut random = Random::new(7);
        let bytes: Vec<u8> = (0..=255).cycle().take(3_000).collect();
        let change = Change::Bytes { at: 100, bytes: bytes.clone() };
        for _ in 0..100 {
            let mut file = vec![0; 3_100];
            change.torn(&mut random).iter().for_each(|part| part.apply(&mut file));
            let same = |(left, right): (&u8, &u8)| *left == 0 || left == right;
            assert!(file[100..].iter().zip(&bytes).all(same));
        }
    }
}
