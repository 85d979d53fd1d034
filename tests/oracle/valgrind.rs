//! No invalid access, seen by valgrind over the tests of the queue table; those of the queues are in
//! `events-oracle-aq`, which does the same.

/// Left out are the suites of the queues, and tests that do not end in time at this pace.
const LEFT_OUT: [&str; 8] = [
    "--skip",
    "oracle_aq",
    "--skip",
    "oracle_txeventq",
    "--skip",
    "counters_are_exact_under_eight_listeners",
    "--skip",
    "a_batch_of_a_thousand_is_one_and_in_order",
];

#[test]
fn valgrind_sees_no_invalid_access() {
    events_testkit::valgrind::sees_no_invalid_access("valgrind_sees_no_invalid_access", &LEFT_OUT);
}
