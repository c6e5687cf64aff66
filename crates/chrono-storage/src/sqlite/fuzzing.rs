//! The packing without a file around it, for fuzz targets: what a blob says, and the same written anew.

use super::packed::seal::{self, Format};
use super::packed::{Damage, candles, log, metadata, newest, ticks};

/// What a blob holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A page of ticks.
    Ticks,
    /// The metadata of a page of ticks.
    Metadata,
    /// The newest tick of each source.
    Newest,
    /// A page of candles.
    Candles,
    /// A commit.
    Log,
}

impl Kind {
    /// Puts the first byte and the checksum around a body, so that a body of chance is looked at.
    pub fn seal(self, body: &[u8]) -> Vec<u8> {
        let mut blob = seal::begin(self.format(), body.len());
        blob.extend_from_slice(body);
        seal::finish(blob)
    }

    /// Reads a blob and gives all it says as a text, and the same written anew; none when it is damaged.
    ///
    /// Metadata of which no row has any is not written at all.
    pub fn read(self, blob: &[u8]) -> Option<(String, Option<Vec<u8>>)> {
        self.try_read(blob).ok()
    }

    fn try_read(self, blob: &[u8]) -> Result<(String, Option<Vec<u8>>), Damage> {
        Ok(match self {
            Self::Ticks => {
                let page = ticks::Page::open(blob)?;
                // Of the two readers this is the one that demands the order that a page is written in.
                page.keys()?;
                let rows = page.rows(0..page.len(), None)?;
                let rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
                (format!("{rows:?}"), Some(ticks::encode(&rows, page.beside())))
            }
            Self::Metadata => {
                let rows = metadata::decode(blob)?;
                (format!("{rows:?}"), metadata::encode(&rows))
            }
            Self::Newest => {
                let ticks = newest::decode(blob)?;
                (format!("{ticks:?}"), Some(newest::encode(&ticks)))
            }
            Self::Candles => {
                let candles = candles::decode(blob)?;
                (format!("{candles:?}"), Some(candles::encode(&candles)))
            }
            Self::Log => {
                let commit = log::decode(blob)?;
                (format!("{commit:?}"), Some(log::encode(&commit)))
            }
        })
    }

    const fn format(self) -> Format {
        match self {
            Self::Ticks => Format::Ticks,
            Self::Metadata => Format::Metadata,
            Self::Newest => Format::Newest,
            Self::Candles => Format::Candles,
            Self::Log => Format::Log,
        }
    }
}
