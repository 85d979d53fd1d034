//! A connection that listens: what it receives, and one statement at a time.
//!
//! It is never in a transaction, since a listening session that stays in one stops the server from
//! ever cleaning the queue of notifications.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use events_core::{ChannelName, Error, ErrorKind, Op, Result, Timestamp};
use futures_util::StreamExt as _;
use tokio::time::{Instant, Sleep};
use tokio_postgres::{AsyncMessage, Client, Notification, SimpleQueryMessage};

use crate::connector::{Connector, Messages};
use crate::error::{BACKEND, driver};
use crate::sql::{LISTENING, SESSION};

const DAY: Duration = Duration::from_secs(86_400);

/// How often a session proves that it lives, and how long the proof may take.
#[derive(Debug, Clone, Copy)]
pub struct Heartbeat {
    /// After this much silence it is asked.
    pub interval: Duration,
    /// Without an answer for this long it is lost.
    pub deadline: Duration,
}

impl Heartbeat {
    /// Refuses times that cannot work.
    ///
    /// # Errors
    /// `InvalidConfig` for a time below 10 ms or above a day.
    pub fn check(&self) -> Result<()> {
        for (name, time) in [
            ("heartbeat_interval", self.interval),
            ("heartbeat_deadline", self.deadline),
        ] {
            if time < Duration::from_millis(10) || time > DAY {
                return Err(Error::invalid_config(format!(
                    "{name} must be between 10 ms and a day, not {time:?}"
                )));
            }
        }
        Ok(())
    }
}

/// What happened on a session.
#[derive(Debug)]
pub enum Happening {
    /// This arrived.
    Notification(Notification),
    /// These channels are listened to from now on.
    Listening(Vec<ChannelName>),
    /// It is lost, and this was the last of it.
    Lost(Error),
}

/// A change of what is listened to.
#[derive(Debug, Default)]
pub struct Change {
    /// Listen to these.
    pub listen: Vec<ChannelName>,
    /// And no longer to these.
    pub unlisten: Vec<ChannelName>,
}

/// A connection that listens.
pub struct Session {
    client: Arc<Client>,
    messages: Messages,
    heartbeat: Heartbeat,
    listening: HashSet<ChannelName>,
    work: Option<Work>,
    /// Notifications that came after the answer to a statement, while it was not yet noticed.
    held: VecDeque<Notification>,
    /// When the last statement that was answered was sent: it was live then.
    live_at: Timestamp,
    last_message: Instant,
    timer: Pin<Box<Sleep>>,
}

/// A statement under way.
struct Work {
    task: Task,
    sent: Timestamp,
    limit: Duration,
    answer: Pin<Box<dyn Future<Output = Answer> + Send>>,
}

type Answer = std::result::Result<Vec<SimpleQueryMessage>, tokio_postgres::Error>;

enum Task {
    Change(Change),
    Heartbeat,
}

impl Session {
    /// Connects and listens to all of these; notifications that follow wait in it.
    ///
    /// # Errors
    /// What the server or the way to it says, each with the way out.
    pub async fn open(
        connector: &Connector,
        heartbeat: Heartbeat,
        channels: Vec<ChannelName>,
    ) -> Result<Self> {
        let link = connector.connect(Op::Subscribe).await?;
        let mut session = Self {
            client: Arc::new(link.client),
            messages: link.messages,
            heartbeat,
            listening: HashSet::new(),
            work: None,
            held: VecDeque::new(),
            live_at: Timestamp::now(),
            last_message: Instant::now(),
            timer: Box::pin(tokio::time::sleep(heartbeat.interval)),
        };
        let change = Change {
            listen: channels,
            unlisten: Vec::new(),
        };
        session.begin_with(SESSION, change);
        let listening = |happening: &Happening| matches!(happening, Happening::Listening(_));
        let ready = session.wait_for(listening).await;
        ready
            .map(|()| session)
            .map_err(|error| connector.located(error))
    }

    /// Waits for a notification on a channel; others wait in the session.
    ///
    /// # Errors
    /// What the session was lost by.
    pub async fn arrival(&mut self, channel: &ChannelName) -> Result<()> {
        let arrival = |happening: &Happening| matches!(happening, Happening::Notification(n) if n.channel() == channel.as_str());
        self.wait_for(arrival).await
    }

    /// Waits for something; notifications that come before it are kept in their order.
    async fn wait_for(&mut self, wanted: impl Fn(&Happening) -> bool) -> Result<()> {
        let mut early = VecDeque::new();
        let found = loop {
            match self.next().await {
                happening if wanted(&happening) => break Ok(()),
                Happening::Notification(notification) => early.push_back(notification),
                Happening::Lost(error) => break Err(error),
                Happening::Listening(_) => {}
            }
        };
        early.append(&mut self.held);
        self.held = early;
        found
    }

