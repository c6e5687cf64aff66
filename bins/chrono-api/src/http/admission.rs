//! How many connections there may be, in all and of one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono_auth::customer_of;

use super::Settings;

/// The least that running out of descriptors teaches: a listener with few connections is not the one that used them up.
const LEARNED_MIN: usize = 64;

/// Says which bound a connection met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    All,
    Address,
}

impl Full {
    /// Gives the label of the metric.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Address => "address",
        }
    }
}

/// Counts the connections that are open.
#[derive(Debug)]
pub(super) struct Admission {
    counts: Mutex<Counts>,
    per_address_max: usize,
}

#[derive(Debug)]
struct Counts {
    open: usize,
    open_max: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The place of one connection; dropping it frees the place.
#[derive(Debug)]
pub(super) struct Permit {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Admission {
    pub(super) fn new(settings: &Settings) -> Self {
        let counts =
            Counts { open: 0, open_max: settings.connections_max, by_address: HashMap::new() };
        Self { counts: Mutex::new(counts), per_address_max: settings.connections_per_ip_max }
    }

    /// Gives a place to a connection from an address, if there is one.
    pub(super) fn try_admit(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Full> {
        let address = customer_of(address);
        let mut counts = self.counts();
        if counts.open >= counts.open_max {
            return Err(Full::All);
        }
        let of_address = counts.by_address.entry(address).or_insert(0);
        if *of_address >= self.per_address_max {
            return Err(Full::Address);
        }
        *of_address += 1;
        counts.open += 1;
        set_gauge(counts.open);
        Ok(Permit { admission: Arc::clone(self), address })
    }

    /// Learns that the process has no descriptor left: from now on a tenth of those that connections hold stays free,
    /// for the store's files and for whoever asks how things are.
    pub(super) fn learn_descriptor_limit(&self) -> usize {
        let mut counts = self.counts();
        let held = (counts.open - counts.open / 10).max(LEARNED_MIN);
        counts.open_max = counts.open_max.min(held);
        counts.open_max
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        counts.open = counts.open.saturating_sub(1);
        set_gauge(counts.open);
        if let Some(of_address) = counts.by_address.get_mut(&self.address) {
            *of_address = of_address.saturating_sub(1);
            if *of_address == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

fn set_gauge(open: usize) {
    metrics::gauge!("http_connections_active")
        .set(f64::from(u32::try_from(open).unwrap_or(u32::MAX)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(all: usize, address: usize) -> Arc<Admission> {
        let settings = Settings {
            connections_max: all,
            connections_per_ip_max: address,
            ..Settings::default()
        };
        Arc::new(Admission::new(&settings))
    }

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn places_are_bounded_and_come_back() {
        let admission = admission(3, 2);
        let first = admission.try_admit(ip(1)).unwrap();
        let _second = admission.try_admit(ip(1)).unwrap();
        assert_eq!(admission.try_admit(ip(1)).unwrap_err(), Full::Address);
        let third = admission.try_admit(ip(2)).unwrap();
        assert_eq!(admission.try_admit(ip(3)).unwrap_err(), Full::All);
        drop(first);
        let _again = admission.try_admit(ip(1)).unwrap();
        drop(third);
        assert_eq!(admission.counts().by_address.len(), 1, "addresses that left are forgotten");
    }

    #[test]
    fn running_out_of_descriptors_leaves_a_tenth_free() {
        let admission = admission(1_000, 1_000);
        let mut open: Vec<Permit> = (0..200).map(|_| admission.try_admit(ip(1)).unwrap()).collect();
        assert_eq!(admission.learn_descriptor_limit(), 180);
        assert_eq!(admission.try_admit(ip(1)).unwrap_err(), Full::All);
        open.truncate(179);
        let _last = admission.try_admit(ip(1)).unwrap();
        assert_eq!(admission.try_admit(ip(1)).unwrap_err(), Full::All);
    }
}
