//! Tests of the backend alone, on real servers.

mod basics;
mod certificates;
mod interruptions;
mod load;
mod many_channels;
mod names;
mod own_pool;
mod pooler;
mod publishing;
mod spill;
mod support;
mod tls;
mod transaction;
