//! Pools and connectors of the application.

use deadpool_postgres::{Manager, Pool};
use events_core::{Backend as _, ErrorKind, NewEvent};
use events_pg_native::tokio_postgres::{Config, NoTls};
use events_pg_native::{Endpoint, NotifyConfig, deadpool_postgres};

use crate::support::{database, next, open, subscribe};

fn pool(url: &str) -> Pool {
    let config: Config = url.parse().unwrap();
    // Without the runtime and the limits that a pool of ours has.
    Pool::builder(Manager::new(config, NoTls))
        .max_size(1)
        .build()
        .unwrap()
}

#[tokio::test]
async fn events_are_published_through_a_pool_of_the_application_which_stays_open() {
    let test = "events_are_published_through_a_pool_of_the_application_which_stays_open";
    let Some(database) = database(test) else {
        return;
    };
    let pool = pool(database.url());
    let listen = Endpoint::parse(database.url()).unwrap();
    let backend = open(NotifyConfig::from_pool(pool.clone(), listen)).await;
    let mut events = subscribe(&backend, "orders").await;
    let id = backend
        .publish(vec![NewEvent::new("orders", 1)])
        .await
        .unwrap()[0];
    assert_eq!(next(&mut events).await.event_id, id);
    assert_eq!(pool.status().size, 1, "its one connection was used");
    backend.shutdown().await.unwrap();
    let client = pool.get().await.expect("the pool is not ours to close");
    client.execute("SELECT 1", &[]).await.unwrap();
}

#[tokio::test]
async fn a_pool_that_the_application_closed_is_told() {
    let Some(database) = database("a_pool_that_the_application_closed_is_told") else {
        return;
    };
    let pool = pool(database.url());
    let listen = Endpoint::parse(database.url()).unwrap();
    let backend = open(NotifyConfig::from_pool(pool.clone(), listen)).await;
    pool.close();
    let refused = backend.publish(vec![NewEvent::new("orders", 1)]).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
    backend.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_connector_of_the_application_is_used() {
    let Some(database) = database("a_connector_of_the_application_is_used") else {
        return;
    };
    let config: Config = database.url().parse().unwrap();
    let endpoint = Endpoint::with_connector(config, NoTls);
    let backend = open(NotifyConfig::new(endpoint)).await;
    let mut events = subscribe(&backend, "orders").await;
    backend
        .publish(vec![NewEvent::new("orders", 1)])
        .await
        .unwrap();
    assert_eq!(next(&mut events).await.payload, 1);
    backend.shutdown().await.unwrap();
}
