//! Who does the work of publishing: tasks and threads, alone and side by side.

use std::future::Future as _;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use deadpool_postgres::{Manager, Pool};
use events_core::{Backend as _, BoxSubscription, ErrorKind, NewEvent};
use events_pg_native::tokio_postgres::NoTls;
use events_pg_native::{Endpoint, NotifyBackend, NotifyConfig, deadpool_postgres};
use events_testkit::postgres::{Pooler, Server, ServerOptions};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::support::{config, database, next, open, quick, request, server, subscribe, within};

const CALLERS: usize = 8;
const EACH: usize = 100;

fn event(caller: usize, number: usize) -> NewEvent {
    NewEvent::new("orders", json!([caller, number]))
}

/// What a thread that may block answers.
fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || drop(tell.send(work())));
    told
}

/// Whether everything of every caller comes, once and in its order.
async fn all_arrive(events: &mut BoxSubscription, callers: usize) {
    let mut expected = vec![0; callers];
    for _ in 0..callers * EACH {
        let payload: [usize; 2] = serde_json::from_value(next(events).await.payload).unwrap();
        assert_eq!(payload[1], expected[payload[0]], "{payload:?}");
        expected[payload[0]] += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_and_threads_publish_side_by_side_and_each_in_its_order() {
    let test = "tasks_and_threads_publish_side_by_side_and_each_in_its_order";
    let Some(database) = database(test) else {
        return;
    };
    let backend = Arc::new(open(config(database.url())).await);
    let mut events = subscribe(&backend, "orders").await;
    let mut running = JoinSet::new();
    for caller in 0..CALLERS {
        let backend = Arc::clone(&backend);
        if caller % 2 == 0 {
            running.spawn(async move {
                for number in 0..EACH {
                    let publishing = backend.publish(vec![event(caller, number)]);
                    if number % 10 == 0 {
                        // Abandoned, and sent nevertheless.
                        drop(publishing);
                    } else {
                        publishing.await.unwrap();
                    }
                }
            });
        } else {
            let publishing = on_a_thread(move || {
                for number in 0..EACH {
                    let publishing = backend.publish(vec![event(caller, number)]);
                    publishing.wait().unwrap();
                }
            });
            running.spawn(async move { publishing.await.expect("it does not panic") });
        }
    }
    within(all_arrive(&mut events, CALLERS)).await;
    running.join_all().await;
    backend.shutdown().await.unwrap();
}

/// Two at least are under way at a time, and only one of them is asked for its answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_nobody_polls_any_more_holds_up_no_other() {
    let Some(database) = database("one_that_nobody_polls_any_more_holds_up_no_other") else {
        return;
    };
    let backend = open(config(database.url())).await;
    let mut events = subscribe(&backend, "orders").await;
    for number in 0..EACH {
        let mut idle = Box::pin(backend.publish(vec![event(0, number)]));
        let polled = idle.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        // It has begun, and nobody will come back to it.
        assert!(matches!(polled, Poll::Pending | Poll::Ready(Ok(_))));
        within(backend.publish(vec![event(1, number)]))
            .await
            .unwrap();
        if polled.is_pending() {
            within(idle).await.unwrap();
        }
    }
    all_arrive(&mut events, 2).await;
    backend.shutdown().await.unwrap();
}

/// Ends every session but that of the administrator, and waits until the processes are gone.
async fn end_sessions(server: &Server) {
    let ended = server.query(
        "WITH others AS MATERIALIZED (SELECT pid FROM pg_stat_activity \
         WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) \
         SELECT pid FROM others WHERE pg_terminate_backend(pid)",
    );
    assert!(!ended.is_empty());
    for row in ended {
        let process = format!("/proc/{}", row[0].as_deref().unwrap());
        crate::support::until("a session is gone", || {
            !std::path::Path::new(&process).exists()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ended_while_it_was_idle_is_replaced_before_it_is_used() {
    let test = "a_connection_that_ended_while_it_was_idle_is_replaced_before_it_is_used";
    let Some(server) = server(test, &ServerOptions::new()) else {
        return;
    };
    let backend = Arc::new(open(config(&server.database())).await);
    for round in 0..3 {
        backend.publish(vec![event(0, round)]).await.unwrap();
        let blocking = Arc::clone(&backend);
        let waiting = move || blocking.publish(vec![event(1, round)]).wait();
        within(on_a_thread(waiting)).await.unwrap().unwrap();
        end_sessions(&server).await;
        // Longer than what counts as a rest.
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    backend.shutdown().await.unwrap();
}

/// A pool of one connection, without limits of its own.
fn small_pool(url: &str) -> Pool {
    let manager = Manager::new(url.parse().unwrap(), NoTls);
    Pool::builder(manager).max_size(1).build().unwrap()
}

#[tokio::test]
async fn a_pool_that_gives_no_connection_is_not_waited_for_without_end() {
    let test = "a_pool_that_gives_no_connection_is_not_waited_for_without_end";
    let Some(database) = database(test) else {
        return;
    };
    let pool = small_pool(database.url());
    let listen = Endpoint::parse(database.url()).unwrap();
    let backend = open(NotifyConfig::from_pool(pool.clone(), listen)).await;
    let taken = pool.get().await.unwrap();
    let refused = within(backend.subscribe(request("orders"))).await;
    let error = refused.expect_err("the proof needs a connection");
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    if events_testkit::long(test) {
        // Half a minute.
        let error = backend.publish(vec![event(0, 0)]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        assert!(error.to_string().contains("larger pool"), "{error}");
    }
    drop(taken);
    backend.publish(vec![event(0, 1)]).await.unwrap();
    backend.shutdown().await.unwrap();
}

/// What events of every form look like when they arrive.
async fn published(backend: &NotifyBackend) -> Vec<(String, Value)> {
    let mut events = [
        subscribe(backend, "orders").await,
        subscribe(backend, "Orders").await,
    ];
    let all = |payload: Value| NewEvent::new("orders", payload);
    for payload in [
        json!(null),
        json!("Grüße, 日本"),
        json!({"a": [1.5, "'\\\""]}),
    ] {
        backend.publish(vec![all(payload)]).await.unwrap();
    }
    let many = (0..30).map(|number| all(json!(number))).collect();
    backend.publish(many).await.unwrap();
    let mixed = ["orders", "Orders"].map(|channel| NewEvent::new(channel, channel));
    backend.publish(mixed.to_vec()).await.unwrap();
    let mut arrived = Vec::new();
    for (events, count) in events.iter_mut().zip([34, 1]) {
        for _ in 0..count {
            let message = next(events).await;
            arrived.push((message.channel.to_string(), message.payload));
        }
    }
    arrived
}

/// Behind a pooler that knows no prepared statements they are not used, and nothing else differs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prepared_or_not_the_same_events_arrive() {
    let test = "prepared_or_not_the_same_events_arrive";
    let logging = ServerOptions::new().setting("log_statement = 'all'");
    let Some(server) = server(test, &logging) else {
        return;
    };
    let pooler = match Pooler::before(&server) {
        Ok(pooler) => pooler,
        Err(missing) => return missing.skip(test),
    };
    let url = server.database();
    let name = url.rsplit('/').next().unwrap();
    let prepared = open(quick(&url)).await;
    let mut through = quick(&pooler.url(name));
    through.listen = Endpoint::parse(&url).unwrap();
    let unprepared = open(through).await;
    let first = published(&prepared).await;
    let half = server.log().len();
    assert_eq!(first, published(&unprepared).await);
    // A statement that was prepared is logged with its name.
    let log = server.log();
    let is_named = |log: &str| log.contains("execute s");
    assert!(is_named(&log[..half]) && !is_named(&log[half..]), "{log}");
    prepared.shutdown().await.unwrap();
    unprepared.shutdown().await.unwrap();
}
