//! Guarantee 13: a handler that panics fails its event, and only that one.

use std::collections::BTreeMap;
use std::panic::panic_any;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use event_channels::{DeadLetter, EventMessage, EventsConfig, ListenOptions, blocking};
use events_testkit::process::PATIENCE;
use tokio::runtime::Runtime;

const EVENTS: u64 = 40;
const ATTEMPTS: usize = 2;

/// How often the handler was run with each event.
type Runs = Arc<Mutex<BTreeMap<u64, usize>>>;

/// Notes the event; some panic, each in another way.
fn handle(runs: &Runs, message: &EventMessage) {
    let n = message.payload.as_u64().unwrap();
    *runs.lock().unwrap().entry(n).or_insert(0) += 1;
    match n % 10 {
        3 => panic!("as the test wants it"),
        7 => panic_any(n),
        _ => {}
    }
}

fn panics(n: u64) -> bool {
    matches!(n % 10, 3 | 7)
}

/// A new file with events.
fn published(folder: &tempfile::TempDir) -> (EventsConfig, blocking::EventChannel) {
    let url = format!("sqlite:{}", folder.path().join("app.db").display());
    let config = EventsConfig::new(url).unwrap();
    let config = config
        .max_attempts(ATTEMPTS.try_into().unwrap())
        .backoff_base(Duration::from_millis(10));
    let channel = blocking::EventChannel::open(config.clone()).unwrap();
    for n in 0..EVENTS {
        channel.publish("orders", n).unwrap();
    }
    (config, channel)
}

/// The others were handled once each and acknowledged; those that panicked were tried again, and
/// became dead letters that say why.
fn check(channel: &blocking::EventChannel, runs: &Runs, is_running: impl Fn() -> bool) {
    let bad = (0..EVENTS).filter(|n| panics(*n)).count() as u64;
    let until = Instant::now() + PATIENCE;
    loop {
        let stats = channel.stats("orders").unwrap().total();
        if stats.acked + stats.dead == EVENTS {
            assert_eq!((stats.acked, stats.dead), (EVENTS - bad, bad));
            break;
        }
        assert!(Instant::now() < until, "{stats:?}");
        std::thread::sleep(Duration::from_millis(5)); // between two looks
    }
    assert!(is_running());
    let expected: BTreeMap<_, _> = (0..EVENTS)
        .map(|n| (n, if panics(n) { ATTEMPTS } else { 1 }))
        .collect();
    assert_eq!(*runs.lock().unwrap(), expected);
    let admin = channel.admin().unwrap();
    let dead = admin.dead_letters("orders".try_into().unwrap(), 100).wait();
    for DeadLetter {
        payload,
        reason,
        last_error,
        ..
    } in dead.unwrap()
    {
        let said = match payload.as_u64().unwrap() % 10 {
            3 => "handler panicked: as the test wants it",
            _ => "handler panicked: (no text)",
        };
        assert_eq!(
            (&*reason, last_error.as_deref()),
            ("max_attempts", Some(said))
        );
    }
}

#[test]
fn g13_a_handler_that_panics_fails_its_event_only() {
    let runtime = Runtime::new().unwrap();
    for (concurrency, at_once) in [(1, false), (1, true), (4, false), (4, true)] {
        let folder = tempfile::tempdir().unwrap();
        let (config, watching) = published(&folder);
        let channel = runtime.block_on(config.open()).unwrap();
        let runs = Runs::default();
        let noted = Arc::clone(&runs);
        let handler = move |message: EventMessage| {
            // Before the future of the handler is there, or while it is polled.
            if at_once {
                handle(&noted, &message);
            }
            let noted = Arc::clone(&noted);
            async move {
                tokio::task::yield_now().await;
                if !at_once {
                    handle(&noted, &message);
                }
                Ok(())
            }
        };
        let options = ListenOptions::new().concurrency(concurrency);
        let listener = runtime.block_on(channel.listen("orders", options, handler));
        let listener = listener.unwrap();
        check(&watching, &runs, || listener.is_running());
        runtime.block_on(listener.stop());
    }
}

#[test]
fn g13_a_handler_on_a_thread_that_panics_fails_its_event_only() {
    let folder = tempfile::tempdir().unwrap();
    let (_, channel) = published(&folder);
    let runs = Runs::default();
    let noted = Arc::clone(&runs);
    let handler = move |message: EventMessage| {
        handle(&noted, &message);
        Ok(())
    };
    let options = ListenOptions::new().concurrency(3);
    let listener = channel.listen("orders", options, handler).unwrap();
    check(&channel, &runs, || listener.is_running());
    listener.stop().unwrap();
}
