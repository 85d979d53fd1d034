//! What a channel promises, checked on the queue in memory.

#[cfg(feature = "blocking")]
mod blocking;
mod iter;
mod listen;
mod listen_end;
mod listen_faults;
mod publish;
mod settle;
mod support;
