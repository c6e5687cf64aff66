//! Names of batches that were not stored use up no cap, and those of batches that may be stored do.

use super::*;

/// Room for one name of each kind.
const ONE: NameLimits = NameLimits { symbols: 1, sources: 1, workers: 1 };

fn capped(queue_batches: usize) -> IngestSettings {
    IngestSettings { names: ONE, queue_batches, ..IngestSettings::default() }
}

/// Tells whether the one place of each kind is free.
async fn takes_another(house: &House) -> bool {
    let fate = house.ingest.submit(batch_of("w2", "s2", "C/D", &["2"]), None).await;
    match fate {
        Ok(_) => true,
        Err(IngestError::Refused(fault)) if fault.field == "worker_id" => false,
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_store_that_refuses_gives_the_names_back() {
    for fault in [Fault::Unavailable, Fault::Overloaded, Fault::Refuse(0)] {
        let mut house = house(capped(9)).await;
        house.store.next_commit(fault);
        house.start_writer();
        house.ingest.submit(batch("A/B", &["1"]), None).await.unwrap_err();
        assert!(takes_another(&house).await, "{fault:?}");
    }
}

#[tokio::test]
async fn names_of_what_may_be_stored_stay() {
    for fault in [Fault::UnknownStored, Fault::UnknownLost] {
        let mut house = house(capped(9)).await;
        house.store.next_commit(fault);
        house.start_writer();
        let fate = house.ingest.submit(batch("A/B", &["1"]), None).await;
        assert!(matches!(fate, Err(IngestError::OutcomeUnknown)));
        assert!(!takes_another(&house).await, "{fault:?}");
        house.ingest.submit(batch("A/B", &["2"]), None).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_and_a_batch_that_waited_too_long_give_the_names_back() {
    let two = NameLimits { symbols: 2, sources: 2, workers: 2 };
    let mut house = house(IngestSettings { names: two, ..capped(1) }).await;
    let first = house.ingest.submit(batch("A/B", &["1"]), None);
    let second = house.ingest.submit(batch_of("w3", "s3", "E/F", &["1"]), None);
    let (first, second) = tokio::join!(first, second);
    assert!(matches!(first, Err(IngestError::Expired)));
    assert!(matches!(second, Err(IngestError::Overloaded)));
    house.start_writer();
    while house.ingest.waiting() > 0 {
        tokio::task::yield_now().await;
    }
    for name in ["5", "6"] {
        let (worker, source, symbol) =
            (format!("w{name}"), format!("s{name}"), format!("A/{name}"));
        let fate = house.ingest.submit(batch_of(&worker, &source, &symbol, &["1"]), None).await;
        assert!(fate.is_ok(), "{name}: {fate:?}");
    }
}

#[tokio::test]
async fn a_worker_none_of_whose_feeds_is_taken_uses_up_no_name() {
    let names = NameLimits { symbols: 1, sources: 9, workers: 2 };
    let mut house = house(IngestSettings { names, ..IngestSettings::default() }).await;
    house.start_writer();
    house.ingest.submit(batch("A/B", &["1"]), None).await.unwrap();
    let refused = house.ingest.submit(batch_of("x", "s", "C/D", &["1"]), None).await;
    assert!(matches!(refused, Err(IngestError::AllRefused(_))), "{refused:?}");
    house.ingest.submit(batch_of("y", "s", "A/B", &["1"]), None).await.unwrap();
    let refused = house.ingest.submit(batch_of("z", "s", "A/B", &["1"]), None).await;
    assert!(matches!(refused, Err(IngestError::Refused(_))), "{refused:?}");
}

#[tokio::test]
async fn what_one_batch_gives_back_another_may_have_stored() {
    let mut house = house(capped(9)).await;
    house.store.next_commit(Fault::Refuse(1));
    let ingest = Arc::clone(&house.ingest);
    let three = async {
        tokio::join!(
            ingest.submit(batch("A/B", &["1"]), None),
            ingest.submit(batch("A/B", &["2", "3"]), None),
            ingest.submit(batch("A/B", &["4"]), Some(key("k"))),
        )
    };
    let writing = async {
        while house.ingest.waiting() < 3 {
            tokio::task::yield_now().await;
        }
        house.start_writer();
    };
    let ((first, second, third), ()) = tokio::join!(three, writing);
    assert!(first.is_ok() && third.is_ok() && second.is_err());
    assert!(!takes_another(&house).await);
    house.ingest.submit(batch("A/B", &["5"]), None).await.unwrap();
}
