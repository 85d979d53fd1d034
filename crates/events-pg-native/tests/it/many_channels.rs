//! Hundreds of channels on one connection, listened to in one go.

use std::sync::Arc;

use events_core::{Backend as _, ErrorKind, NewEvent};
use events_testkit::postgres::{Server, ServerOptions};
use futures_util::future::join_all;

use crate::support::{config, database, item, next, open, quick, server, subscribe, until};

const CHANNELS: usize = 500;

fn name(number: usize) -> String {
    format!("Channel_{number}")
}

/// The statements that listen, as the server has logged them; one message is one entry.
fn listens(server: &Server) -> Vec<usize> {
    let log = server.log();
    let entries = log.split("LOG:  statement: ").skip(1);
    let listens = entries.map(|entry| entry.matches("LISTEN \"Channel").count());
    listens.filter(|count| *count > 0).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_channels_are_listened_to_again_in_one_message() {
    let test = "five_hundred_channels_are_listened_to_again_in_one_message";
    let options = ServerOptions::new().setting("log_statement = 'all'");
    let Some(server) = server(test, &options) else {
        return;
    };
    let backend = open(quick(&server.database())).await;
    let names: Vec<String> = (0..CHANNELS).map(name).collect();
    let asked = names.iter().map(|name| subscribe(&backend, name));
    let mut streams = join_all(asked).await;
    let sessions =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'event-channels'";
    let sessions = server.query(sessions);
    // One listens, the other was asked for the version and publishes.
    assert_eq!(sessions[0][0].as_deref(), Some("2"));
    let before = listens(&server);
    assert_eq!(before.iter().sum::<usize>(), CHANNELS, "each once");

    server.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%LISTEN%' \
         AND pid <> pg_backend_pid() OR query LIKE '%pg_listening_channels()%' \
         AND pid <> pg_backend_pid()",
    );
    for events in &mut streams {
        let error = item(events).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Gap, "{error}");
    }
    let after = listens(&server).split_off(before.len());
    assert_eq!(after, [CHANNELS], "one message for all");

    let events = names.iter().map(|name| NewEvent::new(&**name, &**name));
    backend.publish(events.collect()).await.unwrap();
    for (events, name) in streams.iter_mut().zip(&names) {
        assert_eq!(next(events).await.payload, **name);
    }

    // Who is listened to by nobody is not listened to.
    streams.truncate(1);
    until("the others are given up", || {
        let log = server.log();
        (1..CHANNELS).all(|number| log.contains(&format!("UNLISTEN \"Channel_{number}\"")))
    })
    .await;
    assert!(!server.log().contains("UNLISTEN \"Channel_0\""));
    backend
        .publish(vec![NewEvent::new("Channel_0", 0)])
        .await
        .unwrap();
    assert_eq!(next(&mut streams[0]).await.payload, 0);
    backend.shutdown().await.unwrap();
}

/// A channel whose consumer does not read holds up nobody who subscribes to another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribing_during_a_flood_does_not_wait_for_its_end() {
    let test = "subscribing_during_a_flood_does_not_wait_for_its_end";
    let Some(database) = database(test) else {
        return;
    };
    let backend = Arc::new(open(config(database.url())).await);
    let _unread = subscribe(&backend, "flood").await;
    let flooding = {
        let backend = Arc::clone(&backend);
        tokio::spawn(async move {
            loop {
                let events = (0..500).map(|n| NewEvent::new("flood", n)).collect();
                backend.publish(events).await.unwrap();
            }
        })
    };
    for number in 0..20 {
        let name = name(number);
        let mut events = subscribe(&backend, &name).await;
        let one = NewEvent::new(&*name, number);
        backend.publish(vec![one]).await.unwrap();
        assert_eq!(next(&mut events).await.payload, number);
        assert!(!flooding.is_finished(), "the flood goes on");
    }
    flooding.abort();
    backend.shutdown().await.unwrap();
}
