//! How much memory answers may take that are made and not yet handed to their sockets; what those hold is bounded by
//! connection, in `peer`.
//!
//! An answer of ten thousand rows has megabytes, and a peer that reads slowly holds it for a minute or more: times the
//! connections that is more than a machine has.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono_auth::customer_of;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Answers up to this size need no room, in bytes: a connection may buffer as much anyway.
const FREE_BYTES: usize = 16 * 1024;
/// What part of all one customer may take. Smaller, and few large answers can go to a proxy at once; larger, and few
/// that read slowly leave no room for others.
const SHARE: u32 = 4;
/// Customers beyond which those are forgotten who have no answer on its way.
const CUSTOMERS_KEPT: usize = 1_024;
/// How long an answer waits for room before it is refused. Longer, and requests pile up behind peers that read slowly;
/// shorter, and a burst is refused that milliseconds would have served.
const PATIENCE: Duration = Duration::from_secs(1);

/// There is no room for another large answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many large answers are on their way")]
pub struct Crowded;

/// Shares memory out among large answers, a quarter of it to each customer at most.
#[derive(Debug, Clone)]
pub struct AnswerBudget(Arc<Shares>);

#[derive(Debug)]
struct Shares {
    all: Arc<Semaphore>,
    share_bytes: u32,
    customers: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

/// What one customer may take of an [`AnswerBudget`].
#[derive(Debug, Clone)]
pub struct Share {
    budget: AnswerBudget,
    customer: IpAddr,
}

/// Room that an answer takes, given back when it is dropped.
#[derive(Debug, Default)]
pub struct Room(Option<Permits>);

/// Of the customer's share, and of all.
type Permits = [OwnedSemaphorePermit; 2];

impl AnswerBudget {
    /// Shares out so many bytes, 4 GiB at most.
    pub fn new(bytes_max: usize) -> Self {
        let bytes_max = u32::try_from(bytes_max).unwrap_or(u32::MAX);
        let (share_bytes, customers) = (bytes_max / SHARE, Mutex::default());
        Self(Arc::new(Shares { all: semaphore(bytes_max), share_bytes, customers }))
    }

    /// Gives the share of whoever is behind an address.
    pub fn of(&self, address: IpAddr) -> Share {
        Share { budget: self.clone(), customer: customer_of(address) }
    }
}

impl Share {
    /// Takes room for an answer before it is made; waits a moment for it, in the order of asking.
    ///
    /// # Errors
    /// [`Crowded`].
    ///
    /// # Cancel safety
    /// Dropping it takes nothing.
    pub async fn reserve(&self, bytes: usize) -> Result<Room, Crowded> {
        let wanted = self.counted(bytes);
        if wanted == 0 {
            return Ok(Room::default());
        }
        let [own, all] = self.semaphores();
        let taking = async {
            let own = own.acquire_many_owned(wanted).await?;
            Ok::<_, AcquireError>([own, all.acquire_many_owned(wanted).await?])
        };
        match timeout(PATIENCE, taking).await {
            Ok(Ok(permits)) => Ok(Room(Some(permits))),
            Ok(Err(_)) | Err(_) => Err(Crowded),
        }
    }

    /// Makes an answer's room as large as the answer is, without waiting: it is there already.
    fn fit(&self, room: Room, bytes: usize) -> Result<Room, Crowded> {
        let wanted = self.counted(bytes);
        let Some(mut permits) = room.0 else {
            return Ok(Room(if wanted == 0 { None } else { Some(self.take(wanted)?) }));
        };
        let [own, _all] = &permits;
        let has = u32::try_from(own.num_permits()).unwrap_or(u32::MAX);
        let more = self.take(wanted.saturating_sub(has))?;
        for (permit, more) in permits.iter_mut().zip(more) {
            drop(permit.split(has.saturating_sub(wanted) as usize));
            permit.merge(more);
        }
        Ok(Room(if wanted == 0 { None } else { Some(permits) }))
    }

    fn take(&self, bytes: u32) -> Result<Permits, Crowded> {
        let [own, all] = self.semaphores();
        let take = |from: Arc<Semaphore>| from.try_acquire_many_owned(bytes);
        let own = take(own).map_err(|_none_left| Crowded)?;
        Ok([own, take(all).map_err(|_none_left| Crowded)?])
    }

    fn semaphores(&self) -> [Arc<Semaphore>; 2] {
        let Shares { all, share_bytes, customers } = &*self.budget.0;
        let mut customers = customers.lock().unwrap_or_else(PoisonError::into_inner);
        if customers.len() >= CUSTOMERS_KEPT {
            customers.retain(|_customer, share| Arc::strong_count(share) > 1);
        }
        let own = customers.entry(self.customer).or_insert_with(|| semaphore(*share_bytes));
        [Arc::clone(own), Arc::clone(all)]
    }

