//! What operators ask: counts and dead letters, those of consumers and those of the server.

use std::time::Duration;

use events_core::{
    Admin as _, Backend as _, ErrorKind, EventId, GroupName, GroupStats, PublishOptions,
    RetryAfter, Verdict,
};
use events_oracle_aq::{AqBackend, Flavour};
use events_oracle_standin::Plan;
use serde_json::json;

use crate::support::{
    Database, ack, channel, nack, next, nothing_within, publish, publish_with, settle, subscribe,
    until,
};

fn counts(backend: &AqBackend, name: &str) -> GroupStats {
    let stats = backend.stats(Some(channel(name))).wait().unwrap();
    assert_eq!(stats.len(), 1);
    stats[0].total()
}

fn old_server(database: &Database) {
    if let Some(server) = &database.standin {
        server.set_version(19).unwrap();
    }
    let mut queue = database.described();
    queue.raw = true;
    database.provision(&queue);
}

/// An event of each kind that a consumer gives up, in the order of their death.
fn give_up(backend: &AqBackend) -> [EventId; 2] {
    let mut events = subscribe(backend, "orders");
    let rejected = publish(backend, "orders", "rejected");
    let verdict = Verdict::Nack {
        retry: RetryAfter::Never,
        reason: Some("no such customer".to_owned()),
    };
    settle(backend, &next(&mut events), verdict).unwrap();
    let expires = PublishOptions::new()
        .expires_in(Duration::from_millis(1))
        .metadata(json!({"source": "test"}).as_object().unwrap().clone());
    let expired = publish_with(backend, "orders", "expired", expires);
    nothing_within(&mut events, Duration::from_millis(100));
    until("both are dead letters", || {
        counts(backend, "orders").dead == 2
    });
    [rejected, expired]
}

#[test]
fn each_state_is_counted_by_channel() {
    let database = Database::new();
    let backend = database.open();
    assert_eq!(counts(&backend, "orders"), GroupStats::default());
    assert!(backend.stats(None).wait().unwrap().is_empty());
    for n in 0..3 {
        publish(&backend, "orders", n);
    }
    publish(&backend, "mail", 1);
    let later = PublishOptions::new().delay(Duration::from_secs(600));
    publish_with(&backend, "orders", "later", later);
    let mut events = subscribe(&backend, "orders");
    settle(&backend, &next(&mut events), nack(RetryAfter::Never)).unwrap();
    let held = next(&mut events);
    let expected = GroupStats {
        // The one that is held is among them: only the server's sessions know of it.
        ready: 2,
        delayed: 1,
        dead: 1,
        ..GroupStats::default()
    };
    assert_eq!(counts(&backend, "orders"), expected);
    ack(&backend, &held);
    assert_eq!(counts(&backend, "orders").ready, 1);
    let all = backend.stats(None).wait().unwrap();
    let names: Vec<_> = all.iter().map(|stats| stats.channel.as_str()).collect();
    assert_eq!(names, ["mail", "orders"]);
}

#[test]
fn dead_letters_are_listed_put_back_and_deleted() {
    for provision in [old_server as fn(&Database), |database: &Database| {
        database.provision(&database.described())
    }] {
        let database = Database::empty();
        provision(&database);
        let backend = database.open();
        let [rejected, expired] = give_up(&backend);
        let orders = || channel("orders");
        let newest = backend.dead_letters(orders(), 1).wait().unwrap();
        assert_eq!(newest.len(), 1);
        let letters = backend.dead_letters(orders(), 10).wait().unwrap();
        let of = |id: EventId| letters.iter().find(|letter| letter.event_id == id).unwrap();
        assert_eq!(letters.len(), 2);
        let letter = of(rejected);
        assert_eq!((&*letter.reason, letter.attempts), ("rejected", 1));
        assert_eq!(letter.last_error.as_deref(), Some("no such customer"));
        assert_eq!(letter.payload, "rejected");
        assert!(letter.died_at >= letter.created_at);
        let letter = of(expired);
        assert_eq!(letter.reason, "expired");
        assert_eq!(letter.metadata.as_ref().unwrap()["source"], "test");
        // Those of another channel are left alone.
        assert!(
            backend
                .dead_letters(channel("mail"), 10)
                .wait()
                .unwrap()
                .is_empty()
        );
        assert_eq!(backend.requeue(channel("mail"), None).wait().unwrap(), 0);
        assert_eq!(backend.purge_dead(channel("mail"), None).wait().unwrap(), 0);
        let other = Some(vec![EventId::new()]);
        assert_eq!(backend.requeue(orders(), other).wait().unwrap(), 0);
        // One is put back, is delivered as new, and does not expire again.
        let one = Some(vec![expired, expired]);
        assert_eq!(backend.requeue(orders(), one).wait().unwrap(), 1);
        let mut events = subscribe(&backend, "orders");
        let message = next(&mut events);
        assert_eq!((message.event_id, message.attempts), (expired, 1));
        assert_eq!(message.metadata.as_ref().unwrap()["source"], "test");
        ack(&backend, &message);
        // The other one is deleted for good.
        assert_eq!(backend.purge_dead(orders(), None).wait().unwrap(), 1);
        assert_eq!(counts(&backend, "orders"), GroupStats::default());
        assert_eq!(backend.requeue(orders(), None).wait().unwrap(), 0);
    }
}

