//! Through PgBouncer, which gives each transaction another connection.

use events_core::{Backend as _, ErrorKind, NewEvent};
use events_pg_native::Endpoint;
use events_testkit::postgres::{Pooler, Server, ServerOptions};

use crate::support::{item, next, open, publish, quick, request, server, subscribe, within};

fn both(test: &str) -> Option<(Server, Pooler)> {
    let server = server(test, &ServerOptions::new())?;
    let pooler = Pooler::before(&server)
        .map_err(|missing| missing.skip(test))
        .ok()?;
    Some((server, pooler))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_direct_url_subscribing_is_refused_and_says_the_way_out() {
    let test = "without_direct_url_subscribing_is_refused_and_says_the_way_out";
    let Some((_server, pooler)) = both(test) else {
        return;
    };
    let backend = open(quick(&pooler.url("postgres"))).await;
    for _ in 0..2 {
        let refused = within(backend.subscribe(request("orders"))).await;
        let error = refused.expect_err("nothing would arrive");
        assert_eq!(error.kind(), ErrorKind::NotConfigured, "{error}");
        assert!(error.to_string().contains("direct_url"), "{error}");
    }
    // Publishing needs no session of its own.
    publish(&backend, "orders", 1).await;
    backend.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_it_events_arrive_and_through_it_they_are_published() {
    let test = "past_it_events_arrive_and_through_it_they_are_published";
    let Some((server, pooler)) = both(test) else {
        return;
    };
    let mut config = quick(&pooler.url("postgres"));
    config.listen = Endpoint::parse(&server.url("postgres")).unwrap();
    let backend = open(config).await;
    let mut events = subscribe(&backend, "orders").await;
    for number in 0..50 {
        let one = NewEvent::new("orders", number);
        let batch = vec![one, NewEvent::new("orders", "and another")];
        let ids = backend.publish(batch).await.unwrap();
        assert_eq!(next(&mut events).await.event_id, ids[0]);
        assert_eq!(next(&mut events).await.event_id, ids[1]);
    }
    backend.shutdown().await.unwrap();
}

/// Where LISTEN leads to another database the proof fails in the same way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_url_to_another_database_is_refused() {
    let Some(server) = server(
        "a_direct_url_to_another_database_is_refused",
        &ServerOptions::new(),
    ) else {
        return;
    };
    let mut config = quick(&server.database());
    config.listen = Endpoint::parse(&server.database()).unwrap();
    let backend = open(config).await;
    let refused = within(backend.subscribe(request("orders"))).await;
    let error = refused.expect_err("nothing would arrive");
    assert_eq!(error.kind(), ErrorKind::NotConfigured, "{error}");
    assert!(error.to_string().contains("another database"), "{error}");
    backend.shutdown().await.unwrap();
}

/// The proof is on a channel of its own: users see nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proof_reaches_no_consumer() {
    let Some(server) = server("the_proof_reaches_no_consumer", &ServerOptions::new()) else {
        return;
    };
    let url = server.database();
    let watching = open(quick(&url)).await;
    let mut events = subscribe(&watching, "orders").await;
    for number in 0..3 {
        let backend = open(quick(&url)).await;
        let mut own = subscribe(&backend, "orders").await;
        publish(&backend, "orders", number).await;
        assert_eq!(next(&mut own).await.payload, number);
        assert_eq!(item(&mut events).await.unwrap().payload, number);
        backend.shutdown().await.unwrap();
    }
    watching.shutdown().await.unwrap();
}
