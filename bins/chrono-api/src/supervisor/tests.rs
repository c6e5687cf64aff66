//! Tasks that die, and what becomes of them.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use chrono_domain::{ManualClock, SystemClock, Timestamp};
use futures_util::future::pending;
use tokio::sync::{Notify, watch};

use super::*;

const SOON: Duration = Duration::from_secs(5);

fn supervisor() -> (Arc<ManualClock>, Supervisor) {
    let clock = Arc::new(ManualClock::new(Timestamp::MIN));
    (Arc::clone(&clock), Supervisor::new(clock))
}

/// Waits until `done` holds, and fails when it never does.
async fn until(done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(SOON, wait).await.expect("it never came true");
}

#[tokio::test]
async fn a_task_that_panics_is_started_again_and_named_until_it_has_settled() {
    let (clock, supervisor) = supervisor();
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&attempts);
    supervisor.task("flaky", Policy::Forever, move || {
        let attempt = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            assert!(attempt >= 2, "attempt {attempt} fails");
            pending::<()>().await;
        }
    });
    until(|| attempts.load(Ordering::SeqCst) == 3).await;
    until(|| supervisor.faults() == ["flaky was restarted, 2 times so far"]).await;
    clock.advance(SETTLED);
    assert!(supervisor.faults().is_empty());
    assert!(supervisor.shutdown(SOON).await.is_empty());
    assert_eq!(attempts.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn restarts_come_ever_later_until_a_task_has_settled() {
    let (clock, supervisor) = supervisor();
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&attempts);
    supervisor.task("broken", Policy::Forever, move || {
        // The seventh attempt runs for a while by the clock.
        if counted.fetch_add(1, Ordering::SeqCst) == 6 {
            clock.advance(SETTLED);
        }
        async { panic!("always") }
    });
    // After 50 ms, 100, 200, 400, 800 and 1,600: 3,150 in all.
    sleep(Duration::from_millis(3_149)).await;
    assert_eq!(attempts.load(Ordering::SeqCst), 6);
    // The seventh at 3,150, then after 50 ms and 100 again.
    sleep(Duration::from_millis(52)).await;
    assert_eq!(attempts.load(Ordering::SeqCst), 8);
    sleep(Duration::from_millis(100)).await;
    assert_eq!(attempts.load(Ordering::SeqCst), 9);
    assert!(supervisor.shutdown(SOON).await.is_empty());
}

#[tokio::test]
async fn a_task_that_is_down_is_named() {
    let (_clock, supervisor) = supervisor();
    supervisor.task("broken", Policy::Forever, || async { panic!("always") });
    until(|| supervisor.faults().iter().any(|fault| fault.starts_with("broken is down after")))
        .await;
    assert!(supervisor.shutdown(SOON).await.is_empty(), "a backoff does not hold the stop up");
}

#[tokio::test]
async fn returning_is_a_fault_for_ever_and_the_end_of_a_task_to_end() {
    let (_clock, supervisor) = supervisor();
    let (ended, returned) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (count_ended, count_returned) = (Arc::clone(&ended), Arc::clone(&returned));
    supervisor.task("ends", Policy::ToEnd, move || {
        count_ended.fetch_add(1, Ordering::SeqCst);
        async {}
    });
    supervisor.task("returns", Policy::Forever, move || {
        count_returned.fetch_add(1, Ordering::SeqCst);
        async {}
    });
    until(|| returned.load(Ordering::SeqCst) >= 2).await;
    assert_eq!(ended.load(Ordering::SeqCst), 1);
    assert!(supervisor.shutdown(SOON).await.is_empty());
}

#[tokio::test]
async fn a_thread_that_panics_is_started_again_and_ends_with_its_queue() {
    let (_clock, supervisor) = supervisor();
    let (queue, work) = std::sync::mpsc::sync_channel::<u32>(4);
    let work = Mutex::new(work);
    let sum = Arc::new(AtomicU32::new(0));
    let total = Arc::clone(&sum);
    supervisor.thread("adder", move || {
        let work = work.lock().unwrap_or_else(PoisonError::into_inner);
        for number in work.iter() {
            assert!(number != 13, "unlucky");
            total.fetch_add(number, Ordering::SeqCst);
        }
    });
    for number in [1, 13, 2] {
        queue.send(number).unwrap();
    }
    until(|| sum.load(Ordering::SeqCst) == 3).await;
    assert_eq!(supervisor.faults(), ["adder was restarted, 1 times so far"]);
    drop(queue);
    assert!(supervisor.shutdown(SOON).await.is_empty());
}

#[tokio::test]
async fn a_connection_that_panics_ends_alone() {
    let (_clock, supervisor) = supervisor();
    let served = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&served);
    supervisor.connection(async { panic!("bad peer") });
    supervisor.connection(async move { done.store(true, Ordering::SeqCst) });
    until(|| served.load(Ordering::SeqCst)).await;
    assert!(supervisor.faults().is_empty());
    assert!(supervisor.shutdown(SOON).await.is_empty());
}

#[tokio::test]
async fn connections_finish_before_tasks_are_dropped() {
    let supervisor = Supervisor::new(Arc::new(SystemClock::new()));
    let (answers, answer) = watch::channel(0);
    let asked = Arc::new(Notify::new());
    let question = Arc::clone(&asked);
    supervisor.task("answerer", Policy::Forever, move || {
        let (answers, question) = (answers.clone(), Arc::clone(&question));
        async move {
            loop {
                question.notified().await;
                answers.send_modify(|count| *count += 1);
            }
        }
    });
    let draining = supervisor.draining();
    let mut wait = answer.clone();
    supervisor.connection(async move {
        draining.cancelled().await;
        asked.notify_one();
        wait.wait_for(|count| *count == 1).await.expect("the task was dropped too early");
    });
    assert!(supervisor.shutdown(SOON).await.is_empty());
    assert_eq!(*answer.borrow(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_cuts_connections_and_names_what_does_not_end() {
    let (_clock, supervisor) = supervisor();
    let cut = Arc::new(Notify::new());
    let guard = scope_end(Arc::clone(&cut));
    supervisor.connection(async move {
        let _guard = guard;
        pending::<()>().await;
    });
    supervisor.task("stubborn", Policy::ToEnd, pending::<()>);
    assert_eq!(supervisor.shutdown(Duration::from_millis(10)).await, ["stubborn"]);
    timeout(SOON, cut.notified()).await.expect("the connection was not dropped");
}

fn scope_end(told: Arc<Notify>) -> impl Send {
    struct Guard(Arc<Notify>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    Guard(told)
}