    /// Whether a channel is listened to, for certain.
    pub(crate) fn listens_to(&self, channel: &ChannelName) -> bool {
        self.listening.contains(channel)
    }

    pub(crate) fn listening(&self) -> impl Iterator<Item = &ChannelName> {
        self.listening.iter()
    }

    /// The last moment at which it was live, for certain.
    pub(crate) fn live_at(&self) -> Timestamp {
        self.live_at
    }

    /// Whether no statement is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.work.is_none()
    }

    /// Changes what is listened to, in one message. There must be no statement under way.
    pub(crate) fn begin(&mut self, change: Change) {
        self.begin_with("", change);
    }

    fn begin_with(&mut self, first: &str, change: Change) {
        let mut sql = first.to_owned();
        for channel in &change.unlisten {
            // From now on, so that who subscribes meanwhile waits for the next change.
            self.listening.remove(channel);
            sql += &format!("UNLISTEN {};", channel.quoted());
        }
        for channel in &change.listen {
            sql += &format!("LISTEN {};", channel.quoted());
        }
        // A lost connection is noticed as late as without this statement.
        let limit = self.heartbeat.interval + self.heartbeat.deadline;
        self.send(Task::Change(change), sql, limit);
    }

    fn send(&mut self, task: Task, sql: String, limit: Duration) {
        let client = Arc::clone(&self.client);
        self.work = Some(Work {
            task,
            sent: Timestamp::now(),
            limit,
            answer: Box::pin(async move { client.simple_query(&sql).await }),
        });
        self.last_message = Instant::now();
        self.timer.as_mut().reset(self.last_message + limit);
    }

    /// The next thing that happens. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Happening {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Happening> {
        if let Some(notification) = self.held.pop_front() {
            return Poll::Ready(Happening::Notification(notification));
        }
        loop {
            match self.messages.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(AsyncMessage::Notification(notification)))) => {
                    self.last_message = Instant::now();
                    // The answer to a statement comes before the notifications that follow it.
                    if let Poll::Ready(happening) = self.poll_work(cx) {
                        self.held.push_back(notification);
                        return Poll::Ready(happening);
                    }
                    return Poll::Ready(Happening::Notification(notification));
                }
                Poll::Ready(Some(Ok(AsyncMessage::Notice(notice)))) => {
                    tracing::debug!(code = notice.code().code(), "the server has a notice");
                    continue;
                }
                Poll::Ready(Some(Ok(_))) => continue,
                Poll::Ready(Some(Err(error))) => return lost(driver(Op::Receive, error)),
                Poll::Ready(None) => return lost(unavailable("the connection was closed")),
                Poll::Pending => {}
            }
            if let Poll::Ready(happening) = self.poll_work(cx) {
                return Poll::Ready(happening);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let Some(work) = &self.work else {
                self.send(
                    Task::Heartbeat,
                    LISTENING.to_owned(),
                    self.heartbeat.deadline,
                );
                continue;
            };
            // As long as anything comes, the other side lives.
            let until = self.last_message + work.limit;
            if until <= Instant::now() {
                return lost(unavailable(&format!(
                    "the server was silent for {:?}",
                    work.limit
                )));
            }
            self.timer.as_mut().reset(until);
        }
    }

    fn poll_work(&mut self, cx: &mut Context<'_>) -> Poll<Happening> {
        let Some(work) = &mut self.work else {
            return Poll::Pending;
        };
        let Poll::Ready(answer) = work.answer.as_mut().poll(cx) else {
            return Poll::Pending;
        };
        let rows = match answer {
            Ok(rows) => rows,
            Err(error) => return lost(driver(Op::Receive, error)),
        };
        let Some(Work { task, sent, .. }) = self.work.take() else {
            return Poll::Pending;
        };
        self.last_message = Instant::now();
        self.live_at = sent;
        let next = self.last_message + self.heartbeat.interval;
        self.timer.as_mut().reset(next);
        match task {
            Task::Change(change) => {
                self.listening.extend(change.listen.iter().cloned());
                Poll::Ready(Happening::Listening(change.listen))
            }
            Task::Heartbeat if count(&rows) == Some(self.listening.len()) => Poll::Pending,
            Task::Heartbeat => lost(
                Error::new(ErrorKind::NotConfigured, Op::Receive)
                    .because("the session no longer listens, as if each statement had another one; a proxy that pools by transaction stands between: set direct_url to one that leads to the server itself")
                    .in_backend(BACKEND),
            ),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("listening", &self.listening)
            .finish_non_exhaustive()
    }
}

fn count(rows: &[SimpleQueryMessage]) -> Option<usize> {
    rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
        _ => None,
    })
}

fn unavailable(why: &str) -> Error {
    Error::new(ErrorKind::Unavailable, Op::Receive)
        .because(why.to_owned())
        .in_backend(BACKEND)
}

fn lost(error: Error) -> Poll<Happening> {
    Poll::Ready(Happening::Lost(error))
}
