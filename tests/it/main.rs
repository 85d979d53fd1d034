//! Tests of the library as its users see it; one binary, one module for each subject.

mod capabilities;
mod conformance;
mod durability;
mod examples;
mod file;
mod options;
mod postgres_admin;
mod postgres_connections;
mod postgres_crash;
mod postgres_example;
mod postgres_faults;
mod postgres_idle;
mod postgres_late_commit;
mod postgres_load;
mod postgres_registration;
mod postgres_roles;
mod postgres_wakes;
mod promises;
mod quick_start;
mod suspect;
mod transaction;
mod wakes;
