//! One caller that publishes one event after the other, or a hundred with each call, while a bare
//! connection counts them.

use super::bare::{Sender, text};
use super::database::Counted;
use crate::case::{Api, Bound, Comparison, Effort, Metric, Other, Result, Rule, Setting, Subject};
use crate::measured::{Laps, Measured};
use crate::ours::publish_batch::{self, BATCH};
use crate::ours::publish_single;
use crate::payload::Payloads;
use crate::place::{Counting as _, Place as _};
use crate::runtime::{block_on, on_this_thread};

/// How much one call of the bare side publishes, each time by one prepared statement.
#[derive(Clone, Copy)]
enum Call {
    Single,
    Batch,
}

pub(super) fn comparisons() -> Vec<Comparison> {
    let single = super::settings().map(|setting| {
        let ours = publish_single::ours::<Counted>(setting);
        comparison("publish_single", ours, bare(setting, Call::Single), 0.9)
    });
    let batch = super::settings().map(|setting| {
        let ours = publish_batch::ours::<Counted>(setting);
        comparison("publish_batch100", ours, bare(setting, Call::Batch), 0.7)
    });
    single.chain(batch).collect()
}

fn comparison(case: &'static str, ours: Subject, bare: Subject, floor: f64) -> Comparison {
    Comparison {
        case,
        by: Metric::PerSecond,
        standard: true,
        ours,
        bounds: Vec::new(),
        others: vec![Other {
            subject: bare,
            bounds: vec![Bound::floor(Rule::AtLeast(floor))],
        }],
    }
}

/// One connection, driven by a task beside the caller; or by the caller's own thread while it
/// waits for a call, as the driver's blocking face does it.
fn bare(setting: Setting, call: Call) -> Subject {
    Subject {
        peer: "bare NOTIFY",
        setting,
        measure: Box::new(move |effort| {
            let place = Counted::make(effort)?;
            let (url, events) = (place.url(), call.events(&setting, effort));
            let payloads = Payloads::of(setting.payload_bytes);
            let numbers = (0..events).step_by(call.size());
            let laps = match setting.api {
                Api::Async => block_on(async move {
                    let sender = Sender::connect(&url).await?;
                    let mut laps = Laps::start(events);
                    for number in numbers {
                        call.publish(&sender, &payloads, number).await?;
                        laps.lap();
                    }
                    Ok(laps)
                })?,
                Api::Blocking => {
                    let runtime = on_this_thread()?;
                    let sender = runtime.block_on(Sender::connect(&url))?;
                    let mut laps = Laps::start(events);
                    for number in numbers {
                        runtime.block_on(call.publish(&sender, &payloads, number))?;
                        laps.lap();
                    }
                    laps
                }
            };
            Ok(Measured::laps(laps).counted(&place.published(events)?))
        }),
    }
}

impl Call {
    fn events(self, setting: &Setting, effort: &Effort) -> usize {
        match self {
            Self::Single => publish_single::events(setting, effort),
            Self::Batch => publish_batch::events(setting, effort),
        }
    }

    fn size(self) -> usize {
        match self {
            Self::Single => 1,
            Self::Batch => BATCH,
        }
    }

    async fn publish(self, sender: &Sender, payloads: &Payloads, first: usize) -> Result<()> {
        match self {
            Self::Single => sender.one(&text(payloads, first)).await,
            Self::Batch => {
                let numbers = first..first + BATCH;
                let batch: Vec<_> = numbers.map(|number| text(payloads, number)).collect();
                sender.many(&batch).await
            }
        }
    }
}
