//! Calls that come together, are refused, given up, or too many.

use super::*;
use events_testkit::cancel_at;
use tokio::runtime::{Builder, Handle};
use tokio::sync::Semaphore;

/// Answers each number doubled; refuses whatever a 13 is in.
struct Doubling {
    allowed: Semaphore,
    batches: Mutex<Vec<Vec<u32>>>,
}

impl Shared for Doubling {
    type Request = u32;
    type Answer = u32;
    const MOST: usize = 4;
    const OP: Op = Op::Publish;

    fn weight(request: &u32) -> Option<usize> {
        (*request < 100 || *request >= 1_000_000).then_some(1)
    }

    /// Between 50 and 100.
    fn is_urgent(request: &u32) -> bool {
        (50..100).contains(request)
    }

    /// A number from a million on is of that many bytes.
    fn bytes(request: &u32) -> usize {
        usize::try_from(*request).unwrap() / 1_000_000 * 1_000_000
    }

    async fn run(&self, requests: &[u32]) -> Result<Vec<Result<u32>>> {
        self.allowed.acquire().await.unwrap().forget();
        self.batches.lock().push(requests.to_vec());
        if requests.contains(&13) {
            return Err(Error::invalid_input(Op::Publish, "13"));
        }
        Ok(requests.iter().map(|n| Ok(n * 2)).collect())
    }
}

fn batches_of(numbers: &[u32]) -> (Vec<Vec<u32>>, Vec<Result<u32>>) {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let tasks = Tasks::new("poll_queue", Handle::current());
        let gather = Gather::new(Doubling {
            allowed: Semaphore::new(0),
            batches: Mutex::default(),
        });
        let asked: Vec<_> = numbers
            .iter()
            .map(|number| tokio::spawn(gather.ask(&tasks, *number).work))
            .collect();
        // Every call has been made before the first one is served.
        gather.work.allowed.add_permits(1000);
        let mut answers = Vec::new();
        for answer in asked {
            answers.push(answer.await.unwrap());
        }
        assert!(!gather.queue.lock().served);
        let batches = gather.work.batches.lock().clone();
        (batches, answers)
    })
}

#[test]
fn calls_share_work_in_their_order_and_each_gets_its_own_answer() {
    let (batches, answers) = batches_of(&[1, 2, 3, 4, 5, 6]);
    assert_eq!(batches, [vec![1, 2, 3, 4], vec![5, 6]]);
    let answers: Vec<u32> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, [2, 4, 6, 8, 10, 12]);
}

#[test]
fn one_that_must_be_alone_is_and_keeps_its_place() {
    let (batches, _) = batches_of(&[1, 100, 2, 3]);
    assert_eq!(batches, [vec![1], vec![100], vec![2, 3]]);
}

#[test]
fn urgent_ones_wait_for_nothing_but_what_is_under_way() {
    let (batches, _) = batches_of(&[1, 2, 3, 4, 5, 50, 6, 51]);
    assert_eq!(batches, [vec![50, 51, 1, 2], vec![3, 4, 5, 6]]);
}

#[test]
fn one_that_is_refused_takes_nobody_with_it() {
    let (batches, answers) = batches_of(&[1, 13, 2]);
    assert_eq!(batches, [vec![1, 13, 2], vec![1], vec![13], vec![2]]);
    let refused: Vec<bool> = answers.iter().map(Result::is_err).collect();
    assert_eq!(refused, [false, true, false]);
}

#[test]
fn a_service_that_is_dropped_tells_those_who_wait() {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let tasks = Tasks::new("poll_queue", Handle::current());
        let gather = Gather::new(Doubling {
            allowed: Semaphore::new(0),
            batches: Mutex::default(),
        });
        let leader = gather.ask(&tasks, 1);
        let other = gather.ask(&tasks, 2);
        drop(leader);
        assert_eq!(other.work.await.unwrap_err().kind(), ErrorKind::Closed);
        gather.work.allowed.add_permits(1);
        assert_eq!(gather.ask(&tasks, 3).work.await.unwrap(), 6);
    });
}

#[test]
fn a_statement_holds_a_bounded_number_of_bytes_and_at_least_one_call() {
    let (batches, _) = batches_of(&[3_000_000, 1_000_000, 1_000_000, 9_000_000, 1]);
    let expected = [
        vec![3_000_000, 1_000_000],
        vec![1_000_000],
        vec![9_000_000],
        vec![1],
    ];
    assert_eq!(batches, expected);
}

/// Callers that give up while the server is stuck leave no more than so much behind; those who
/// wait are served.
#[test]
fn only_so_much_is_kept_whatever_its_callers_do() {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let tasks = Tasks::new("poll_queue", Handle::current());
        let gather = Gather::new(Doubling {
            allowed: Semaphore::new(0),
            batches: Mutex::default(),
        });
        let call = |number| {
            let (gather, own) = (Arc::clone(&gather), Arc::clone(&tasks));
            tasks.submit_line(Op::Publish, move || gather.ask(&own, number))
        };
        // Each is asked for, then given up.
        for round in 0..4 {
            for n in 0..MOST_KEPT {
                assert!(cancel_at(1, call(1)).await.is_none());
                if n % FEW == 0 {
                    tokio::task::yield_now().await;
                }
            }
            let waiting = gather.queue.lock().waiting.len();
            assert!(waiting <= MOST_KEPT * 2, "{round}: {waiting}");
        }
        let waits = call(2);
        let waits = tokio::spawn(waits);
        tokio::task::yield_now().await;
        gather.work.allowed.add_permits(MOST_KEPT);
        assert_eq!(waits.await.unwrap().unwrap(), 4);
        let done: usize = gather.work.batches.lock().iter().map(Vec::len).sum();
        assert!(
            (MOST_KEPT..=MOST_KEPT + 2).contains(&done),
            "the kept ones, the first and the one that waited: {done}"
        );
        assert_eq!(gather.queue.lock().bytes, 0);
    });
}

#[test]
fn large_events_that_nobody_waits_for_are_bounded_by_their_bytes() {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let tasks = Tasks::new("poll_queue", Handle::current());
        let gather = Gather::new(Doubling {
            allowed: Semaphore::new(0),
            batches: Mutex::default(),
        });
        for _ in 0..1000 {
            let (gather, own) = (Arc::clone(&gather), Arc::clone(&tasks));
            let asked = tasks.submit_line(Op::Publish, move || gather.ask(&own, 1_000_000));
            assert!(cancel_at(1, asked).await.is_none());
            tokio::task::yield_now().await;
        }
        let waiting = gather.queue.lock().waiting.len();
        assert!(waiting <= 2 * 16 + 2, "{waiting} MB");
    });
}
