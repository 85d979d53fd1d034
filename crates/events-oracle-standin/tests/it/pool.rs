//! Session pools.

use events_oracle_standin::Plan;
use oracle::pool::PoolBuilder;

use crate::support::server;

#[test]
fn a_session_comes_back_and_a_dead_one_does_not() {
    let server = server("pool");
    let target = format!("//standin/{}", server.service());
    let pool = PoolBuilder::new("scott", "tiger", target)
        .max_connections(2)
        .build()
        .unwrap();
    let first = pool.get().unwrap();
    first.ping().unwrap();
    drop(first);
    assert_eq!(server.sessions().unwrap(), 1);
    let again = pool.get().unwrap();
    assert_eq!(server.sessions().unwrap(), 1);
    server.plan(Plan::at("PING").kill()).unwrap();
    assert!(again.ping().is_err());
    drop(again);
    pool.get().unwrap().ping().unwrap();
    assert_eq!(server.sessions().unwrap(), 1);
    assert_eq!(pool.open_count().unwrap(), 1);
}

#[test]
fn a_full_pool_that_does_not_wait_says_so() {
    let server = server("full_pool");
    let pool = PoolBuilder::new("scott", "tiger", format!("//standin/{}", server.service()))
        .max_connections(1)
        .get_mode(oracle::pool::GetMode::NoWait)
        .build()
        .unwrap();
    let _held = pool.get().unwrap();
    assert_eq!(pool.get().unwrap_err().oci_code(), Some(24418));
}
