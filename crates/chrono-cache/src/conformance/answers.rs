//! Cases of [`AnswerCache`].

use std::time::Duration;

use bytes::Bytes;

use crate::AnswerCache;

/// Long enough for a backend with a clock of its own.
const LIFE: Duration = Duration::from_secs(2);

/// What was put is got until its time to live is over, and not after; other keys have nothing.
pub async fn what_was_put_is_got_until_its_time_is_over(
    cache: &dyn AnswerCache,
    pass: impl AsyncFn(Duration),
) {
    assert_eq!(cache.get("key").await, None);
    cache.put("key", Bytes::from_static(b"answer\0"), LIFE).await;
    cache.put("longer", Bytes::new(), LIFE * 10).await;
    cache.put("never", Bytes::from_static(b"x"), Duration::ZERO).await;
    assert_eq!(cache.get("key").await.as_deref(), Some(b"answer\0".as_slice()));
    assert_eq!((cache.get("Key").await, cache.get("ke").await), (None, None));
    assert_eq!(cache.get("never").await, None);
    pass(LIFE / 2).await;
    assert_eq!(cache.get("key").await.as_deref(), Some(b"answer\0".as_slice()));
    pass(LIFE / 2).await;
    assert_eq!(cache.get("key").await, None);
    assert_eq!(cache.get("longer").await, Some(Bytes::new()));
}

/// Putting again replaces answer and time to live, be it longer or shorter.
pub async fn putting_again_replaces_answer_and_time(
    cache: &dyn AnswerCache,
    pass: impl AsyncFn(Duration),
) {
    cache.put("longer", Bytes::from_static(b"1"), LIFE).await;
    cache.put("longer", Bytes::from_static(b"2"), LIFE * 10).await;
    cache.put("shorter", Bytes::from_static(b"3"), LIFE * 10).await;
    cache.put("shorter", Bytes::from_static(b"4"), LIFE).await;
    assert_eq!(cache.get("longer").await.as_deref(), Some(b"2".as_slice()));
    assert_eq!(cache.get("shorter").await.as_deref(), Some(b"4".as_slice()));
    pass(LIFE).await;
    assert_eq!(cache.get("longer").await.as_deref(), Some(b"2".as_slice()));
    assert_eq!(cache.get("shorter").await, None);
}

/// The number of bytes held is bounded, by many answers and by one.
pub async fn the_bytes_held_are_bounded(cache: &dyn AnswerCache, bytes_max: usize) {
    const PIECES: usize = 64;
    let piece = Bytes::from(vec![7; bytes_max / 16]);
    for place in 0..PIECES {
        cache.put(&format!("key-{place}"), piece.clone(), LIFE * 100).await;
        let mut held = 0;
        for place in 0..=place {
            held += cache.get(&format!("key-{place}")).await.map_or(0, |answer| answer.len());
        }
        assert!(held <= bytes_max, "{held} bytes are held");
    }
    cache.put("large", piece, LIFE * 100).await;
    cache.put("large", Bytes::from(vec![7; bytes_max + 1]), LIFE * 100).await;
    assert_eq!(cache.get("large").await, None);
}