/// What is rolled back too often is moved by the server to its exception queue.
#[test]
fn what_the_server_gave_up_is_a_dead_letter_too() {
    let database = Database::empty();
    let mut queue = database.described();
    queue.max_retries = 1;
    database.provision(&queue);
    let backend = database.open();
    let id = publish(&backend, "orders", "poison");
    let mut events = subscribe(&backend, "orders");
    for _ in 0..2 {
        settle(
            &backend,
            &next(&mut events),
            nack(RetryAfter::Delay(Duration::ZERO)),
        )
        .unwrap();
    }
    nothing_within(&mut events, Duration::from_millis(200));
    assert_eq!(counts(&backend, "orders").dead, 1);
    let letters = backend.dead_letters(channel("orders"), 10).wait().unwrap();
    assert_eq!(
        (letters[0].event_id, &*letters[0].reason),
        (id, "max_attempts")
    );
    assert_eq!(letters[0].attempts, 2);
    // A queue whose exception queue nobody has started says how.
    let exceptions = format!("AQ$_{}_QT_E", database.queue);
    database.run(&format!(
        "BEGIN DBMS_AQADM.STOP_QUEUE(queue_name => '{exceptions}'); END;"
    ));
    let error = backend.requeue(channel("orders"), None).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConfigured, "{error}");
    assert!(error.to_string().contains(&exceptions), "{error}");
    database.run(&queue.up());
    assert_eq!(backend.requeue(channel("orders"), None).wait().unwrap(), 1);
    let message = next(&mut events);
    assert_eq!((message.event_id, message.attempts), (id, 1));
    ack(&backend, &message);
    assert_eq!(counts(&backend, "orders"), GroupStats::default());
}

#[test]
fn what_a_failed_call_took_out_is_still_there() {
    let database = Database::new();
    let Some(server) = database.faulty("what_a_failed_call_took_out_is_still_there") else {
        return;
    };
    let backend = database.open();
    give_up(&backend);
    let fault = events_oracle_standin::Plan::at("events.aq.enqueue_json").code(1653);
    server.plan(fault).unwrap();
    let error = backend.requeue(channel("orders"), None).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    assert_eq!(counts(&backend, "orders").dead, 2);
}

/// What another session took out after it was listed is not put back a second time.
#[test]
fn what_somebody_else_took_is_not_put_back() {
    let database = Database::new();
    let Some(server) = database.faulty("what_somebody_else_took_is_not_put_back") else {
        return;
    };
    let backend = database.open();
    let mut events = subscribe(&backend, "orders");
    publish(&backend, "orders", "rejected");
    settle(&backend, &next(&mut events), nack(RetryAfter::Never)).unwrap();
    let taking = || server.calls("events.aq.take_json").unwrap();
    let listed = Plan::at("events.aq.take_json").pause(Duration::from_secs(2));
    server.plan(listed).unwrap();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| backend.requeue(channel("orders"), None).wait());
        until("it was listed", || taking() == 1);
        let purged = backend.purge_dead(channel("orders"), None).wait();
        assert_eq!(purged.unwrap(), 1);
        assert_eq!(slow.join().unwrap().unwrap(), 0);
    });
    nothing_within(&mut events, Duration::from_millis(100));
}

#[test]
fn what_cannot_be_answered_is_said() {
    let database = Database::new();
    let mut config = database.config();
    config.queue = format!("{}{{channel}}", &database.queue[..6]);
    let template = events_oracle_aq::open(config).unwrap();
    let error = template.stats(None).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("one channel"), "{error}");
    let error = template.stats(Some(channel("orders"))).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConfigured, "{error}");
    let backend = database.open();
    assert!(
        !backend
            .subscribe_group(channel("orders"), None)
            .wait()
            .unwrap()
    );
    let group = Some(GroupName::new("billing").unwrap());
    let error = backend
        .subscribe_group(channel("orders"), group)
        .wait()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("poll_queue"), "{error}");
    backend.shutdown().wait().unwrap();
    let error = backend.stats(None).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[test]
fn transactional_event_queues_have_the_same() {
    let database = Database::empty();
    let queue =
        events_migrations::AqQueue::new(events_migrations::AqKind::TxEventQ, &database.queue);
    database.provision(&queue.unwrap());
    let mut config = database.config();
    config.flavour = Flavour::TxEventQ;
    let backend = events_oracle_aq::open(config).unwrap();
    give_up(&backend);
    assert_eq!(backend.requeue(channel("orders"), None).wait().unwrap(), 2);
    assert_eq!(counts(&backend, "orders").ready, 2);
}
