//! A recorder that keeps the last value of every metric under its name and labels.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

/// Counters as they are, gauges as the bits of a float, histograms as the number of values.
static VALUES: Mutex<BTreeMap<String, Arc<AtomicU64>>> = Mutex::new(BTreeMap::new());

static INSTALLED: LazyLock<()> = LazyLock::new(|| {
    metrics::set_global_recorder(Keeper).expect("nobody else installs one");
});

/// From now on metrics are kept. To be called before a channel is opened.
pub(crate) fn install() {
    LazyLock::force(&INSTALLED);
}

/// A counter, or how many values a histogram has; `None` when nobody has registered it.
pub(crate) fn count(name: &str, labels: &[(&str, &str)]) -> Option<u64> {
    let values = VALUES.lock().unwrap();
    values
        .get(&text(name, labels.iter().copied()))
        .map(|value| value.load(Ordering::SeqCst))
}

/// A gauge.
pub(crate) fn gauge(name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    count(name, labels).map(f64::from_bits)
}

fn text<'a>(name: &str, labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut labels: Vec<_> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    labels.sort();
    format!("{name}{{{}}}", labels.join(","))
}

fn value(key: &Key) -> Arc<AtomicU64> {
    let labels = key.labels().map(|label| (label.key(), label.value()));
    let mut values = VALUES.lock().unwrap();
    Arc::clone(values.entry(text(key.name(), labels)).or_default())
}

struct Keeper;

struct Counted(Arc<AtomicU64>);

impl HistogramFn for Counted {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Recorder for Keeper {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(value(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(value(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Counted(value(key))))
    }
}
