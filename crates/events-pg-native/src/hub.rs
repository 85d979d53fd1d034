//! The task that owns the listening connection of a channel object.
//!
//! One connection serves all subscriptions. When it is lost it is made anew, for as long as anybody
//! is subscribed, and everything is listened to again in one message. Then, before any later
//! event, each subscription that was live is told of the gap.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use event_listener::EventListener;
use events_core::telemetry::{Count, Meter};
use events_core::{
    ChannelName, Closer, Error, ErrorKind, Gap, NotifyEnvelope, Op, Result, Timestamp,
};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_postgres::Notification;

use crate::buffer::{Buffer, Put};
use crate::connector::Connector;
use crate::error::BACKEND;
use crate::handover::Handover;
use crate::probe;
use crate::publisher::Publisher;
use crate::session::{Happening, Heartbeat, Session};
use crate::topics::{Subscriber, Topics};

/// The pauses between attempts to connect: random, around half of the longest. They stay short,
/// because a server that is back is to be noticed within a second.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Attempts begin this far apart, so that whoever ends each session at once is not asked in a hot
/// loop.
const SPACING: Duration = Duration::from_millis(100);

/// What subscriptions ask for.
#[derive(Debug)]
pub(crate) enum Command {
    Subscribe(ChannelName, Subscriber),
    Unsubscribe(ChannelName, u64),
}

/// The way to the hub, for the backend and its subscriptions.
#[derive(Debug)]
pub(crate) struct HubHandle {
    commands: mpsc::UnboundedSender<Command>,
    next_id: AtomicU64,
    /// Closed when the hub is to end.
    pub(crate) closer: Closer,
    /// Closed when it has ended.
    pub(crate) done: Closer,
}

impl HubHandle {
    /// Asks for a subscription; the answer comes when it is live.
    pub(crate) fn subscribe(
        &self,
        channel: ChannelName,
        buffer: Arc<Buffer>,
    ) -> (u64, oneshot::Receiver<Result<()>>) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (live, answered) = oneshot::channel();
        let subscriber = Subscriber {
            id,
            buffer,
            live: Some(live),
        };
        // A hub that has ended drops the command, and the sender in it tells.
        let _ = self.commands.send(Command::Subscribe(channel, subscriber));
        (id, answered)
    }

    /// Whether it has ended although nobody wanted that, as it does with its runtime.
    pub(crate) fn is_lost(&self) -> bool {
        self.done.is_closed() && !self.closer.is_closed()
    }

    pub(crate) fn unsubscribe(&self, channel: ChannelName, id: u64) {
        let _ = self.commands.send(Command::Unsubscribe(channel, id));
    }
}

pub(crate) struct Hub {
    connector: Connector,
    heartbeat: Heartbeat,
    publisher: Arc<Publisher>,
    handover: Arc<Handover>,
    meter: Meter,
    commands: mpsc::UnboundedReceiver<Command>,
    closer: Closer,
    closing: Option<EventListener>,
    topics: Topics,
    /// Whether notifications were seen to arrive on the way that `connector` takes.
    proven: bool,
    /// When the last attempt to connect began.
    attempted: Option<Instant>,
    /// What the last session that was live was lost by, until everybody is told.
    outage: Option<(Timestamp, Error)>,
}

/// Why a step ended early.
struct Closed;

impl Hub {
    /// Starts it; it connects when somebody subscribes.
    pub(crate) fn start(
        connector: Connector,
        heartbeat: Heartbeat,
        publisher: Arc<Publisher>,
        handover: Arc<Handover>,
        meter: Meter,
        runtime: &Handle,
    ) -> Arc<HubHandle> {
        let (commands, received) = mpsc::unbounded_channel();
        let handle = Arc::new(HubHandle {
            commands,
            next_id: AtomicU64::new(0),
            closer: Closer::new(),
            done: Closer::new(),
        });
        let hub = Self {
            connector,
            heartbeat,
            publisher,
            handover,
            meter,
            commands: received,
            closer: handle.closer.clone(),
            closing: None,
            topics: Topics::default(),
            proven: false,
            attempted: None,
            outage: None,
        };
        let done = Done(handle.done.clone());
        // It ends with its closer, or when nobody can send it a command any more.
        runtime.spawn(async move {
            hub.run().await;
            drop(done);
        });
        handle
    }

    async fn run(mut self) {
        while let Ok(session) = self.connect().await {
            let served = self.serve(session).await;
            self.meter.add(Count::ListenerRelease, 1);
            if served.is_err() {
                break;
            }
        }
        let why = "the channel was shut down; open a new one";
        let closed = Error::new(ErrorKind::Closed, Op::Subscribe).because(why);
        self.topics.end(&closed.in_backend(BACKEND));
    }

