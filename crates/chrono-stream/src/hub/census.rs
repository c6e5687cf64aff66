//! How many connections there are, and of whom.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::outbox::ClientId;
use crate::settings::StreamSettings;

/// Names a key; never its secret.
pub type KeyId = Arc<str>;

/// Says why a connection gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// As many connections as the server takes.
    #[error("the server has as many streams as it takes")]
    Total,
    /// As many connections as one address may have.
    #[error("the address has as many streams as it may")]
    Address,
    /// As many connections as one key may have.
    #[error("the key has as many streams as it may")]
    Key,
    /// The server goes away.
    #[error("the server goes away")]
    Draining,
}

/// Counts connections in all, by address and by key.
#[derive(Debug, Default)]
pub(super) struct Census {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
    by_key: HashMap<KeyId, HashSet<ClientId>>,
    shut: bool,
}

impl Census {
    pub(super) fn enter(&mut self, from: IpAddr, settings: &StreamSettings) -> Result<(), Refused> {
        if self.shut {
            return Err(Refused::Draining);
        }
        if self.total >= settings.connections_max {
            return Err(Refused::Total);
        }
        if self.by_address.get(&from).is_some_and(|n| *n >= settings.connections_per_ip_max) {
            return Err(Refused::Address);
        }
        self.total += 1;
        *self.by_address.entry(from).or_default() += 1;
        Ok(())
    }

    pub(super) fn identify(
        &mut self,
        id: ClientId,
        key: KeyId,
        settings: &StreamSettings,
    ) -> Result<(), Refused> {
        let clients = self.by_key.entry(key).or_default();
        if clients.len() >= settings.connections_per_key_max {
            return Err(Refused::Key);
        }
        clients.insert(id);
        Ok(())
    }

    pub(super) fn exit(&mut self, id: ClientId, from: IpAddr, key: Option<&KeyId>) {
        self.total = self.total.saturating_sub(1);
        if let Some(count) = self.by_address.get_mut(&from) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&from);
            }
        }
        if let Some(key) = key {
            self.disown(id, key);
        }
    }

    /// Takes a connection from a key that it came with.
    pub(super) fn disown(&mut self, id: ClientId, key: &KeyId) {
        if let Some(clients) = self.by_key.get_mut(key) {
            clients.remove(&id);
            if clients.is_empty() {
                self.by_key.remove(key);
            }
        }
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    pub(super) fn keys(&self) -> Vec<KeyId> {
        self.by_key.keys().cloned().collect()
    }

    pub(super) fn clients_of(&self, key: &KeyId) -> impl Iterator<Item = ClientId> {
        self.by_key.get(key).into_iter().flatten().copied()
    }

    /// Refuses whoever comes from now on.
    pub(super) fn shut(&mut self) {
        self.shut = true;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    #[test]
    fn counts_by_total_address_and_key() {
        let settings = StreamSettings {
            connections_max: 3,
            connections_per_ip_max: 2,
            connections_per_key_max: 1,
            ..StreamSettings::default()
        };
        let mut census = Census::default();
        let key: KeyId = "k".into();
        assert_eq!([census.enter(HERE, &settings), census.enter(HERE, &settings)], [Ok(()); 2]);
        assert_eq!(census.enter(HERE, &settings), Err(Refused::Address));
        assert_eq!(census.enter(THERE, &settings), Ok(()));
        assert_eq!(census.enter(THERE, &settings), Err(Refused::Total));
        assert_eq!(census.identify(ClientId(1), key.clone(), &settings), Ok(()));
        assert_eq!(census.identify(ClientId(2), key.clone(), &settings), Err(Refused::Key));
        census.exit(ClientId(1), HERE, Some(&key));
        assert_eq!((census.keys().len(), census.total()), (0, 2));
        assert_eq!(census.identify(ClientId(2), key, &settings), Ok(()));
        assert_eq!(census.enter(HERE, &settings), Ok(()));
        census.shut();
        census.exit(ClientId(2), HERE, None);
        assert_eq!(census.enter(THERE, &settings), Err(Refused::Draining));
    }
}
