//! Oracle's queues: on the stand-in for its client library, or on the server that
//! `EVENTS_TEST_ORACLE_URL` names.

mod admin;
mod basics;
mod faults;
mod groups;
mod killed;
mod options;
mod panics;
mod payloads;
mod questions;
mod queues;
mod rollback;
mod routing;
mod sessions;
mod settle;
mod support;
mod valgrind;
