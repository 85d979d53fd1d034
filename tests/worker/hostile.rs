//! Programs that share the file and do not behave: they know nothing of events.

use std::thread;
use std::time::Duration;

use event_channels::Closer;
use rusqlite::Connection;

use crate::order::Hostile;
use crate::say;

pub(crate) fn run(order: &Hostile, stop: &Closer) {
    let database = Connection::open(&order.file).expect("the file can be opened");
    database
        .busy_timeout(Duration::from_secs(60))
        .expect("it is a setting of this connection");
    match order.write_lock {
        Some(time) => {
            for _ in 0..order.times {
                database
                    .execute_batch("BEGIN IMMEDIATE")
                    .expect("the lock is given");
                say("locked");
                thread::sleep(time); // what it is here for
                database
                    .execute_batch("ROLLBACK")
                    .expect("nothing was changed");
                say("unlocked");
                thread::sleep(order.pause);
            }
        }
        None => {
            database
                .execute_batch("BEGIN; SELECT count(*) FROM sqlspec_event_queue;")
                .expect("the table can be read");
            say("reading");
        }
    }
    stop.wait_closed();
}
