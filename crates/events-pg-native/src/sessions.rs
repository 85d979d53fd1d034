//! Whether each connection of the pool is a session of its own, so that statements can be prepared.
//!
//! Behind a proxy that pools by transaction they cannot: a name may stand for a statement of
//! somebody else. LISTEN works through no such proxy, so where it was seen to work there is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::connector::Connector;
use crate::probe;
use crate::publisher::Publisher;
use crate::session::Heartbeat;

/// A publisher that sends that many statements and never listens finds out by itself.
const WORTH_IT: u32 = 50;

pub(crate) struct Sessions {
    proven: AtomicBool,
    statements: AtomicU32,
    /// How to find out; `None` where LISTEN takes another way, which proves nothing.
    way: Option<(Connector, Heartbeat)>,
}

impl Sessions {
    pub(crate) fn new(way: Option<(Connector, Heartbeat)>) -> Self {
        Self {
            proven: AtomicBool::new(false),
            statements: AtomicU32::new(0),
            way,
        }
    }

    pub(crate) fn are_own(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// LISTEN was seen to work.
    pub(crate) fn prove(&self) {
        if self.way.is_some() {
            self.proven.store(true, Ordering::Relaxed);
        }
    }

    /// Notes a statement that was not prepared; tries to prove once that it could be.
    pub(crate) fn sent(&self, publisher: &Arc<Publisher>) {
        if self.are_own() || self.statements.fetch_add(1, Ordering::Relaxed) != WORTH_IT {
            return;
        }
        let Some((connector, heartbeat)) = self.way.clone() else {
            return;
        };
        let publisher = Arc::clone(publisher);
        publisher.clone().spawn(async move {
            match probe::open(&connector, heartbeat, Vec::new(), &publisher).await {
                Ok(_) => publisher.sessions.prove(),
                Err(error) => tracing::debug!(%error, "statements are not prepared"),
            }
        });
    }
}
