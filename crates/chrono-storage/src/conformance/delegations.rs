//! Cases of [`crate::DelegationStore`].

use chrono_domain::{Metadata, Timestamp, Volume};

use super::pages;
use super::sample::at;
use crate::{AccountId, Delegation, DelegationOutcome, DelegationRange, Store, StoredDelegation};

/// A delegation between two accounts at a time.
pub(super) fn delegation(delegator: &str, provider: &str, time: &str) -> Delegation {
    Delegation {
        delegator: AccountId::try_new(delegator).unwrap(),
        provider: AccountId::try_new(provider).unwrap(),
        amount: Volume::try_new("1000.50").unwrap(),
        percentage: Volume::try_new("100").unwrap(),
        timestamp: at(time),
        metadata: None,
    }
}

/// Asks for every delegation.
pub(super) const fn all() -> DelegationRange {
    DelegationRange {
        delegator: None,
        provider: None,
        from: Timestamp::MIN,
        to: Timestamp::MAX,
        after: None,
        limit: usize::MAX,
    }
}

/// Each delegation gets its outcome in order: stored, repeated or conflicting; all of it reads back.
pub async fn each_delegation_gets_its_outcome_in_order(store: &dyn Store) {
    use DelegationOutcome::{Conflicting, Repeated, Stored};
    let first = delegation("0xA", "provider.1", "12:00:00");
    let noted = Delegation {
        metadata: Some(Metadata::from_canonical(r#"{"epoch":7}"#)),
        percentage: Volume::try_new("0.00").unwrap(),
        ..delegation("0xA", "provider.2", "12:00:00")
    };
    let more = Delegation { amount: Volume::try_new("1000.51").unwrap(), ..first.clone() };
    let share = Delegation { percentage: Volume::try_new("99").unwrap(), ..first.clone() };
    let bare = Delegation { metadata: None, ..noted.clone() };
    let call = vec![first.clone(), first.clone(), more, noted.clone()];
    let outcomes = store.append_delegations(call).await.unwrap();
    assert_eq!(outcomes, [Stored, Repeated, Conflicting, Stored]);
    let call = vec![noted.clone(), bare, share, delegation("0xA", "provider.1", "12:00:01")];
    let outcomes = store.append_delegations(call).await.unwrap();
    assert_eq!(outcomes, [Repeated, Conflicting, Conflicting, Stored]);
    assert_eq!(store.append_delegations(Vec::new()).await.unwrap(), []);

    let read = store.delegations(&all()).await.unwrap();
    let held: Vec<_> = read.iter().map(|stored| stored.delegation.clone()).collect();
    assert_eq!(held, [delegation("0xA", "provider.1", "12:00:01"), noted, first]);
    assert_eq!(held[1].percentage.to_string(), "0.00");
    assert_eq!(held[2].amount.to_string(), "1000.50");
}

/// A range holds both its ends and answers newest first, ties by falling id.
pub async fn a_range_holds_both_ends_newest_first(store: &dyn Store) {
    for (provider, time) in [
        ("a", "12:00:01"),
        ("b", "12:00:02"),
        ("c", "12:00:01"),
        ("d", "12:00:00"),
        ("e", "12:00:03"),
    ] {
        store.append_delegations(vec![delegation("x", provider, time)]).await.unwrap();
    }
    let providers = |read: Vec<StoredDelegation>| -> String {
        read.iter().map(|stored| stored.delegation.provider.to_string()).collect()
    };
    let within = DelegationRange { from: at("12:00:01"), to: at("12:00:02"), ..all() };
    let read = store.delegations(&within).await.unwrap();
    assert!(read.is_sorted_by(|newer, older| {
        (newer.delegation.timestamp, newer.id) > (older.delegation.timestamp, older.id)
    }));
    assert_eq!(providers(read), "bca");
    let none = DelegationRange { from: at("12:00:02"), to: at("12:00:01"), ..all() };
    assert_eq!(store.delegations(&none).await.unwrap(), []);
    let two = DelegationRange { limit: 2, ..all() };
    assert_eq!(providers(store.delegations(&two).await.unwrap()), "eb");
}

/// Pages join to the whole.
pub async fn delegation_pages_join_to_the_whole(store: &dyn Store) {
    let times = ["12:00:00", "12:00:01", "12:00:00"];
    for place in 0..11_usize {
        let new = delegation("x", &format!("p{place}"), times[place % times.len()]);
        store.append_delegations(vec![new]).await.unwrap();
    }
    let whole = store.delegations(&all()).await.unwrap();
    assert_eq!(whole.len(), 11);
    for limit in [1, 2, 5, 11] {
        let joined = pages::delegations(store, &DelegationRange { limit, ..all() }).await;
        assert_eq!(joined, whole, "by {limit}");
    }
}

/// Delegations are found by delegator, by provider, and by both.
pub async fn delegations_are_found_by_either_side(store: &dyn Store) {
    let rows = [("a", "x"), ("a", "y"), ("b", "x")];
    let new = rows.map(|(delegator, provider)| delegation(delegator, provider, "12:00:00"));
    store.append_delegations(new.to_vec()).await.unwrap();
    let account = |text: &str| Some(AccountId::try_new(text).unwrap());
    for (delegator, provider, count) in [
        (None, None, 3),
        (account("a"), None, 2),
        (None, account("x"), 2),
        (account("b"), account("x"), 1),
        (account("b"), account("y"), 0),
        (account("A"), None, 0),
        (account("nobody"), None, 0),
    ] {
        let range = DelegationRange { delegator, provider, ..all() };
        assert_eq!(
            store.delegations(&range).await.unwrap().len(),
            count,
            "{delegator:?} {provider:?}"
        );
    }
}