    /// A session that listens to everything that is wanted. Waits for somebody to want anything.
    async fn connect(&mut self) -> Result<Session, Closed> {
        let mut failures = 0;
        loop {
            if self.topics.is_empty() {
                // Nobody is left who could be told.
                self.outage = None;
                failures = 0;
                let command = self.next_command().await?;
                self.note(command);
                continue;
            }
            if let Some(last) = self.attempted {
                self.rest_until(last + SPACING).await?;
            }
            self.attempted = Some(Instant::now());
            match self.attempt().await? {
                Ok(session) => return Ok(self.go_live(session)),
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!(%error, "no listening connection; trying again until there is one");
                    }
                    self.topics.refuse(&error);
                    self.pause(failures).await?;
                    failures += 1;
                }
            }
        }
    }

    /// One attempt; what is asked for meanwhile is noted.
    async fn attempt(&mut self) -> Result<Result<Session>, Closed> {
        let names = self.topics.names();
        let (connector, heartbeat) = (self.connector.clone(), self.heartbeat);
        let (publisher, proven) = (Arc::clone(&self.publisher), self.proven);
        let opening = async move {
            if proven {
                Session::open(&connector, heartbeat, names).await
            } else {
                probe::open(&connector, heartbeat, names, &publisher).await
            }
        };
        let mut opening = std::pin::pin!(opening);
        loop {
            tokio::select! {
                opened = &mut opening => return Ok(opened),
                command = self.next_command() => self.note(command?),
            }
        }
    }

    /// Tells those who were live of the gap, and those who wait that they are.
    fn go_live(&mut self, session: Session) -> Session {
        self.proven = true;
        self.publisher.sessions.prove();
        self.meter.add(Count::ListenerAcquire, 1);
        if let Some((from, error)) = self.outage.take() {
            let cause = error
                .detail()
                .unwrap_or("the connection was lost")
                .to_owned();
            let until = Timestamp::now();
            tracing::info!(%from, %until, "listening again");
            self.meter.add(Count::ListenerReconnect, 1);
            self.topics.gap(&Gap { from, until, cause });
        }
        let live: Vec<_> = session.listening().cloned().collect();
        for channel in &live {
            self.topics.live(channel, &self.handover);
        }
        self.meter.add(Count::ListenerReady, 1);
        session
    }

    /// Hands notifications over until the session is lost.
    async fn serve(&mut self, mut session: Session) -> Result<(), Closed> {
        loop {
            if session.is_idle()
                && let Some(change) = self.topics.change(&session)
            {
                session.begin(change);
            }
            // Until a command comes what is wanted stays as it is, and need not be looked at.
            loop {
                tokio::select! {
                    biased;
                    command = self.next_command() => {
                        self.obey(command?, &session);
                        break;
                    }
                    happening = session.next() => match happening {
                        Happening::Notification(notification) => self.route(&notification).await?,
                        Happening::Listening(channels) => {
                            for channel in channels {
                                self.topics.live(&channel, &self.handover);
                            }
                            break;
                        }
                        Happening::Lost(error) => {
                            tracing::warn!(%error, "the listening connection is lost");
                            self.outage = Some((session.live_at(), error));
                            return Ok(());
                        }
                    }
                }
            }
        }
    }

    /// Gives a notification to all subscribers of its channel.
    async fn route(&self, notification: &Notification) -> Result<(), Closed> {
        let subscribers = self.topics.of(notification.channel());
        if subscribers.is_empty() {
            return Ok(());
        }
        let text = notification.payload();
        let id = || NotifyEnvelope::decode(text).map(|envelope| envelope.event_id);
        if self.handover.has_delivered(id) {
            return Ok(());
        }
        let text = Arc::from(text);
        for Subscriber { buffer, .. } in subscribers {
            while buffer.put(&text) == Put::Full {
                let room = buffer.listen_for_room();
                if buffer.put(&text) != Put::Full {
                    break;
                }
                tokio::select! {
                    () = room => {}
                    () = self.closer.closed() => return Err(Closed),
                }
            }
        }
        Ok(())
    }

    /// The next command. Dropping the future loses none.
    async fn next_command(&mut self) -> Result<Command, Closed> {
        std::future::poll_fn(|cx| {
            if self.closer.poll_closed(&mut self.closing, cx).is_ready() {
                return Poll::Ready(Err(Closed));
            }
            self.commands
                .poll_recv(cx)
                .map(|command| command.ok_or(Closed))
        })
        .await
    }

    /// While there is no session, a command is noted and nothing else.
    fn note(&mut self, command: Command) {
        match command {
            Command::Subscribe(channel, subscriber) => self.topics.add(channel, subscriber),
            Command::Unsubscribe(channel, id) => self.topics.remove(&channel, id),
        }
    }

    /// Who subscribes to what is listened to already is live at once.
    fn obey(&mut self, command: Command, session: &Session) {
        let joined = match &command {
            Command::Subscribe(channel, _) if session.listens_to(channel) => Some(channel.clone()),
            _ => None,
        };
        self.note(command);
        if let Some(channel) = joined {
            self.topics.live(&channel, &self.handover);
        }
    }

    /// Waits before the next attempt.
    async fn pause(&mut self, failures: u32) -> Result<(), Closed> {
        let longest = SHORTEST_PAUSE
            .saturating_mul(1 << failures.min(10))
            .min(LONGEST_PAUSE);
        let pause = longest.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.rest_until(Instant::now() + pause).await
    }

    /// Waits; what is asked for meanwhile is noted.
    async fn rest_until(&mut self, moment: Instant) -> Result<(), Closed> {
        let over = tokio::time::sleep_until(moment);
        let mut over = std::pin::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return Ok(()),
                command = self.next_command() => self.note(command?),
            }
        }
    }
}

/// Tells that the hub has ended, however it did.
struct Done(Closer);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.close();
    }
}
