//! An order and its event in one transaction: both are stored, or neither is.

use event_channels::sqlite::TransactionalPublish as _;
use event_channels::sqlite::rusqlite::{Connection, TransactionBehavior};
use event_channels::{NewEvent, blocking::EventChannel};
use serde_json::json;

#[expect(clippy::print_stdout, reason = "an example")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("app.db");
    let channel = EventChannel::open(&*format!("sqlite:{}", path.display()))?;

    let mut database = Connection::open(&path)?;
    database.execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT)")?;

    let tx = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute("INSERT INTO orders (item) VALUES ('book')", [])?;
    let order = json!({"id": tx.last_insert_rowid(), "item": "book"});
    let (id, bell) = channel.publish_in(&tx, NewEvent::new("orders", order))?;
    tx.commit()?;
    bell.ring();

    let mut events = channel.iter_events("orders")?;
    let message = events.next().expect("the channel is open")?;
    assert_eq!(message.event_id, id);
    println!("{}", message.payload);
    channel.ack(&message)?;
    channel.shutdown()?;
    Ok(())
}
