//! Every public future, dropped after each number of polls: no event is lost, no lease outlives its
//! consumer, nothing is half done. On a file, in memory, and on the reference store.

mod admin;
mod consume;
mod open;
mod place;
mod publish;
mod settle;
mod shutdown;
