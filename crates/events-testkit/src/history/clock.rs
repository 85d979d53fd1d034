//! The time of a record, by two clocks that all processes of a machine share.

use nix::time::{ClockId, clock_gettime};

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment {
    /// Nanoseconds by a clock that never jumps: orders what happened.
    pub steady: u64,
    /// Microseconds since 1970: compares with the leases of a database on this machine.
    pub wall: i64,
}

impl Moment {
    /// This moment.
    ///
    /// # Panics
    /// When the system's clock shows a time before its begin.
    #[must_use]
    pub fn now() -> Self {
        let read = |clock| clock_gettime(clock).expect("Linux has this clock");
        let steady = read(ClockId::CLOCK_MONOTONIC);
        let wall = read(ClockId::CLOCK_REALTIME);
        Self {
            steady: positive(steady.tv_sec()) * 1_000_000_000 + positive(steady.tv_nsec()),
            wall: wall.tv_sec() * 1_000_000 + wall.tv_nsec() / 1_000,
        }
    }
}

fn positive(number: i64) -> u64 {
    u64::try_from(number).expect("the clock shows a time since its begin")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_go_on() {
        let first = Moment::now();
        std::thread::sleep(std::time::Duration::from_millis(2));
        let second = Moment::now();
        assert!(second.steady - first.steady >= 2_000_000);
        assert!(second.wall > first.wall);
    }
}
