//! A consumer in this process that waits while others publish, and notes what it is given.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use event_channels::{Closer, EventsConfig, GroupStats, blocking};

use crate::peer::{PATIENCE, url};

/// The poll interval of the watching consumer: what a lost wake may cost.
pub(crate) const POLL: Duration = Duration::from_millis(200);

/// What was seen: by number, the id, the attempts and when.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) n: u64,
    pub(crate) id: String,
    pub(crate) attempts: u32,
    pub(crate) at: Instant,
}

/// Consumes the channel `orders` on a thread and acknowledges everything.
#[derive(Debug)]
pub(crate) struct Watch {
    channel: blocking::EventChannel,
    closer: Closer,
    seen: Receiver<Seen>,
    thread: JoinHandle<()>,
}

impl Watch {
    /// The consumer is live when this returns.
    pub(crate) fn start(file: &Path, options: &str) -> Self {
        let config = EventsConfig::new(url(file)).unwrap().poll_interval(POLL);
        let channel = blocking::EventChannel::open(config.with_toml_str(options).unwrap()).unwrap();
        let mut events = channel.iter_events("orders").unwrap();
        let (tell, seen) = mpsc::channel();
        let (closer, acking) = (events.closer(), channel.clone());
        let thread = std::thread::spawn(move || {
            for message in &mut events {
                let message = message.unwrap();
                let at = Instant::now();
                let _ = acking.ack(&message).unwrap();
                let seen = Seen {
                    n: message.payload["n"].as_u64().unwrap(),
                    id: message.event_id.to_string(),
                    attempts: message.attempts,
                    at,
                };
                tell.send(seen).unwrap();
            }
        });
        Self {
            channel,
            closer,
            seen,
            thread,
        }
    }

    /// Waits until the queue holds nothing that could still be delivered; then everything that was
    /// seen, by number, and the counts.
    pub(crate) fn drain(self) -> (BTreeMap<u64, Seen>, GroupStats) {
        let until = Instant::now() + PATIENCE;
        let stats = loop {
            let stats = self.channel.stats("orders").unwrap().total();
            if stats.ready + stats.delayed + stats.leased == 0 {
                break stats;
            }
            assert!(
                Instant::now() < until,
                "the queue is not drained: {stats:?}"
            );
            std::thread::sleep(Duration::from_millis(5)); // between two looks
        };
        self.closer.close();
        self.thread.join().unwrap();
        let mut seen = BTreeMap::new();
        for event in self.seen.try_iter() {
            let n = event.n;
            assert!(seen.insert(n, event).is_none(), "{n} was seen twice");
        }
        self.channel.shutdown().unwrap();
        (seen, stats)
    }
}
