//! Promises that no fault and no second process is needed to try: each from end to end, on a file
//! that several channel objects have open as several processes would.

mod dropped;
mod ids;
mod nowhere;
mod order;
mod panics;
mod place;
mod repeats;
mod shutdown;
mod sql;
