//! How much memory answers may take that are made and not yet handed to their sockets.
//!
//! An answer of ten thousand rows has megabytes, and a peer that reads slowly holds it for a minute or more: times the
//! connections that is more than a machine has.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Answers up to this size need no room, in bytes: a connection may buffer as much anyway.
const FREE_BYTES: usize = 16 * 1024;
/// How long an answer waits for room before it is refused. Longer, and requests pile up behind peers that read slowly;
/// shorter, and a burst is refused that milliseconds would have served.
const PATIENCE: Duration = Duration::from_secs(1);

/// There is no room for another large answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many large answers are on their way")]
pub struct Crowded;

/// Shares memory out among large answers.
#[derive(Debug, Clone)]
pub struct AnswerBudget {
    bytes: Arc<Semaphore>,
    bytes_max: u32,
}

/// Room that an answer takes, given back when it is dropped.
#[derive(Debug, Default)]
pub struct Room(Option<OwnedSemaphorePermit>);

impl AnswerBudget {
    /// Shares out so many bytes, 4 GiB at most.
    pub fn new(bytes_max: usize) -> Self {
        let bytes_max = u32::try_from(bytes_max).unwrap_or(u32::MAX);
        let bytes = Semaphore::new(usize::try_from(bytes_max).unwrap_or(Semaphore::MAX_PERMITS));
        Self { bytes: Arc::new(bytes), bytes_max }
    }

    /// Takes room for an answer before it is made; waits a moment for it, in the order of asking.
    ///
    /// # Errors
    /// [`Crowded`].
    ///
    /// # Cancel safety
    /// Dropping it takes nothing.
    pub async fn reserve(&self, bytes: usize) -> Result<Room, Crowded> {
        let wanted = self.share(bytes);
        if wanted == 0 {
            return Ok(Room::default());
        }
        let taking = Arc::clone(&self.bytes).acquire_many_owned(wanted);
        match timeout(PATIENCE, taking).await {
            Ok(Ok(permit)) => Ok(Room(Some(permit))),
            Ok(Err(_)) | Err(_) => Err(Crowded),
        }
    }

    /// Makes an answer's room as large as the answer is, without waiting: it is there already.
    fn fit(&self, room: Room, bytes: usize) -> Result<Room, Crowded> {
        let wanted = usize::try_from(self.share(bytes)).unwrap_or(usize::MAX);
        let mut permit = match room.0 {
            _ if wanted == 0 => return Ok(Room::default()),
            Some(permit) => permit,
            None => self.take(0)?,
        };
        let has = permit.num_permits();
        drop(permit.split(has.saturating_sub(wanted)));
        permit.merge(self.take(wanted.saturating_sub(has))?);
        Ok(Room(Some(permit)))
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Crowded> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Arc::clone(&self.bytes).try_acquire_many_owned(bytes).map_err(|_none_left| Crowded)
    }

    /// Gives what an answer counts for; one larger than all there is goes alone.
    fn share(&self, bytes: usize) -> u32 {
        if bytes <= FREE_BYTES {
            return 0;
        }
        u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max)
    }
}

/// Ties room to an answer's bytes, without a copy: it is given back once nobody holds them, the socket included.
///
/// # Errors
/// [`Crowded`], when the answer is larger than its room and there is none left.
pub(super) fn tie(bytes: Bytes, room: Room, budget: &AnswerBudget) -> Result<Bytes, Crowded> {
    let room = budget.fit(room, bytes.len())?;
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
    use super::*;

    const KIB: usize = 1024;

    fn answer(kib: usize) -> Bytes {
        vec![b'x'; kib * KIB].into()
    }

    fn left_kib(budget: &AnswerBudget) -> usize {
        budget.bytes.available_permits() / KIB
    }

    #[tokio::test(start_paused = true)]
    async fn room_shrinks_to_the_answer_and_comes_back_when_its_last_byte_is_gone() {
        let budget = AnswerBudget::new(1_000 * KIB);
        let room = budget.reserve(600 * KIB).await.unwrap();
        assert_eq!(left_kib(&budget), 400);
        let made = answer(100);
        let place = made.as_ptr();
        let mut sent = tie(made, room, &budget).unwrap();
        assert_eq!((left_kib(&budget), sent.as_ptr()), (900, place), "copied, or not given back");
        let rest = sent.split_off(KIB);
        drop(sent);
        assert_eq!(left_kib(&budget), 900);
        drop(rest);
        assert_eq!(left_kib(&budget), 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn small_answers_need_none_and_others_are_refused_when_there_is_none() {
        let budget = AnswerBudget::new(100 * KIB);
        let all = tie(answer(1_000), Room::default(), &budget).unwrap();
        assert_eq!(left_kib(&budget), 0, "one that is larger than all takes all");
        assert_eq!(budget.reserve(17 * KIB).await.unwrap_err(), Crowded);
        assert_eq!(tie(answer(17), Room::default(), &budget).unwrap_err(), Crowded);
        let none = budget.reserve(FREE_BYTES).await.unwrap();
        assert_eq!(tie(answer(16), none, &budget).unwrap().len(), FREE_BYTES);
        drop(all);
        let few = budget.reserve(17 * KIB).await.unwrap();
        drop(tie(answer(100), few, &budget).unwrap());
        assert_eq!(left_kib(&budget), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_gets_room_as_soon_as_there_is_some() {
        let budget = AnswerBudget::new(100 * KIB);
        let first = budget.reserve(100 * KIB).await.unwrap();
        let (second, ()) = tokio::join!(budget.reserve(50 * KIB), async { drop(first) });
        assert_eq!((second.is_ok(), left_kib(&budget)), (true, 50));
    }
}
