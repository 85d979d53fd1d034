//! A suspect that was given back is nobody's.

use event_channels::TableName;
use events_queue_oracle::{OracleConfig, Server};
use events_testkit::suspect::is_nobodys_once_it_was_given_back;
use tokio::runtime::Runtime;

#[test]
fn is_nobodys() {
    let database = match events_testkit::oracle::database() {
        Ok(database) => database,
        Err(missing) => return missing.skip("suspect::is_nobodys"),
    };
    let runtime = Runtime::new().unwrap();
    let mut config = OracleConfig::new(Server::parse(database.url()).unwrap());
    config.auto_migrate = true;
    config.queue.table = TableName::new(database.table()).unwrap();
    let queue = events_queue_oracle::open(config, runtime.handle()).unwrap();
    is_nobodys_once_it_was_given_back(queue.store());
}
