//! Connects, checks what cannot be taken for granted, and starts the backend.

use std::sync::Arc;

use event_listener::Event;
use events_core::{ChannelName, Op, Result, TableName};
use events_pg_native::{Connector, Publish};
use events_queue::{QueueBackend, Wakes};
use tokio::runtime::Handle;
use tokio_postgres::Client;

use crate::database::Database;
use crate::error::{BACKEND, postgres};
use crate::notify::{Ear, Notify};
use crate::pools::Pools;
use crate::tasks::Tasks;
use crate::{PostgresConfig, PostgresStore, migrate};

/// Opens a queue on PostgreSQL; its background tasks run on `runtime`.
///
/// # Errors
/// `InvalidConfig`, `Auth`, `Tls`, `Permission`, `Unavailable`, `Unsupported` for a server that is
/// too old, `SchemaMissing` or `SchemaNewer`, each with the way out.
pub async fn open(config: PostgresConfig, runtime: &Handle) -> Result<QueueBackend<PostgresStore>> {
    config.check()?;
    let name = match config.notify {
        Some(_) => "notify_queue",
        None => BACKEND,
    };
    let answer = start(config, runtime, name).await;
    answer.map_err(|error| error.in_backend(name))
}

async fn start(
    config: PostgresConfig,
    runtime: &Handle,
    name: &'static str,
) -> Result<QueueBackend<PostgresStore>> {
    let table = config.queue.table.clone();
    let connector = Connector::new(config.endpoint.clone()).await?;
    let mut client = connector.client(Op::Open).await?;
    if config.auto_migrate {
        migrate::up(&mut client, &table).await?;
    } else {
        migrate::check(&client, &table).await?;
    }
    let tasks = Tasks::new(name, runtime.clone());
    let notify = match config.notify {
        Some(_) => {
            let channel = wake_channel(&client, &table).await?;
            Some(Arc::new(Notify::new(channel, Arc::clone(&tasks))))
        }
        None => None,
    };
    drop(client);
    let own = connector.pool(config.pool_size)?;
    let pools = match &config.publish {
        None => Pools::one(own),
        Some(Publish::Pool(theirs)) => Pools::two(own, theirs.clone(), false),
        Some(Publish::Endpoint(endpoint, size)) => {
            let connector = Connector::new(endpoint.clone()).await?;
            Pools::two(own, connector.pool(*size)?, true)
        }
    };
    let consumed = Arc::new(Event::new());
    let wakes = {
        let consumed = Arc::clone(&consumed);
        Wakes::for_consumers(move || {
            consumed.notify(usize::MAX);
        })
    };
    let listening = consumed.listen();
    let db = Database::new(pools, config.queue.clone(), config.timeout, wakes, notify);
    if let (Some(notify), Some(heartbeat)) = (&db.notify, config.notify) {
        let ear = Ear {
            db: Arc::clone(&db),
            notify: Arc::clone(notify),
            connector,
            heartbeat,
            meter: config.queue.telemetry.backend(db.name()),
        };
        // Who only publishes needs no connection that listens.
        runtime.spawn(async move {
            let closer = ear.notify.closer.clone();
            tokio::select! {
                () = closer.closed() => {}
                () = listening => ear.run().await,
            }
        });
    }
    let store = PostgresStore::new(db, tasks);
    QueueBackend::start(store, config.queue, runtime)
}

async fn wake_channel(client: &Client, table: &TableName) -> Result<ChannelName> {
    let sql = table.render(include_str!("sql/wake_channel.sql"));
    let row = client
        .query_one(&sql, &[])
        .await
        .map_err(|e| postgres(Op::Open, e))?;
    let name: String = row.try_get(0).map_err(|e| postgres(Op::Open, e))?;
    ChannelName::new(name)
}

/// Makes one connection, for migrations; the tables are not looked at.
///
/// # Errors
/// As [`open`], except for the schema.
pub async fn connect(config: &PostgresConfig) -> Result<Client> {
    let connector = Connector::new(config.endpoint.clone()).await?;
    let client = connector.client(Op::Open).await;
    client.map_err(|error| error.in_backend(BACKEND))
}
