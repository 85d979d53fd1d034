//! The promise table, pinned: a backend cannot win skips in the suite by promising less.

use event_channels::{Capabilities, EventChannel, FanOut, SettlementMode, Wakes};

#[tokio::test]
async fn poll_queue_on_sqlite() {
    let channel = EventChannel::open("sqlite::memory:").await.unwrap();
    assert_eq!(channel.backend_name(), "poll_queue");
    assert_eq!(
        channel.capabilities(),
        Capabilities {
            durable: true,
            fan_out: FanOut::Groups,
            settlement: SettlementMode::Lease,
            wakes: Wakes::InProcess,
            delay: true,
            priority: true,
            expires: true,
            idempotent: true,
            dead_letters: true,
            atomic_batch: true,
            max_event_bytes: None,
            max_name_bytes: 128,
        }
    );
}

/// On a file consumers of other processes are woken too; nothing else differs.
#[tokio::test]
async fn poll_queue_on_a_sqlite_file() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("app.db").display());
    let file = EventChannel::open(&*url).await.unwrap().capabilities();
    let memory = EventChannel::open("sqlite::memory:").await.unwrap();
    assert_eq!(file.wakes, Wakes::Push);
    let expected = Capabilities {
        wakes: Wakes::Push,
        ..memory.capabilities()
    };
    assert_eq!(file, expected);
}

/// Users hold these across threads and tasks.
#[test]
fn public_types_are_send_and_sync() {
    fn check<T: Send + Sync>() {}
    check::<EventChannel>();
    check::<event_channels::blocking::EventChannel>();
    check::<event_channels::EventMessage>();
    check::<event_channels::Error>();
    check::<event_channels::EventsConfig>();
    check::<event_channels::Listener>();
    fn send<T: Send>() {}
    send::<event_channels::Events>();
    send::<event_channels::blocking::Events>();
    send::<event_channels::Pending<()>>();
}
