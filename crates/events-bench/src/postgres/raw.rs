//! The same tables by the driver alone: one connection, prepared statements, nothing else.

use event_channels::EventId;
use event_channels::postgres::tokio_postgres::{Client, NoTls, Statement, connect};

use crate::case::Result;
use crate::payload::read;

/// The queue of the one channel.
const QUEUE: i32 = 1;

pub(super) struct Raw {
    pub(super) client: Client,
    insert: Statement,
    insert_many: Statement,
    insert_notify: Statement,
    claim: Statement,
    ack_delete: Statement,
    ack_keep: Statement,
    /// Claims begin behind this id.
    after: i64,
}

/// Claimed events.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) ids: Vec<i64>,
    /// The number in each, and when it was published.
    pub(super) events: Vec<(usize, u64)>,
}

impl Raw {
    pub(super) async fn connect(url: &str) -> Result<Self> {
        let (client, connection) = connect(url, NoTls).await?;
        tokio::spawn(connection);
        Ok(Self {
            insert: client.prepare(include_str!("sql/insert.sql")).await?,
            insert_many: client.prepare(include_str!("sql/insert_many.sql")).await?,
            insert_notify: client
                .prepare(include_str!("sql/insert_notify.sql"))
                .await?,
            claim: client.prepare(include_str!("sql/claim.sql")).await?,
            ack_delete: client.prepare(include_str!("sql/ack_delete.sql")).await?,
            ack_keep: client.prepare(include_str!("sql/ack_keep.sql")).await?,
            after: 0,
            client,
        })
    }

    /// A connection for claims and acknowledgements, which are not flushed in the library either.
    pub(super) async fn consumer(url: &str) -> Result<Self> {
        let raw = Self::connect(url).await?;
        raw.client
            .batch_execute("SET synchronous_commit = off")
            .await?;
        Ok(raw)
    }

    pub(super) async fn insert(&self, text: &str) -> Result<()> {
        let id = EventId::new().to_string();
        self.client
            .execute(&self.insert, &[&QUEUE, &id, &text])
            .await?;
        Ok(())
    }

    /// Notifies in the transaction that stores.
    pub(super) async fn insert_notify(&self, text: &str) -> Result<()> {
        let id = EventId::new().to_string();
        self.client
            .execute(&self.insert_notify, &[&QUEUE, &id, &text])
            .await?;
        Ok(())
    }

    pub(super) async fn insert_many(&self, texts: Vec<String>) -> Result<()> {
        let ids: Vec<String> = texts.iter().map(|_| EventId::new().to_string()).collect();
        self.client
            .execute(&self.insert_many, &[&QUEUE, &ids, &texts])
            .await?;
        Ok(())
    }

    pub(super) async fn claim(&mut self, limit: i64) -> Result<Held> {
        let rows = self
            .client
            .query(&self.claim, &[&QUEUE, &self.after, &limit])
            .await?;
        let mut held = Held::default();
        for row in rows {
            let id = row.get(0);
            self.after = self.after.max(id);
            held.ids.push(id);
            held.events
                .push(read(row.get(1)).ok_or("a payload without a number")?);
        }
        Ok(held)
    }

    pub(super) async fn ack(&self, held: &Held, keep: bool) -> Result<()> {
        let statement = if keep {
            &self.ack_keep
        } else {
            &self.ack_delete
        };
        self.client.execute(statement, &[&QUEUE, &held.ids]).await?;
        Ok(())
    }
}
