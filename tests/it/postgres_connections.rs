//! The queue on PostgreSQL over TLS, behind a proxy that pools by transaction, and over a network
//! that swallows answers.

use std::net::ToSocketAddrs as _;
use std::time::{Duration, Instant};

use event_channels::postgres::tokio_postgres::{self, NoTls};
use event_channels::{
    BackendKind, ErrorKind, EventChannel, EventId, EventsConfig, NewEvent, PublishOptions, Settled,
};
use events_testkit::postgres::{Pooler, Server, ServerOptions, database};
use events_testkit::proxy::{Direction, FaultProxy, Flow, Upstream};
use events_testkit::{Missing, fails_with, next};
use rcgen::{CertificateParams, KeyPair};

/// Both queues; wakes of `notify_queue` are not helped by looking.
const BACKENDS: [(BackendKind, Duration); 2] = [
    (BackendKind::PollQueue, Duration::from_millis(50)),
    (BackendKind::NotifyQueue, Duration::from_secs(60)),
];

/// What every queue does, with the publisher and the consumer in channels of their own.
async fn works(config: EventsConfig, backend: BackendKind, poll: Duration) {
    let config = config.backend(backend).poll_interval(poll);
    let open = || config.clone().auto_migrate(true).open();
    let (publisher, consumer) = (open().await.unwrap(), open().await.unwrap());
    let mut events = consumer.iter_events("orders").await.unwrap();
    let mut ids = vec![publisher.publish("orders", 0).await.unwrap()];
    let more = (1..4).map(|n| NewEvent::new("orders", n));
    ids.extend(publisher.publish_many(more).await.unwrap());
    let own = EventId::new();
    for _ in 0..2 {
        let options = PublishOptions::new().event_id(own);
        publisher.publish_with("orders", 4, options).await.unwrap();
    }
    ids.push(own);
    for id in ids {
        let message = next(&mut events).await;
        assert_eq!(message.event_id, id);
        assert_eq!(consumer.ack(&message).await.unwrap(), Settled::Recorded);
    }
    let total = publisher.stats("orders").await.unwrap().total();
    assert_eq!((total.acked, total.ready, total.leased), (5, 0, 0));
    publisher.shutdown().await.unwrap();
    consumer.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_over_tls_is_encrypted_and_verified() {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let options = ServerOptions::new()
        .setting("ssl = on")
        .setting("ssl_cert_file = 'own.crt'")
        .setting("ssl_key_file = 'own.key'")
        .file("own.crt", &*certificate)
        .file("own.key", key.serialize_pem())
        .access("hostnossl all ours 127.0.0.1/32 reject");
    let server = match Server::start(&options) {
        Ok(server) => server,
        Err(missing) => return missing.skip("a_queue_over_tls_is_encrypted_and_verified"),
    };
    server.query("CREATE ROLE ours SUPERUSER LOGIN");
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("own.crt");
    std::fs::write(&trusted, &certificate).unwrap();
    for (backend, poll) in BACKENDS {
        let database = server.database();
        let name = database.rsplit('/').next().unwrap();
        let url = |mode: &str| {
            let port = server.port();
            format!("postgres://ours@localhost:{port}/{name}?hostaddr=127.0.0.1&{mode}")
        };
        let verified = format!("sslmode=verify-full&sslrootcert={}", trusted.display());
        works(EventsConfig::new(url(&verified)).unwrap(), backend, poll).await;
        for mode in ["sslmode=disable", "sslmode=verify-full&sslrootcert=system"] {
            let config = EventsConfig::new(url(mode)).unwrap().backend(backend);
            fails_with(config.open().await, ErrorKind::Tls);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_publishes_through_a_pooler_and_does_the_rest_beside_it() {
    let test = "a_queue_publishes_through_a_pooler_and_does_the_rest_beside_it";
    let start = || {
        let server = Server::start(&ServerOptions::new())?;
        let pooler = Pooler::before(&server)?;
        Ok::<_, Missing>((server, pooler))
    };
    let (server, pooler) = match start() {
        Ok(both) => both,
        Err(missing) => return missing.skip(test),
    };
    for (backend, poll) in BACKENDS {
        let database = server.database();
        let name = database.rsplit('/').next().unwrap();
        let config = EventsConfig::new(pooler.url(name))
            .unwrap()
            .direct_url(&*database)
            .unwrap();
        works(config, backend, poll).await;
        // The pooler counts what came through it, by database.
        let counts = events_testkit::postgres::query(&pooler.url("pgbouncer"), "SHOW STATS");
        let own = |row: &&Vec<Option<String>>| row[0].as_deref() == Some(name);
        let own = counts.iter().find(own).expect("it was used");
        assert_ne!(own[1].as_deref(), Some("0"), "{backend:?}: {own:?}");
    }
}

fn upstream(url: &str) -> Upstream {
    let rest = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap();
    Upstream::Tcp(host.to_socket_addrs().unwrap().next().unwrap())
}

/// The commit is done and its answer never comes: the same id again stores nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_whose_answer_is_lost_is_safe_to_repeat() {
    let database = match database() {
        Ok(database) => database,
        Err(missing) => return missing.skip("a_publish_whose_answer_is_lost_is_safe_to_repeat"),
    };
    let proxy = FaultProxy::start(upstream(database.url())).await.unwrap();
    for (backend, poll) in BACKENDS {
        let open = |url: &str| {
            let config = EventsConfig::new(url).unwrap().backend(backend);
            config.poll_interval(poll).auto_migrate(true).open()
        };
        let cut_off: EventChannel = open(&proxy.url(database.url())).await.unwrap();
        // The publish waits for a gate, so that nothing but its answer is held back.
        database.query(
            "CREATE OR REPLACE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NEW; END $$;
             CREATE OR REPLACE TRIGGER wait BEFORE INSERT ON sqlspec_event_queue
                 FOR EACH ROW EXECUTE FUNCTION wait()",
        );
        let (gate, connection) = tokio_postgres::connect(database.url(), NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        let lock = "SELECT pg_advisory_lock(42)";
        gate.query(lock, &[]).await.unwrap();
        let options = PublishOptions::new().event_id(EventId::new());
        let lost = {
            let (channel, options) = (cut_off.clone(), options.clone());
            tokio::spawn(async move { channel.publish_with("orders", "once", options).await })
        };
        let until = async |sql: &str| {
            let begun = Instant::now();
            while database.query(sql)[0][0].as_deref() != Some("t") {
                assert!(begun.elapsed() < Duration::from_secs(60), "{sql}");
                tokio::time::sleep(Duration::from_millis(5)).await; // the server is asked again
            }
        };
        until(
            "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database AS d ON d.oid = database
              WHERE d.datname = current_database() AND locktype = 'advisory' AND NOT granted)",
        )
        .await;
        proxy.set(Direction::ToClient, Flow::Hold);
        gate.query("SELECT pg_advisory_unlock(42)", &[])
            .await
            .unwrap();
        until("SELECT EXISTS (SELECT FROM sqlspec_event_queue)").await;
        proxy.cut();
        proxy.set(Direction::ToClient, Flow::Pass);
        let error = fails_with(lost.await.unwrap(), ErrorKind::Unavailable);
        assert!(error.is_retryable());
        // By the same process, and by the one that comes after it was killed.
        cut_off
            .publish_with("orders", "once", options.clone())
            .await
            .unwrap();
        let next_process = open(database.url()).await.unwrap();
        next_process
            .publish_with("orders", "once", options)
            .await
            .unwrap();
        let stored = database.query("SELECT count(*) FROM sqlspec_event_queue");
        assert_eq!(stored[0][0].as_deref(), Some("1"), "{backend:?}");
        database.query("DELETE FROM sqlspec_event_queue");
    }
}
