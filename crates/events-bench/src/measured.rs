//! What one measurement brought, and what is computed from several.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// One run of one subject.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured {
    /// Events that the run was about.
    pub(crate) events: usize,
    /// How long they took together, where that is measured.
    pub(crate) took: Option<Duration>,
    /// How long each took, or waited; in no order.
    pub(crate) each: Vec<Duration>,
    /// Processor time as a share of one core, where that is measured.
    pub(crate) cpu_percent: Option<f64>,
    /// Events that never arrived.
    pub(crate) lost: usize,
    /// Arrivals beyond the first of each event.
    pub(crate) repeated: usize,
}

impl Measured {
    /// `events` handled together in this time.
    pub(crate) fn of(events: usize, took: Duration) -> Self {
        Self {
            events,
            took: Some(took),
            ..Self::default()
        }
    }

    /// Events that followed each other without a pause.
    pub(crate) fn laps(laps: Laps) -> Self {
        Self {
            each: laps.each,
            ..Self::of(laps.events, laps.last - laps.begun)
        }
    }

    /// Single times and no total.
    pub(crate) fn each(each: Vec<Duration>) -> Self {
        Self {
            events: each.len(),
            each,
            ..Self::default()
        }
    }

    /// The same with what a tally found.
    pub(crate) fn counted(mut self, tally: &Tally) -> Self {
        self.lost = tally.lost();
        self.repeated = tally.repeated();
        self
    }

    pub(crate) fn per_second(&self) -> Option<f64> {
        let took = self.took?.as_secs_f64();
        (took > 0.0).then(|| self.events as f64 / took)
    }

    /// The time that `percent` of the single times do not exceed, in microseconds.
    pub(crate) fn percentile(&self, percent: usize) -> Option<f64> {
        let mut times = self.each.clone();
        times.sort_unstable();
        let last = times.len().checked_sub(1)?;
        let at = (last * percent + 50) / 100;
        Some(times[at].as_secs_f64() * 1e6)
    }
}

/// Times events that follow each other without a pause.
#[derive(Debug)]
pub(crate) struct Laps {
    events: usize,
    begun: Instant,
    last: Instant,
    each: Vec<Duration>,
}

impl Laps {
    /// Starts the clock.
    pub(crate) fn start(events: usize) -> Self {
        let each = Vec::with_capacity(events);
        let begun = Instant::now();
        Self {
            events,
            begun,
            last: begun,
            each,
        }
    }

    /// One event more is done.
    pub(crate) fn lap(&mut self) {
        let now = Instant::now();
        self.each.push(now - self.last);
        self.last = now;
    }
}

/// Counts arrivals by the number in each payload.
#[derive(Debug)]
pub(crate) struct Tally(Vec<AtomicU32>);

impl Tally {
    /// Expects the numbers below `events`.
    pub(crate) fn new(events: usize) -> Self {
        Self((0..events).map(|_| AtomicU32::new(0)).collect())
    }

    /// Notes an arrival.
    ///
    /// # Panics
    /// When nobody published that number.
    pub(crate) fn note(&self, number: usize) {
        self.0[number].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn lost(&self) -> usize {
        self.counts().filter(|count| *count == 0).count()
    }

    pub(crate) fn repeated(&self) -> usize {
        self.counts().map(|count| count.saturating_sub(1)).sum()
    }

    fn counts(&self) -> impl Iterator<Item = usize> {
        self.0
            .iter()
            .map(|count| count.load(Ordering::Relaxed) as usize)
    }
}

/// The middle value, or the mean of the two middle ones.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_any_order() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let times = (0..=100).rev().map(Duration::from_micros).collect();
        let measured = Measured::each(times);
        assert_eq!(measured.percentile(50), Some(50.0));
        assert_eq!(measured.percentile(99), Some(99.0));
        assert_eq!(Measured::default().percentile(50), None);
    }

    #[test]
    fn a_tally_tells_lost_from_repeated() {
        let tally = Tally::new(4);
        [0, 1, 1, 3, 3, 3]
            .into_iter()
            .for_each(|number| tally.note(number));
        assert_eq!((tally.lost(), tally.repeated()), (1, 3));
        let rate = Measured::of(10, Duration::from_secs(2)).counted(&tally);
        assert_eq!(
            (rate.per_second(), rate.lost, rate.repeated),
            (Some(5.0), 1, 3)
        );
    }
}
