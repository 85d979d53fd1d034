//! Wake-ups across processes: the bell, and the floor below it.
//!
//! Consumers here poll once an hour. Where a test is about the bell the floor is out of reach as
//! well, so that one lost wake fails the test.

mod peer;

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;
use std::time::Duration;

use event_channels::{
    Backend as _, BoxSubscription, EventMessage, NewEvent, PublishOptions, RetryAfter,
};

use events_queue_sqlite::TransactionalPublish as _;

use self::peer::{Listener, NEVER, Publisher, micros_now, print_percentiles, take};

const FLOOR: Duration = Duration::from_millis(100);

/// Each wake stands alone: neither the floor nor a poll would bring an event that is slept over.
#[test]
fn no_wake_across_processes_is_lost() {
    let events = match std::env::var_os("EVENTS_TEST_LONG") {
        Some(_) => 10_000,
        None => 2_000,
    };
    let publisher = Publisher::new();
    let listener = Listener::start(&publisher.path, NEVER);
    let mut random = fastrand::Rng::with_seed(7);
    let latencies = (0..events).map(|n| {
        // Meets the consumer at any point of its way back to waiting.
        thread::sleep(Duration::from_micros(random.u64(0..400)));
        publisher.publish_now();
        listener.latency(&format!("event {n}"))
    });
    print_percentiles("wakes across two processes", latencies.collect());
    listener.stop();
}

/// Whatever makes an event claimable in one process wakes the consumer of another.
#[test]
fn everything_that_makes_an_event_claimable_wakes_another_process() {
    type Act = fn(&Publisher, BoxSubscription, EventMessage);
    let acts: [(&str, Act); 4] = [
        ("a nack without a delay", |publisher, _events, message| {
            publisher.nack(&message, RetryAfter::Delay(Duration::ZERO));
        }),
        (
            "a nack with a short delay",
            |publisher, _events, message| {
                publisher.nack(&message, RetryAfter::Delay(Duration::from_millis(30)));
            },
        ),
        ("a release", |_, events, _| drop(events)),
        ("a requeue", |publisher, _events, message| {
            publisher.nack(&message, RetryAfter::Never);
            let admin = publisher.backend.admin().unwrap();
            let back = admin.requeue("orders".try_into().unwrap(), None).wait();
            assert_eq!(back.unwrap(), 1);
        }),
    ];
    for (what, act) in acts {
        let publisher = Publisher::new();
        publisher.publish_now();
        publisher.publish_now();
        // The second event waits in the buffer of the same consumer.
        let mut events = publisher.subscribe(2);
        let message = take(&mut events);
        let listener = Listener::start(&publisher.path, NEVER);
        act(&publisher, events, message);
        listener.latency(what);
        listener.stop();
    }
}

#[test]
fn an_event_that_is_due_sooner_shortens_the_wait_of_another_process() {
    let publisher = Publisher::new();
    let delayed =
        |delay| NewEvent::new("orders", micros_now()).options(PublishOptions::new().delay(delay));
    publisher
        .backend
        .publish(vec![delayed(NEVER)])
        .wait()
        .unwrap();
    let listener = Listener::start(&publisher.path, NEVER);
    publisher.publish(delayed(Duration::from_millis(40)));
    let latency = listener.latency("the sooner event");
    assert!(latency >= Duration::from_millis(40), "{latency:?}");
    listener.stop();
}

/// The lock of a process that listens goes with it, however it ends.
#[test]
fn a_process_that_is_alone_rings_nothing() {
    let publisher = Publisher::new();
    let page = || fs::read(publisher.bell()).unwrap();
    let silent = page();
    publisher.publish(NewEvent::new("mail", 1));
    assert_eq!(page(), silent, "nobody listens");

    let mut listener = Listener::start(&publisher.path, NEVER);
    publisher.publish_now();
    listener.latency("a publish while somebody listens");
    let rung = page();
    assert_ne!(rung, silent);

    listener.child.kill().unwrap();
    listener.child.wait().unwrap();
    publisher.publish_now();
    assert_eq!(page(), rung, "the listener was killed");
}

