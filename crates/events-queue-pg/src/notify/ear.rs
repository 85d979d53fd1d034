//! The task that listens: it hands hints on, and proves again and again that they arrive.
//!
//! As long as they do, idle consumers look at the table more rarely. From the moment at which they
//! may not, because the connection is lost, a notification of our own did not come back, or the
//! server's queue of notifications fills, consumers look as often as without notifications.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use events_core::telemetry::{Count, Meter};
use events_core::{Error, Op, Result};
use events_pg_native::Connector;
use events_pg_native::link::{Happening, Heartbeat, Session};
use tokio::time::Instant;

use super::{Notify, hint};
use crate::database::Database;
use crate::error::postgres;

/// The pauses between attempts to listen: random, around half of the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A server whose queue of notifications is this full gets no more of them.
const FULL: f64 = 0.5;

pub(crate) struct Ear {
    pub(crate) db: Arc<Database>,
    pub(crate) notify: Arc<Notify>,
    pub(crate) connector: Connector,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) meter: Meter,
}

/// A notification of our own on its way.
struct Proof {
    text: String,
    sent: Instant,
    sending: Option<Sending>,
}

impl Proof {
    /// It arrived, and the server has room for more.
    fn is_complete(&self) -> bool {
        self.text.is_empty() && self.sending.is_none()
    }
}

type Sending = Pin<Box<dyn Future<Output = Result<f64>> + Send>>;

impl Ear {
    /// Listens until the store is closed.
    pub(crate) async fn run(self) {
        let closer = self.notify.closer.clone();
        let _silent = Silent(&self.notify);
        tokio::select! {
            () = closer.closed() => {}
            () = self.listen() => {}
        }
    }

    async fn listen(&self) {
        let mut failures = 0;
        loop {
            let channels = vec![self.notify.channel.clone()];
            let error = match Session::open(&self.connector, self.heartbeat, channels).await {
                Ok(session) => {
                    self.meter.add(Count::ListenerAcquire, 1);
                    let (error, was_proven) = self.serve(session).await;
                    self.meter.add(Count::ListenerRelease, 1);
                    if was_proven {
                        failures = 0;
                    }
                    error
                }
                Err(error) => error,
            };
            if failures == 0 {
                tracing::warn!(%error, "consumers are not woken by notifications, and look at the table as often as poll_interval says");
            }
            self.fall_silent();
            let longest = SHORTEST_PAUSE
                .saturating_mul(1 << failures.min(10))
                .min(LONGEST_PAUSE);
            tokio::time::sleep(longest.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            failures += 1;
        }
    }

    /// Listens on a session until it is lost, or notifications do not arrive on it. Answers
    /// whether they ever did.
    async fn serve(&self, mut session: Session) -> (Error, bool) {
        let mut proof = self.prove();
        let mut was_proven = false;
        let mut timer = Box::pin(tokio::time::sleep(self.heartbeat.deadline));
        loop {
            tokio::select! {
                happening = session.next() => match happening {
                    Happening::Notification(notification) => {
                        if proof.text.is_empty() || notification.payload() != proof.text {
                            self.hand_on(notification.payload());
                            continue;
                        }
                        proof.text.clear();
                    }
                    Happening::Listening(_) => continue,
                    Happening::Lost(error) => return (error, was_proven),
                },
                sent = sent(&mut proof.sending) => {
                    proof.sending = None;
                    match sent {
                        Ok(usage) if usage < FULL => {}
                        Ok(_) => return (full(), was_proven),
                        Err(error) => return (error, was_proven),
                    }
                }
                () = timer.as_mut() => {
                    if !proof.is_complete() {
                        return (silent(self.heartbeat.deadline), was_proven);
                    }
                    proof = self.prove();
                    timer.as_mut().reset(Instant::now() + self.heartbeat.deadline);
                    continue;
                }
            }
            if proof.is_complete() {
                timer.as_mut().reset(proof.sent + self.heartbeat.interval);
                if !std::mem::replace(&mut was_proven, true) {
                    self.meter.add(Count::ListenerReady, 1);
                }
                self.believe();
            }
        }
    }

    /// Sends a notification to ourselves, by way of the pool as others do.
    fn prove(&self) -> Proof {
        let text = format!("?{:016x}", fastrand::u64(..));
        let (db, channel, own) = (
            Arc::clone(&self.db),
            self.notify.channel.clone(),
            text.clone(),
        );
        let sending = async move {
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&channel.as_str(), &own];
            let rows = db.query(Op::Receive, &db.sql.prove, &values).await?;
            let row = rows.first().expect("a query without a table has one row");
            row.try_get::<_, f64>(0)
                .map_err(|e| postgres(Op::Receive, e))
        };
        Proof {
            text,
            sent: Instant::now(),
            sending: Some(Box::pin(sending)),
        }
    }

    /// What is sent arrives. What was sent before that may not have.
    fn believe(&self) {
        if !self.notify.is_proven() {
            // A claim that was under way may have made a row when nobody listened.
            self.notify.waiters.clear();
            self.notify.set_proven(true);
            tracing::info!("consumers are woken by notifications");
            self.look_everywhere();
        }
    }

    fn fall_silent(&self) {
        // After a crash of the server the rows are gone.
        self.notify.waiters.clear();
        if self.notify.set_proven(false) {
            self.meter.add(Count::ListenerReconnect, 1);
            self.look_everywhere();
        }
    }

    fn look_everywhere(&self) {
        self.db.frontiers.stir_all();
        self.db.wakes.ring_all();
    }

    fn hand_on(&self, text: &str) {
        let Some((queue_id, lowest)) = hint(text) else {
            // The proofs of other processes, or what somebody sends by hand.
            if !text.starts_with('?') {
                self.meter.add(Count::ListenerForeign, 1);
            }
            return;
        };
        if let Some(frontier) = self.db.frontiers.known(queue_id) {
            let mut state = frontier.lock();
            match lowest {
                Some(id) => state.rewind(None, id),
                None => state.stir(),
            }
        }
        self.db.wakes.ring_queue(queue_id, 1);
    }
}

/// However the task ends, nobody relies on it afterwards.
struct Silent<'a>(&'a Notify);

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        self.0.set_proven(false);
    }
}

async fn sent(sending: &mut Option<Sending>) -> Result<f64> {
    match sending {
        Some(sending) => sending.await,
        None => std::future::pending().await,
    }
}

fn full() -> Error {
    Error::new(events_core::ErrorKind::StorageFull, Op::Receive).because(
        "the server's queue of notifications fills: a session that listens has an open transaction or is stuck; pg_notification_queue_usage() tells",
    )
}

fn silent(limit: Duration) -> Error {
    Error::new(events_core::ErrorKind::NotConfigured, Op::Receive).because(format!(
        "a notification did not come back within {limit:?}; if a proxy that pools by transaction stands between, set direct_url to one that leads to the server itself"
    ))
}
