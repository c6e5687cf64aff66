//! The dictionaries of names, as the writer keeps them so that no tick costs a look-up.

use std::fmt::Display;
use std::hash::Hash;
use std::str::FromStr;

use chrono_domain::{NameError, Source, Symbol, WorkerId};
use foldhash::{HashMap, HashMapExt};
use rusqlite::Connection;

use super::codec;
use super::fault::Fault;

const SYMBOLS: &str = "SELECT id, name FROM symbols";
const SOURCES: &str = "SELECT id, name FROM sources";
const WORKERS: &str = "SELECT id, name FROM workers";
const ADD_SYMBOL: &str = "INSERT INTO symbols (name) VALUES (?1)";
const ADD_SOURCE: &str = "INSERT INTO sources (name) VALUES (?1)";
const ADD_WORKER: &str = "INSERT INTO workers (name) VALUES (?1)";

/// A table of names, in memory: every one of them.
#[derive(Debug)]
pub(super) struct Dictionary<K> {
    ids: HashMap<K, u32>,
    add: &'static str,
}

/// All three, as of the writer's last transaction.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) symbols: Dictionary<Symbol>,
    pub(super) sources: Dictionary<Source>,
    pub(super) workers: Dictionary<WorkerId>,
}

impl Names {
    /// Reads all of them.
    pub(super) fn load(connection: &Connection) -> Result<Self, Fault> {
        Ok(Self {
            symbols: Dictionary::load(connection, SYMBOLS, ADD_SYMBOL)?,
            sources: Dictionary::load(connection, SOURCES, ADD_SOURCE)?,
            workers: Dictionary::load(connection, WORKERS, ADD_WORKER)?,
        })
    }
}

impl<K: Copy + Eq + Hash + Display + FromStr<Err = NameError>> Dictionary<K> {
    fn load(connection: &Connection, all: &str, add: &'static str) -> Result<Self, Fault> {
        let mut statement = connection.prepare_cached(all)?;
        let mut rows = statement.query([])?;
        let mut ids = HashMap::new();
        while let Some(row) = rows.next()? {
            ids.insert(codec::text(row, 1)?.parse()?, row.get(0)?);
        }
        Ok(Self { ids, add })
    }

    /// Finds the id of a name that is stored already.
    pub(super) fn find(&self, name: K) -> Option<u32> {
        self.ids.get(&name).copied()
    }

    /// Gives the id of a name, a new one to a new name.
    pub(super) fn id(&mut self, connection: &Connection, name: K) -> Result<u32, Fault> {
        if let Some(id) = self.ids.get(&name) {
            return Ok(*id);
        }
        let id = u32::try_from(connection.prepare_cached(self.add)?.insert([name.to_string()])?)?;
        self.ids.insert(name, id);
        Ok(id)
    }
}
