//! The conformance suite, one line for each backend.

events_testkit::conformance!(sqlite_file, Ok(events_testkit::Harness::sqlite_file()));
events_testkit::conformance!(sqlite_memory, Ok(events_testkit::Harness::sqlite_memory()));
events_testkit::conformance!(postgres, events_testkit::Harness::postgres());
events_testkit::conformance!(postgres_woken, events_testkit::Harness::postgres_woken());
events_testkit::conformance!(postgres_native, events_testkit::Harness::postgres_native());
