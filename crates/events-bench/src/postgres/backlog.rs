//! What a claim costs when many rows stand beside the one that is wanted.

use std::time::Instant;

use event_channels::{EventChannel, IterOptions, NewEvent};

use super::place::Database;
use super::{POLLED, setting};
use crate::case::{Bound, Comparison, Effort, Metric, OURS, Other, Result, Rule, Subject};
use crate::measured::{Measured, Tally};
use crate::payload::{Payloads, read_value};
use crate::place::{CHANNEL, Place as _};
use crate::runtime::block_on;

const FEW: usize = 1_000;
const MANY: usize = 1_000_000;
/// How many claims are timed.
const CLAIMS: usize = 300;

pub(super) fn comparisons() -> Vec<Comparison> {
    [
        ("backlog_acked", include_str!("sql/fill_acked.sql")),
        ("backlog_leased", include_str!("sql/fill_leased.sql")),
        ("backlog_delayed", include_str!("sql/fill_delayed.sql")),
        ("backlog_ready", include_str!("sql/fill_ready.sql")),
        ("backlog_dead", include_str!("sql/fill_dead.sql")),
    ]
    .map(|(case, fill)| Comparison {
        case,
        by: Metric::Median,
        standard: true,
        ours: claims(fill, MANY, OURS),
        bounds: Vec::new(),
        others: vec![Other {
            subject: claims(fill, FEW, "1,000 rows"),
            bounds: vec![Bound::floor(Rule::AtMost(1.5))],
        }],
    })
    .into()
}

/// Times single claims with so many rows of that state in the same queue.
fn claims(fill: &'static str, rows: usize, peer: &'static str) -> Subject {
    // Filled once; the few rows that a round adds change nothing.
    let mut filled = None;
    Subject {
        peer,
        setting: setting(POLLED),
        measure: Box::new(move |effort| {
            if filled.is_none() {
                let place = Database::make(effort)?;
                let rows = effort.events(rows, FEW.min(rows) / 10);
                // One statement a query, so that each is a transaction of its own.
                for sql in fill.split(';') {
                    place.query(&sql.replace("$n", &rows.to_string()));
                }
                place.query("CHECKPOINT");
                filled = Some(place);
            }
            timed(filled.as_ref().ok_or("it was just filled")?, effort)
        }),
    }
}

fn timed(place: &Database, effort: &Effort) -> Result<Measured> {
    let claims = effort.events(CLAIMS, 1);
    let config = place.config(&setting(POLLED))?;
    block_on(async move {
        let channel = EventChannel::open(config).await?;
        let payloads = Payloads::of(setting(POLLED).payload_bytes);
        let tally = Tally::new(claims);
        let events = (0..claims).map(|number| NewEvent::new(CHANNEL, payloads.get(number)));
        channel.publish_many(events).await?;
        let one_at_a_time = IterOptions::new().prefetch(1);
        let mut events = channel.iter_events_with(CHANNEL, one_at_a_time).await?;
        let mut each = Vec::with_capacity(claims);
        for _ in 0..claims {
            let begun = Instant::now();
            let message = events.next().await.ok_or("the iterator ended")??;
            each.push(begun.elapsed());
            let told = read_value(&message.payload).ok_or("an event of the backlog")?;
            tally.note(told.0);
            channel.ack(&message).await?;
        }
        drop(events);
        channel.shutdown().await?;
        Ok(Measured::each(each).counted(&tally))
    })
}
