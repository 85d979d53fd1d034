//! Tests of the testkit's own tools.

mod postgres;
mod proxy;
