//! Connections of tokio-postgres, and nothing else.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use event_channels::{EventId, Timestamp};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, NoTls, Statement};

use crate::case::Result;
use crate::measured::Tally;
use crate::payload::{Payloads, read};
use crate::place::CHANNEL;

const NOTIFY: &str = include_str!("sql/notify.sql");
const NOTIFY_MANY: &str = include_str!("sql/notify_many.sql");
/// What was not received by then was lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// The envelope of this payload, as whoever sends it by hand has to write it: with an id that no
/// other event has, and the present time. A few bytes are missing at the end of the time.
pub(super) fn text(payloads: &Payloads, number: usize) -> String {
    format!(
        r#"{{"event_id":"{}","payload":{},"metadata":null,"published_at":"{:.6}"}}"#,
        EventId::new(),
        payloads.text(number),
        Timestamp::now(),
    )
}

/// A connection with the statements that send, prepared.
pub(super) struct Sender {
    client: Client,
    one: Statement,
    many: Statement,
}

impl Sender {
    pub(super) async fn connect(url: &str) -> Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let one = client.prepare_typed(NOTIFY, &[Type::TEXT, Type::TEXT]);
        let one = one.await?;
        let many = client.prepare_typed(NOTIFY_MANY, &[Type::TEXT, Type::TEXT_ARRAY]);
        let many = many.await?;
        Ok(Self { client, one, many })
    }

    pub(super) async fn one(&self, payload: &str) -> Result<()> {
        self.client
            .execute(&self.one, &[&CHANNEL, &payload])
            .await?;
        Ok(())
    }

    pub(super) async fn many(&self, payloads: &[String]) -> Result<()> {
        let parameters: [&(dyn ToSql + Sync); 2] = [&CHANNEL, &payloads];
        self.client.execute(&self.many, &parameters).await?;
        Ok(())
    }

    /// Several statements of one transaction, of which nothing arrives before the commit.
    pub(super) async fn run(&self, sql: &str) -> Result<()> {
        Ok(self.client.batch_execute(sql).await?)
    }
}

/// Hands the text of each notification to `take` until it answers false, on the present task.
pub(super) async fn receive(
    url: &str,
    listening: impl FnOnce(),
    mut take: impl FnMut(&str) -> bool,
) -> Result<()> {
    let (client, mut connection) = tokio_postgres::connect(url, NoTls).await?;
    let mut next = async || std::future::poll_fn(|cx| connection.poll_message(cx)).await;
    let sql = format!("LISTEN {CHANNEL}");
    let mut listen = std::pin::pin!(client.batch_execute(&sql));
    loop {
        tokio::select! {
            biased;
            done = &mut listen => break done?,
            _ = next() => {}
        }
    }
    listening();
    while let Some(message) = next().await {
        if let AsyncMessage::Notification(notification) = message?
            && !take(notification.payload())
        {
            break;
        }
    }
    Ok(())
}

/// Counts what is sent while something else is measured.
pub(super) struct Counter {
    numbers: Mutex<Receiver<usize>>,
}

impl Counter {
    pub(super) fn start(url: &str) -> Result<Self> {
        let (tell, numbers) = channel();
        let (ready, listening) = channel();
        let url = url.to_owned();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime can be made");
            let ready = move || {
                let _ = ready.send(());
            };
            // It ends when nobody counts any more.
            let take = |text: &str| read(text).is_none_or(|(number, _)| tell.send(number).is_ok());
            let _ = runtime.block_on(receive(&url, ready, take));
        });
        listening.recv()?;
        Ok(Self {
            numbers: Mutex::new(numbers),
        })
    }

    /// What came, once all came or nothing more does.
    pub(super) fn tally(&self, events: usize) -> Result<Tally> {
        let numbers = self.numbers.lock().expect("nobody panicked");
        let tally = Tally::new(events);
        let until = Instant::now() + PATIENCE;
        for _ in 0..events {
            let left = until.saturating_duration_since(Instant::now());
            match numbers.recv_timeout(left) {
                Ok(number) => tally.note(number),
                Err(_) => break,
            }
        }
        Ok(tally)
    }
}
