//! Durations in reports for programs: a number of seconds.

use std::time::Duration;

use serde::Serializer;

pub(crate) fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

pub(crate) fn optional_seconds<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => seconds(time, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GroupStats, Health};
    use serde_json::json;

    #[test]
    fn reports_give_seconds_and_say_so_in_the_key() {
        let health = Health::new("poll_queue", "x".to_owned(), Duration::from_micros(1500));
        assert_eq!(
            serde_json::to_value(health).unwrap(),
            json!({"backend": "poll_queue", "database": "x", "round_trip_seconds": 0.0015})
        );
        let mut stats = GroupStats::default();
        for (age, seconds) in [
            (None, json!(null)),
            (Some(Duration::from_millis(2500)), json!(2.5)),
        ] {
            stats.oldest_ready_age = age;
            let shown = serde_json::to_value(&stats).unwrap();
            assert_eq!(shown["oldest_ready_age_seconds"], seconds);
        }
    }
}