/// A bell that is deleted, again and again, costs at most the floor.
#[test]
fn g9_a_deleted_bell_delays_an_event_by_the_floor_at_most() {
    let publisher = Publisher::new();
    let listener = Listener::start(&publisher.path, FLOOR);
    let latencies = (0..200).map(|n| {
        if n % 10 == 0 {
            let _ = fs::remove_file(publisher.bell());
        }
        publisher.publish_now();
        listener.latency(&format!("event {n}"))
    });
    print_percentiles("with a bell that is deleted", latencies.collect());
    // The listener looks for it once a second at least.
    let until = std::time::Instant::now() + Duration::from_secs(30);
    while !publisher.bell().exists() {
        assert!(std::time::Instant::now() < until, "it was not made again");
        thread::sleep(Duration::from_millis(5)); // between two looks
    }
    listener.stop();
}

/// After a deletion the bell works again, not only the floor.
#[test]
fn a_deleted_bell_is_rung_again() {
    let publisher = Publisher::new();
    let listener = Listener::start(&publisher.path, NEVER);
    for n in 0..5 {
        fs::remove_file(publisher.bell()).unwrap();
        // The publisher notices within a tenth of a second. Until then it rings the old one, so
        // the event may need a second ring, but never an hour.
        let woken = (0..100).any(|_| {
            publisher.publish_now();
            listener
                .lines
                .recv_timeout(Duration::from_millis(50))
                .is_ok()
        });
        assert!(woken, "deletion {n}: the bell stays silent");
        while listener
            .lines
            .recv_timeout(Duration::from_millis(100))
            .is_ok()
        {}
    }
    listener.stop();
}

/// What stands in place of the bell is neither followed nor changed, and delivery goes on.
#[test]
fn whatever_takes_the_place_of_the_bell_delivery_goes_on() {
    type Replace = fn(&Path) -> io::Result<()>;
    let replacements: [(&str, Replace); 4] = [
        ("a folder", |bell| fs::create_dir(bell)),
        ("a link", |bell| {
            let target = bell.with_extension("target");
            fs::write(&target, "untouched")?;
            symlink(target, bell)
        }),
        ("a text", |bell| {
            let made = bell.with_extension("made");
            fs::write(&made, "untouched")?;
            fs::rename(made, bell)
        }),
        ("the bell of another database", |bell| {
            let other = Publisher::new();
            let made = bell.with_extension("made");
            fs::copy(other.bell(), &made)?;
            fs::rename(made, bell)
        }),
    ];
    for (what, replace) in replacements {
        let publisher = Publisher::new();
        let listener = Listener::start(&publisher.path, FLOOR);
        let latencies = (0..30).map(|n| {
            if n == 10 {
                // The listener makes it again at once, so this may need another try.
                while replace(&publisher.bell()).is_err() {
                    let _ = fs::remove_file(publisher.bell());
                }
            }
            publisher.publish_now();
            listener.latency(&format!("{what}: event {n}"))
        });
        print_percentiles(what, latencies.collect());
        for file in [publisher.bell(), publisher.bell().with_extension("target")] {
            if let Ok(text) = fs::read_to_string(file) {
                assert!(
                    !text.starts_with("untouched") || text == "untouched",
                    "{what}"
                );
            }
        }
        listener.stop();
    }
}

/// As when a publisher is killed between its COMMIT and its ring.
#[test]
fn a_commit_that_rang_nothing_is_found_by_the_floor_of_another_process() {
    let publisher = Publisher::new();
    let listener = Listener::start(&publisher.path, FLOOR);
    let database = rusqlite::Connection::open(&publisher.path).unwrap();
    let latencies = (0..20).map(|n| {
        database
            .execute(
                "INSERT INTO sqlspec_event_queue (queue_id, event_id, available_at, created_at, payload)
                 SELECT queue_id, randomblob(16), 0, 0, ?1 FROM sqlspec_event_queue_queue",
                [micros_now().to_string()],
            )
            .unwrap();
        listener.latency(&format!("event {n}"))
    });
    print_percentiles("commits without a ring", latencies.collect());
    listener.stop();
}

/// Neither floor nor poll is within reach: the bell of the transaction wakes the other process.
#[test]
fn a_transaction_of_the_callers_wakes_another_process() {
    let publisher = Publisher::new();
    let listener = Listener::start(&publisher.path, NEVER);
    let mut database = rusqlite::Connection::open(&publisher.path).unwrap();
    for n in 0..20 {
        let tx = database.transaction().unwrap();
        let event = NewEvent::new("orders", micros_now());
        let (_, bell) = publisher.backend.publish_in(&tx, event).unwrap();
        tx.commit().unwrap();
        bell.ring();
        listener.latency(&format!("event {n}"));
    }
    listener.stop();
}
