//! How many connections there may be, in all and of one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono_auth::customer_of;

use super::Settings;

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
    open_max: usize,
    per_address_max: usize,
}

#[derive(Debug, Default)]
struct Counts {
    open: usize,
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
        let Settings { connections_max, connections_per_ip_max, .. } = *settings;
        Self {
            counts: Mutex::default(),
            open_max: connections_max,
            per_address_max: connections_per_ip_max,
        }
    }

    /// Gives a place to a connection from an address, if there is one.
    pub(super) fn try_admit(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Full> {
        let address = customer_of(address);
        let mut counts = self.counts();
        if counts.open >= self.open_max {
            return Err(Full::All);
        }
        let of_address = counts.by_address.entry(address).or_insert(0);
        if *of_address >= self.per_address_max {
            return Err(Full::Address);
        }
        *of_address += 1;
        counts.open += 1;
        gauge().increment(1.0);
        Ok(Permit { admission: Arc::clone(self), address })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        counts.open = counts.open.saturating_sub(1);
        gauge().decrement(1.0);
        if let Some(of_address) = counts.by_address.get_mut(&self.address) {
            *of_address = of_address.saturating_sub(1);
            if *of_address == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

/// Counts the connections of every listener together.
fn gauge() -> metrics::Gauge {
    metrics::gauge!("http_connections_active")
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
    fn a_network_of_ip_6_that_one_customer_has_is_one_address() {
        let admission = admission(9, 2);
        let ip = |text: &str| text.parse().unwrap();
        let _first = admission.try_admit(ip("2001:db8:0:1::1")).unwrap();
        let _second = admission.try_admit(ip("2001:db8:0:1:ffff::2")).unwrap();
        assert_eq!(admission.try_admit(ip("2001:db8:0:1::3")).unwrap_err(), Full::Address);
        let _other = admission.try_admit(ip("2001:db8:0:2::1")).unwrap();
    }
}
