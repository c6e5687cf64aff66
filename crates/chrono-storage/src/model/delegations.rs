//! Delegations: a list, filtered and sorted on read.

use super::{ModelStore, State};
use crate::{
    Delegation, DelegationOutcome, DelegationRange, DelegationStore, StoreError, StoredDelegation,
};

#[async_trait::async_trait]
impl DelegationStore for ModelStore {
    async fn append_delegations(
        &self,
        delegations: Vec<Delegation>,
    ) -> Result<Vec<DelegationOutcome>, StoreError> {
        self.commit_whole(|state| {
            Ok(delegations.into_iter().map(|delegation| state.delegate(delegation)).collect())
        })
        .await
    }

    async fn delegations(
        &self,
        range: &DelegationRange,
    ) -> Result<Vec<StoredDelegation>, StoreError> {
        self.read(|state| {
            let mut found: Vec<_> =
                state.delegations.iter().filter(|stored| is_within(range, stored)).collect();
            found.sort_by_key(|stored| (stored.delegation.timestamp, stored.id));
            found.into_iter().rev().take(range.limit).cloned().collect()
        })
        .await
    }
}

impl State {
    fn delegate(&mut self, delegation: Delegation) -> DelegationOutcome {
        let name = |held: &Delegation| (held.delegator, held.provider, held.timestamp);
        let held = self.delegations.iter().find(|held| name(&held.delegation) == name(&delegation));
        match held {
            Some(held) if held.delegation == delegation => DelegationOutcome::Repeated,
            Some(_) => DelegationOutcome::Conflicting,
            None => {
                let id = self.delegations.len() as u64 + 1;
                self.delegations.push(StoredDelegation { delegation, id });
                DelegationOutcome::Stored
            }
        }
    }
}

fn is_within(range: &DelegationRange, stored: &StoredDelegation) -> bool {
    let held = &stored.delegation;
    range.delegator.is_none_or(|delegator| held.delegator == delegator)
        && range.provider.is_none_or(|provider| held.provider == provider)
        && (range.from..=range.to).contains(&held.timestamp)
        && range.after.is_none_or(|after| (held.timestamp, stored.id) < after)
}
