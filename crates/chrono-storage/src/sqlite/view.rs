//! One moment of the store: pages of a snapshot of the file, and parts of the commits that they do not cover.

use rusqlite::Connection;

use super::counters::Published;
use super::fault::Fault;
use super::generation::Generation;
use super::memory::Memory;
use super::pages::Pages;
use super::replay;

/// What a reader sees.
#[derive(Debug)]
pub(super) struct View<'c, T> {
    pub(super) pages: Pages<'c>,
    /// Of each generation that the pages do not cover, oldest first.
    pub(super) parts: Vec<T>,
    pub(super) published: Published,
}

impl<'c, T> View<'c, T> {
    /// Takes the view, by the rule in [`super::memory`]; `begin` takes the snapshot.
    pub(super) fn take(
        memory: &Memory,
        part: impl Fn(&Generation) -> T,
        begin: impl FnOnce() -> Result<&'c Connection, Fault>,
    ) -> Result<Self, Fault> {
        let copied = memory.copy(&part);
        let snapshot = begin()?;
        let published = Published::load(snapshot)?;
        let beyond = copied.parts.into_iter().filter(|(last, _part)| *last > published.sealed);
        let mut parts: Vec<T> = beyond.map(|(_last, part)| part).collect();
        // Commits that are not folded in yet, or whose answer was an error: few, but for a visitor, who has no memory.
        let known = copied.known.max(published.sealed);
        let mut rest = Generation::after(known, published.next_arrival);
        replay::extend(snapshot, &mut rest)?;
        if rest.last > known {
            parts.push(part(&rest));
        }
        let pages = Pages { connection: snapshot, cycle: published.cycle };
        Ok(Self { pages, parts, published })
    }
}
