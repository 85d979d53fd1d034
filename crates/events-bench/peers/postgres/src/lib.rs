//! What both rivals share: the payload, and the line that is printed.

use std::time::Duration;

use serde_json::{Value, json};

/// About 200 bytes of JSON.
pub fn payload(number: usize) -> Value {
    json!({"i": number, "t": 0, "type": "bench", "body": "x".repeat(144)})
}

/// The server's URL and how many events to handle: the arguments of both programs.
pub fn arguments() -> (String, usize) {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().expect("the URL of a database comes first");
    let events = arguments.next().and_then(|text| text.parse().ok());
    (url, events.expect("the number of events comes second"))
}

/// Prints what was measured; the numbers tell what was lost and what came twice.
pub fn print(numbers: &[usize], events: usize, took: Duration) {
    let mut counts = vec![0_usize; events];
    for number in numbers {
        counts[*number] += 1;
    }
    let lost = counts.iter().filter(|count| **count == 0).count();
    let dup: usize = counts.iter().map(|count| count.saturating_sub(1)).sum();
    let line = json!({"n": events, "seconds": took.as_secs_f64(), "lost": lost, "dup": dup});
    println!("{line}");
}
