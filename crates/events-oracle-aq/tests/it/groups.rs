//! Consumer groups: each is a subscriber of a queue for multiple consumers.

use std::time::Duration;

use events_core::{
    Admin as _, Backend as _, BoxSubscription, ErrorKind, EventMessage, FanOut, GroupName,
    GroupStats, NewEvent, PublishOptions, RetryAfter, Subscribe, Verdict,
};
use events_migrations::{AqKind, AqQueue, Direction};
use events_oracle_aq::{AqBackend, AqConfig, Flavour, migrate};

use crate::support::{
    Database, ack, channel, nack, next, nothing_within, publish, publish_with, settle, subscribe,
    until,
};

const BRIEF: Duration = Duration::from_millis(60);

fn group(name: &str) -> GroupName {
    GroupName::new(name).unwrap()
}

fn with_groups(database: &Database) -> AqConfig {
    let mut config = database.config();
    config.groups = true;
    config
}

/// A queue for multiple consumers and a backend on it.
fn grouped(database: &Database, change: impl FnOnce(&mut AqConfig)) -> AqBackend {
    let mut config = with_groups(database);
    change(&mut config);
    migrate::up(&config).unwrap();
    events_oracle_aq::open(config).unwrap()
}

fn consume(backend: &AqBackend, name: &str, of: &str) -> BoxSubscription {
    let mut request = Subscribe::new(channel(name));
    request.group = Some(group(of));
    backend.subscribe(request).wait().unwrap()
}

fn register(backend: &AqBackend, name: &str, of: Option<&str>) -> bool {
    let registered = backend.subscribe_group(channel(name), of.map(group));
    registered.wait().unwrap()
}

fn stats(backend: &AqBackend, name: &str) -> Vec<GroupStats> {
    let stats = backend.stats(Some(channel(name))).wait().unwrap();
    assert_eq!(stats.len(), 1);
    stats.into_iter().next().unwrap().groups
}

fn of<'a>(stats: &'a [GroupStats], name: &str) -> &'a GroupStats {
    let named = |counts: &&GroupStats| counts.group.as_ref().is_some_and(|g| g.as_str() == name);
    stats.iter().find(named).unwrap()
}

fn fail(backend: &AqBackend, message: &EventMessage, retry: RetryAfter) {
    settle(backend, message, nack(retry)).unwrap();
}

#[test]
fn without_the_option_a_group_is_refused_with_its_name() {
    let database = Database::new();
    let backend = database.open();
    assert_eq!(backend.capabilities().fan_out, FanOut::Competing);
    let mut request = Subscribe::new(channel("orders"));
    request.group = Some(group("billing"));
    let subscribed = backend.subscribe(request).wait().map(drop);
    let registered = backend.subscribe_group(channel("orders"), Some(group("billing")));
    let taken_off = backend.unregister_group(channel("orders"), None);
    for answer in [
        subscribed,
        registered.wait().map(drop),
        taken_off.wait().map(drop),
    ] {
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("aq_groups = true"), "{error}");
    }
}

#[test]
fn a_queue_of_the_other_kind_is_refused_with_the_option() {
    let single = Database::new();
    let error = events_oracle_aq::open(with_groups(&single)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    for part in ["single consumers", "aq_groups", "migrate up --backend aq"] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    let multiple = Database::empty();
    migrate::up(&with_groups(&multiple)).unwrap();
    let error = events_oracle_aq::open(multiple.config()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("aq_groups = true"), "{error}");
}

#[test]
fn the_migration_makes_a_queue_for_multiple_consumers_of_either_kind() {
    for flavour in [Flavour::Aq, Flavour::TxEventQ] {
        let database = Database::empty();
        let mut config = with_groups(&database);
        config.flavour = flavour;
        let shown = migrate::dry_run(&config, Direction::Up).unwrap();
        assert!(shown.contains("multiple_consumers => TRUE"), "{shown}");
        migrate::up(&config).unwrap();
        let backend = events_oracle_aq::open(config.clone()).unwrap();
        assert_eq!(backend.capabilities().fan_out, FanOut::Groups);
        assert!(register(&backend, "orders", Some("billing")));
        let id = publish(&backend, "orders", 1);
        let message = next(&mut consume(&backend, "orders", "billing"));
        assert_eq!((message.event_id, message.attempts), (id, 1));
        ack(&backend, &message);
        drop(backend);
        migrate::down(&config).unwrap();
        let gone = events_oracle_aq::open(config).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotConfigured);
    }
}

#[test]
fn the_default_group_is_registered_only_where_there_is_none() {
    let database = Database::empty();
    let backend = grouped(&database, |_| {});
    publish(&backend, "orders", 1);
    assert_eq!(stats(&backend, "orders")[0].group, None);
    assert!(register(&backend, "mail", Some("audit")));
    // Also for one that has to look for it.
    let other = events_oracle_aq::open(with_groups(&database)).unwrap();
    publish(&other, "mail", 2);
    let mail = stats(&backend, "mail");
    assert_eq!((mail.len(), of(&mail, "audit").ready), (1, 1));
    // A consumer without a name belongs to it all the same.
    let mut unnamed = subscribe(&backend, "mail");
    assert!(!register(&backend, "mail", None));
    nothing_within(&mut unnamed, BRIEF);
    publish(&backend, "mail", 3);
    assert_eq!(next(&mut unnamed).payload, 3);
}

