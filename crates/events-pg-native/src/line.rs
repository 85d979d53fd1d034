//! A connection for publishing, driven by whoever uses it: no task and no thread stands between.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use events_core::{Op, Result};
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio::time::Sleep;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Statement};

use crate::connector::{Connector, Link, Messages};

/// After such a rest the runtime is asked whether the server has ended the connection: one that
/// only runs while it is used has not looked.
const REST: Duration = Duration::from_millis(100);

pub(crate) struct Line {
    client: Client,
    prepared: Prepared,
    /// `None` when it has ended.
    messages: Option<Messages>,
    used: Instant,
}

impl Line {
    /// Connects.
    pub(crate) async fn open(connector: &Connector) -> Result<Self> {
        let Link {
            client, messages, ..
        } = connector.connect(Op::Publish).await?;
        Ok(Self {
            client,
            prepared: Prepared::default(),
            messages: Some(messages),
            used: Instant::now(),
        })
    }

    /// Whether it still is a connection, as far as can be seen.
    pub(crate) async fn is_open(&mut self) -> bool {
        if self.used.elapsed() > REST {
            tokio::task::yield_now().await;
        }
        let look = |cx: &mut Context<'_>| {
            turn(&mut self.messages, cx);
            Poll::Ready(())
        };
        std::future::poll_fn(look).await;
        self.messages.is_some()
    }

    /// Does something with it, and drives it until that is done.
    pub(crate) async fn run<T>(&mut self, request: impl AsyncFnOnce(&Client, &Prepared) -> T) -> T {
        let mut request = std::pin::pin!(request(&self.client, &self.prepared));
        let messages = &mut self.messages;
        let answer = std::future::poll_fn(|cx| {
            if let Poll::Ready(answer) = request.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            turn(messages, cx);
            // What the turn brought.
            request.as_mut().poll(cx)
        })
        .await;
        self.used = Instant::now();
        answer
    }

    /// Says goodbye to the server, as far as that is possible at once.
    pub(crate) fn close(mut self) {
        drop((self.client, self.prepared));
        turn(
            &mut self.messages,
            &mut Context::from_waker(std::task::Waker::noop()),
        );
    }
}

/// Writes and reads what is there. Notices and the like are passed over.
fn turn(messages: &mut Option<Messages>, cx: &mut Context<'_>) {
    while let Some(open) = messages {
        match open.poll_next_unpin(cx) {
            Poll::Pending => return,
            Poll::Ready(Some(Ok(_))) => {}
            // Whoever waits for an answer is told by this.
            Poll::Ready(Some(Err(_)) | None) => *messages = None,
        }
    }
}

/// The statements of one connection, each prepared at its first use. There are a handful.
#[derive(Default)]
pub(crate) struct Prepared(Mutex<Vec<(String, Statement)>>);

impl Prepared {
    pub(crate) async fn get(
        &self,
        client: &Client,
        sql: &str,
        types: impl Iterator<Item = Type>,
    ) -> std::result::Result<Statement, tokio_postgres::Error> {
        let known = |all: &[(String, Statement)]| {
            let found = all.iter().find(|(text, _)| text == sql);
            found.map(|(_, statement)| statement.clone())
        };
        if let Some(statement) = known(&self.0.lock()) {
            return Ok(statement);
        }
        let types: Vec<Type> = types.collect();
        let statement = client.prepare_typed(sql, &types).await?;
        self.0.lock().push((sql.to_owned(), statement.clone()));
        Ok(statement)
    }
}

/// Limits one thing after the other. It is one timer that is put off: making one for each would
/// wake the thread that waits for timers each time.
pub(crate) struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    /// One of the present runtime.
    pub(crate) fn new() -> Self {
        Self(Box::pin(tokio::time::sleep(Duration::ZERO)))
    }

    /// What the future answers, or `None` after the limit.
    pub(crate) async fn within<T>(
        &mut self,
        limit: Duration,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let mut future = std::pin::pin!(future);
        self.0.as_mut().reset(tokio::time::Instant::now() + limit);
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => self.0.as_mut().poll(cx).map(|()| None),
        })
        .await
    }
}
