//! Reads that take long, on a connection and a thread of their own, so that no publish, claim or
//! ack waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use events_core::{Error, ErrorKind, Op, Pending, Result};
use rusqlite::Connection;

use crate::error::BACKEND;
use crate::identity::Identity;
use crate::ticket::{Slot, Ticket};
use crate::writer::{Shared, closed};
use crate::{SqliteConfig, look};

/// More reads at once are refused: each has a thread, and a snapshot that the log has to keep.
const MOST: usize = 8;

/// Makes connections for reads.
#[derive(Debug)]
pub(crate) struct Aside {
    config: SqliteConfig,
    identity: Identity,
    running: Arc<AtomicUsize>,
}

impl Aside {
    /// For the file that the writer has open.
    pub(crate) fn new(config: &SqliteConfig, identity: Identity) -> Self {
        Self {
            config: config.clone(),
            identity,
            running: Arc::default(),
        }
    }

    /// Starts a read.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        writer: &Arc<Shared>,
        op: Op,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Pending<T> {
        if writer.queue.lock().closed {
            return Pending::ready(Err(closed(op)));
        }
        let place = Place(Arc::clone(&self.running));
        if place.0.fetch_add(1, Ordering::SeqCst) >= MOST {
            return Pending::ready(Err(Error::new(ErrorKind::Busy, op)
                .because(format!(
                    "{MOST} such reads are under way already; wait for one"
                ))
                .in_backend(BACKEND)));
        }
        let slot = Slot::new(None);
        // Done whatever its caller does.
        slot.admit();
        let (answer, shared) = (Arc::clone(&slot), Arc::clone(writer));
        let (config, mut identity) = (self.config.clone(), self.identity.clone());
        let run = move || {
            let _place = place;
            let read = identity
                .check_now()
                .and_then(|()| look(&config))
                .and_then(|connection| work(&connection));
            answer.finish(read.map_err(|error| error.during(op)), &shared);
        };
        let thread = std::thread::Builder::new().name("events-sqlite-read".to_owned());
        match thread.spawn(run) {
            // Awaited only: a caller that waits for a read must not lead writes meanwhile.
            Ok(_) => Pending::from_future(Ticket::new(slot, Arc::clone(writer))),
            Err(error) => Pending::ready(Err(Error::new(ErrorKind::Unavailable, op)
                .because("no thread can be started")
                .caused_by(error))),
        }
    }
}

struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
