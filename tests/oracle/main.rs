//! Oracle: on the stand-in for its client library, or on the server that `EVENTS_TEST_ORACLE_URL`
//! names.

mod claims;
mod clean_up;
mod example;
mod faults;
mod foreign;
mod migrate;
mod options;
mod questions;
mod queues;
mod races;
mod support;
mod suspect;
mod valgrind;

events_testkit::conformance!(oracle_aq, events_testkit::Harness::oracle_aq());
events_testkit::conformance!(oracle_txeventq, events_testkit::Harness::oracle_txeventq());
events_testkit::conformance!(
    oracle_aq_groups,
    events_testkit::Harness::oracle_aq().map(events_testkit::Harness::with_groups)
);
events_testkit::conformance!(
    oracle_txeventq_groups,
    events_testkit::Harness::oracle_txeventq().map(events_testkit::Harness::with_groups)
);
events_testkit::conformance!(oracle_table, events_testkit::Harness::oracle());
