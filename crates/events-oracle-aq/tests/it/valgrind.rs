//! No invalid access, seen by valgrind over the other tests.

/// Left out are real servers, processes that are killed, and tests that say how long something may
/// take.
const LEFT_OUT: [&str; 8] = [
    "--skip",
    "killed",
    "--skip",
    "questions",
    "--skip",
    "an_outage",
    "--skip",
    "at_once",
];

#[test]
fn valgrind_sees_no_invalid_access() {
    events_testkit::valgrind::sees_no_invalid_access("valgrind_sees_no_invalid_access", &LEFT_OUT);
}
