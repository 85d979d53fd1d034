//! A consumer process that nothing but a wake ever wakes, for the tests of wakes.
//!
//! `events-test-bell PATH CHANNEL FLOOR_MS` prints `ready` when it has looked in vain and waits,
//! then for each event its payload and how many microseconds ago the payload says it was sent. It
//! polls once an hour, and for commits without a ring every `FLOOR_MS`. It ends when its standard
//! input is closed.

use std::io::{Read as _, Write as _};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use event_channels::{Backend as _, ChannelName, Next, Result, Settlement, Subscribe, Verdict};
use events_queue_sqlite::{SqliteConfig, open};

/// Long enough for the first look, whose end cannot be seen from here.
const FIRST_LOOK: Duration = Duration::from_millis(50);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, channel, floor] = &arguments[..] else {
        panic!("usage: events-test-bell PATH CHANNEL FLOOR_MS");
    };
    let mut config = SqliteConfig::file(path);
    config.queue.poll_interval = Duration::from_secs(3600);
    config.floor = Duration::from_millis(floor.parse().expect("a number of milliseconds"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let backend = open(config, runtime.handle())?;
    let mut events = backend
        .subscribe(Subscribe::new(ChannelName::new(channel)?))
        .wait()?;
    let closer = events.closer();
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        closer.close();
    });
    let mut next = events.wait_next(Some(Instant::now() + FIRST_LOOK));
    if matches!(next, Next::TimedOut) {
        say("ready");
        next = events.wait_next(None);
    }
    while let Next::Event(message) = next {
        let now = micros_now();
        let message = message?;
        let sent = message.payload.as_i64().unwrap_or(now);
        say(&format!("{} {}", message.payload, now - sent));
        let settlement = Settlement {
            event_id: message.event_id,
            receipt: message.receipt(),
            verdict: Verdict::Ack,
        };
        backend.settle(vec![settlement]).wait()?;
        next = events.wait_next(None);
    }
    backend.shutdown().wait()
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn micros_now() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or_default()
}