/// The server stores nothing for nobody, and says so; the event is then the default group's.
#[test]
fn what_is_published_after_the_last_group_is_taken_off_is_the_default_groups() {
    for flavour in [Flavour::Aq, Flavour::TxEventQ] {
        let database = Database::empty();
        let change = |config: &mut AqConfig| config.flavour = flavour;
        let publisher = grouped(&database, change);
        let mut config = with_groups(&database);
        change(&mut config);
        let other = events_oracle_aq::open(config).unwrap();
        register(&publisher, "orders", Some("billing"));
        publish(&publisher, "orders", 1);
        let take_off = || other.unregister_group(channel("orders"), Some(group("billing")));
        assert!(take_off().wait().unwrap());
        assert!(!take_off().wait().unwrap());
        assert!(
            stats(&publisher, "orders").is_empty(),
            "its events went with it"
        );
        let events = [NewEvent::new("orders", 2), NewEvent::new("mail", 3)];
        publisher.publish(events.to_vec()).wait().unwrap();
        let message = next(&mut subscribe(&other, "orders"));
        assert_eq!(message.payload, 2);
        let error = publisher
            .publish(vec![NewEvent::new("a".repeat(63), 1)])
            .wait()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
}

/// Neither names that are alike, nor other channels of the same queue.
#[test]
fn no_message_crosses_to_another_channel_or_group() {
    let database = Database::empty();
    let backend = grouped(&database, |_| {});
    let names = ["user_events", "userXevents", "User_events"];
    let mut all = Vec::new();
    for name in names {
        for of in ["a_b", "aXb", "A_b"] {
            all.push((name, consume(&backend, name, of)));
        }
    }
    for name in names {
        publish(&backend, name, name);
    }
    for (name, events) in &mut all {
        let message = next(events);
        assert_eq!(message.payload, *name);
        ack(&backend, &message);
    }
    for (_, events) in &mut all {
        nothing_within(events, Duration::from_millis(20));
    }
}

#[test]
fn a_failure_comes_back_to_its_own_group_alone() {
    let database = Database::empty();
    let backend = grouped(&database, |_| {});
    let mut billing = consume(&backend, "orders", "billing");
    let mut mail = consume(&backend, "orders", "mail");
    let id = publish(&backend, "orders", 1);
    let message = next(&mut mail);
    ack(&backend, &message);
    let delay = Duration::from_millis(1);
    // Rolled back, put back with a delay, given back by the end of a consumer.
    for (attempts, retry) in [(1, Duration::ZERO), (2, delay), (3, delay)] {
        let message = next(&mut billing);
        assert_eq!((message.event_id, message.attempts), (id, attempts));
        fail(&backend, &message, RetryAfter::Delay(retry));
    }
    let message = next(&mut billing);
    assert_eq!(message.attempts, 4);
    settle(&backend, &message, Verdict::Release).unwrap();
    let message = next(&mut billing);
    assert_eq!(message.attempts, 4, "a release is no attempt");
    nothing_within(&mut mail, BRIEF);
    ack(&backend, &message);
    let left = stats(&backend, "orders");
    assert!(left.iter().all(|g| (g.ready, g.dead) == (0, 0)), "{left:?}");
}

#[test]
fn dead_letters_are_their_groups_and_go_back_to_it() {
    let database = Database::empty();
    let backend = grouped(&database, |config| config.max_attempts = 1);
    let mut billing = consume(&backend, "orders", "billing");
    let mut mail = consume(&backend, "orders", "mail");
    let [one, two] = [1, 2].map(|n| publish(&backend, "orders", n));
    for _ in 0..2 {
        fail(&backend, &next(&mut billing), RetryAfter::Policy);
    }
    fail(&backend, &next(&mut mail), RetryAfter::Never);
    let counted = stats(&backend, "orders");
    let dead = |name: &str| (of(&counted, name).ready, of(&counted, name).dead);
    assert_eq!((dead("billing"), dead("mail")), ((0, 2), (1, 1)));
    let letters = backend.dead_letters(channel("orders"), 10).wait().unwrap();
    let mut found: Vec<_> = letters
        .iter()
        .map(|letter| {
            (
                letter.group.clone().unwrap(),
                letter.event_id,
                &*letter.reason,
            )
        })
        .collect();
    found.sort();
    let expected = [
        (group("billing"), one, "max_attempts"),
        (group("billing"), two, "max_attempts"),
        (group("mail"), one, "rejected"),
    ];
    assert_eq!(found, expected);
    // By its id: in both groups.
    let back = backend.requeue(channel("orders"), Some(vec![one]));
    assert_eq!(back.wait().unwrap(), 2);
    for events in [&mut billing, &mut mail] {
        let mut came = Vec::new();
        while !came.contains(&one) {
            let message = next(events);
            assert_eq!(message.attempts, 1);
            came.push(message.event_id);
            ack(&backend, &message);
        }
    }
    nothing_within(&mut billing, BRIEF);
    let purged = backend.purge_dead(channel("orders"), None).wait().unwrap();
    assert_eq!(purged, 1);
    assert_eq!(
        stats(&backend, "orders")
            .iter()
            .map(|g| g.dead)
            .sum::<u64>(),
        0
    );
}

/// For each group by itself: the server would put it away for all, also for who had it.
#[test]
fn an_event_past_its_time_dies_for_the_group_that_had_it_not() {
    let database = Database::empty();
    let backend = grouped(&database, |_| {});
    let mut fast = consume(&backend, "orders", "fast");
    let mut slow = consume(&backend, "orders", "slow");
    let soon = PublishOptions::new().expires_in(Duration::from_millis(1500));
    publish_with(&backend, "orders", "brief", soon);
    ack(&backend, &next(&mut fast));
    let looked = || stats(&backend, "orders");
    std::thread::sleep(Duration::from_millis(2600)); // the expiry, as the server would count it
    nothing_within(&mut slow, BRIEF);
    until("it is buried", || of(&looked(), "slow").dead == 1);
    assert_eq!(of(&looked(), "fast").dead, 0);
    let letters = backend.dead_letters(channel("orders"), 10).wait().unwrap();
    assert_eq!((letters.len(), &*letters[0].reason), (1, "expired"));
    assert_eq!(letters[0].group, Some(group("slow")));
}

/// What the server has put away it keeps once, for nobody; it goes back to every group.
#[test]
fn what_the_server_put_away_is_listed_and_put_back() {
    let database = Database::empty();
    let mut queue = database.described();
    queue.multiple_consumers = true;
    queue.max_retries = 1;
    database.provision(&queue);
    let backend = events_oracle_aq::open(with_groups(&database)).unwrap();
    let mut billing = consume(&backend, "orders", "billing");
    let mut mail = consume(&backend, "orders", "mail");
    let id = publish(&backend, "orders", 1);
    for events in [&mut billing, &mut mail] {
        for _ in 0..2 {
            let message = next(events);
            fail(&backend, &message, RetryAfter::Delay(Duration::ZERO));
        }
        nothing_within(events, BRIEF);
    }
    let letters = backend.dead_letters(channel("orders"), 10).wait().unwrap();
    assert_eq!(letters.len(), 1, "once for both: {letters:?}");
    assert_eq!((letters[0].event_id, letters[0].group.clone()), (id, None));
    assert_eq!(
        stats(&backend, "orders")
            .iter()
            .map(|g| g.dead)
            .sum::<u64>(),
        1
    );
    assert_eq!(backend.requeue(channel("orders"), None).wait().unwrap(), 1);
    for events in [&mut billing, &mut mail] {
        let message = next(events);
        assert_eq!((message.event_id, message.attempts), (id, 1));
        ack(&backend, &message);
    }
}

#[test]
fn each_channel_may_have_a_queue_with_groups() {
    let database = Database::empty();
    let mut config = with_groups(&database);
    for name in ["orders", "mail"] {
        let mut queue =
            AqQueue::new(AqKind::Classic, &format!("{}_{name}", database.queue)).unwrap();
        queue.multiple_consumers = true;
        database.provision(&queue);
    }
    config.queue = format!("{}_{{channel}}", database.queue);
    let backend = events_oracle_aq::open(config).unwrap();
    let mut billing = consume(&backend, "orders", "billing");
    let mut audit = consume(&backend, "mail", "audit");
    publish(&backend, "orders", 1);
    publish(&backend, "mail", 2);
    for (events, payload) in [(&mut billing, 1), (&mut audit, 2)] {
        let message = next(events);
        assert_eq!(message.payload, payload);
        ack(&backend, &message);
    }
}

/// An application that may use queues and not make them needs a group that a DBA has registered.
#[test]
fn without_the_right_to_register_a_group_that_is_there_is_used() {
    let database = Database::empty();
    let Some(server) = database
        .faulty("without_the_right_to_register_a_group_that_is_there_is_used")
        .cloned()
    else {
        return;
    };
    let backend = grouped(&database, |_| {});
    register(&backend, "orders", Some("billing"));
    server.revoke("DBMS_AQADM", true).unwrap();
    let mut billing = consume(&backend, "orders", "billing");
    publish(&backend, "orders", 1);
    assert_eq!(next(&mut billing).payload, 1);
    let refused = backend.subscribe_group(channel("orders"), Some(group("mail")));
    let error = refused.wait().unwrap_err();
    assert!(error.to_string().contains("DBMS_AQADM"), "{error}");
}