    /// Gives what an answer counts for; one larger than the share goes alone.
    fn counted(&self, bytes: usize) -> u32 {
        if bytes <= FREE_BYTES {
            return 0;
        }
        u32::try_from(bytes).unwrap_or(u32::MAX).min(self.budget.0.share_bytes)
    }
}

fn semaphore(bytes: u32) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(usize::try_from(bytes).unwrap_or(Semaphore::MAX_PERMITS)))
}

/// Ties room to an answer's bytes, without a copy: it is given back once nobody holds them, the socket included.
///
/// # Errors
/// [`Crowded`], when the answer is larger than its room and there is none left.
pub(super) fn tie(bytes: Bytes, room: Room, share: &Share) -> Result<Bytes, Crowded> {
    let room = share.fit(room, bytes.len())?;
    Ok(if room.0.is_none() { bytes } else { Bytes::from_owner(Tied { bytes, _room: room }) })
}

struct Tied {
    bytes: Bytes,
    _room: Room,
}

impl AsRef<[u8]> for Tied {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const KIB: usize = 1024;

    fn answer(kib: usize) -> Bytes {
        vec![b'x'; kib * KIB].into()
    }

    fn shares(bytes_max: usize) -> [Share; 5] {
        let budget = AnswerBudget::new(bytes_max);
        [1, 2, 3, 4, 5].map(|last| budget.of(Ipv4Addr::new(192, 0, 2, last).into()))
    }

    /// Of the customer's share, and of all.
    fn left_kib(share: &Share) -> [usize; 2] {
        share.semaphores().map(|bytes| bytes.available_permits() / KIB)
    }

    #[tokio::test(start_paused = true)]
    async fn room_shrinks_to_the_answer_and_comes_back_when_its_last_byte_is_gone() {
        let [share, ..] = shares(4_000 * KIB);
        let room = share.reserve(600 * KIB).await.unwrap();
        assert_eq!(left_kib(&share), [400, 3_400]);
        let made = answer(100);
        let place = made.as_ptr();
        let mut sent = tie(made, room, &share).unwrap();
        let (left, is_copied) = (left_kib(&share), sent.as_ptr() != place);
        assert_eq!((left, is_copied), ([900, 3_900], false));
        let rest = sent.split_off(KIB);
        drop(sent);
        assert_eq!(left_kib(&share), [900, 3_900]);
        drop(rest);
        assert_eq!(left_kib(&share), [1_000, 4_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn small_answers_need_none_and_others_are_refused_when_there_is_none() {
        let [share, ..] = shares(400 * KIB);
        let all = tie(answer(1_000), Room::default(), &share).unwrap();
        assert_eq!(left_kib(&share), [0, 300], "one that is larger than the share takes all of it");
        assert_eq!(share.reserve(17 * KIB).await.unwrap_err(), Crowded);
        assert_eq!(tie(answer(17), Room::default(), &share).unwrap_err(), Crowded);
        let none = share.reserve(FREE_BYTES).await.unwrap();
        assert_eq!(tie(answer(16), none, &share).unwrap().len(), FREE_BYTES);
        drop(all);
        let few = share.reserve(17 * KIB).await.unwrap();
        drop(tie(answer(100), few, &share).unwrap());
        let small = share.reserve(17 * KIB).await.unwrap();
        drop(tie(answer(1), small, &share).unwrap());
        assert_eq!(left_kib(&share), [100, 400]);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_gets_room_as_soon_as_there_is_some() {
        let [share, ..] = shares(400 * KIB);
        let first = share.reserve(100 * KIB).await.unwrap();
        let (second, ()) = tokio::join!(share.reserve(50 * KIB), async { drop(first) });
        assert_eq!((second.is_ok(), left_kib(&share)), (true, [50, 350]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_customer_takes_its_share_and_leaves_the_rest_to_others() {
        let [greedy, second, third, fourth, fifth] = shares(400 * KIB);
        let held = greedy.reserve(1_000 * KIB).await.unwrap();
        assert_eq!(greedy.reserve(17 * KIB).await.unwrap_err(), Crowded);
        let others = [&second, &third, &fourth].map(|share| share.reserve(100 * KIB));
        let others = futures_util::future::try_join_all(others).await.unwrap();
        assert_eq!(fifth.reserve(17 * KIB).await.unwrap_err(), Crowded);
        assert_eq!(left_kib(&fifth), [100, 0], "what is not given takes nothing");
        drop((held, others));
        assert_eq!(left_kib(&greedy), [100, 400]);
    }

    #[tokio::test]
    async fn customers_without_answers_are_forgotten() {
        let [share, ..] = shares(400 * KIB);
        let held = share.reserve(50 * KIB).await.unwrap();
        for number in 0..3 * u32::try_from(CUSTOMERS_KEPT).unwrap() {
            let other = share.budget.of(Ipv4Addr::from_bits(number).into());
            drop(other.reserve(20 * KIB).await.unwrap());
        }
        assert!(share.budget.0.customers.lock().unwrap().len() <= CUSTOMERS_KEPT);
        assert_eq!(left_kib(&share)[0], 50);
        drop(held);
    }
}
