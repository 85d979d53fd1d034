//! Tests of the backend alone, on real servers.

mod basics;
mod support;
