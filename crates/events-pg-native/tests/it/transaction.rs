//! Publishing in a transaction of the caller's.

use deadpool_postgres::{Manager, Pool};
use events_core::telemetry::Count;
use events_core::{Backend as _, ErrorKind, NewEvent};
use events_pg_native::tokio_postgres::{self, NoTls};
use events_pg_native::{TransactionalPublish as _, deadpool_postgres};

use crate::support::{config, database, next, open, subscribe};

#[tokio::test]
async fn the_event_is_sent_if_and_only_if_the_transaction_is_committed() {
    let test = "the_event_is_sent_if_and_only_if_the_transaction_is_committed";
    let Some(database) = database(test) else {
        return;
    };
    database.query("CREATE TABLE item (id int)");
    let config = config(database.url());
    let telemetry = config.telemetry.clone();
    let backend = open(config).await;
    let mut events = subscribe(&backend, "Orders").await;
    let (mut client, connection) = tokio_postgres::connect(database.url(), NoTls)
        .await
        .unwrap();
    let driving = tokio::spawn(connection);

    let tx = client.transaction().await.unwrap();
    tx.execute("INSERT INTO item VALUES (1)", &[])
        .await
        .unwrap();
    let (_, wake) = backend
        .publish_in(&tx, NewEvent::new("Orders", "rolled back"))
        .await
        .unwrap();
    drop(wake);
    tx.rollback().await.unwrap();

    let mut tx = client.transaction().await.unwrap();
    tx.execute("INSERT INTO item VALUES (2)", &[])
        .await
        .unwrap();
    let (first, wake) = backend
        .publish_in(&tx, NewEvent::new("Orders", "committed"))
        .await
        .unwrap();
    let savepoint = tx.savepoint("half").await.unwrap();
    let undone = NewEvent::new("Orders", "undone");
    let (_, undone) = backend.publish_in(&savepoint, undone).await.unwrap();
    savepoint.rollback().await.unwrap();
    drop(undone);
    let batch = vec![NewEvent::new("Orders", "a"), NewEvent::new("Orders", "b")];
    let (ids, more) = backend.publish_many_in(&tx, batch).await.unwrap();
    assert_eq!(telemetry.get(Count::PublishNative), 0, "not yet");
    tx.commit().await.unwrap();
    wake.wake();
    more.wake();
    assert_eq!(telemetry.get(Count::PublishNative), 3);

    for (id, payload) in [(first, "committed"), (ids[0], "a"), (ids[1], "b")] {
        let message = next(&mut events).await;
        assert_eq!((message.event_id, message.payload), (id, payload.into()));
    }
    assert_eq!(
        database.query("SELECT id FROM item")[0][0].as_deref(),
        Some("2")
    );
    drop(client);
    driving.await.unwrap().unwrap();
    backend.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_transaction_of_a_pool_and_an_event_that_breaks_a_rule() {
    let test = "a_transaction_of_a_pool_and_an_event_that_breaks_a_rule";
    let Some(database) = database(test) else {
        return;
    };
    let backend = open(config(database.url())).await;
    let mut events = subscribe(&backend, "orders").await;
    let manager = Manager::new(database.url().parse().unwrap(), NoTls);
    let pool = Pool::builder(manager).build().unwrap();
    let mut connection = pool.get().await.unwrap();

    let tx = connection.transaction().await.unwrap();
    let large = NewEvent::new("orders", "x".repeat(8_000));
    let error = backend.publish_in(&tx, large).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    // Nothing was sent to the server, so the transaction goes on.
    let (id, wake) = backend
        .publish_in(&tx, NewEvent::new("orders", 1))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    wake.wake();
    assert_eq!(next(&mut events).await.event_id, id);

    backend.shutdown().await.unwrap();
    let tx = connection.transaction().await.unwrap();
    let refused = backend.publish_in(&tx, NewEvent::new("orders", 2)).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
}
