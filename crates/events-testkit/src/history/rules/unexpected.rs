//! H2: what is delivered was published, on that channel and with that payload.

use crate::history::view::View;
use crate::history::{Report, Rule};

pub(super) fn check(view: &View<'_>, report: &mut Report) {
    for ((id, (channel, _)), holds) in &view.holds {
        let places = view.events.get(id).map_or(&[][..], Vec::as_slice);
        for hold in holds {
            let same = places.iter().any(|(at, place)| {
                let publish = &view.publishes[*at];
                publish.channel == *channel
                    && publish.sent[*place].payload == hold.delivered.payload
            });
            let why = if places.is_empty() {
                "nobody published it"
            } else if !view.may_be_stored(id) {
                "its publish was refused"
            } else if !same {
                "it was published with another payload, or on another channel"
            } else {
                continue;
            };
            report.break_rule(Rule::Unexpected, || {
                format!(
                    "event {id} on {channel}, delivered to {} at {}: {why}",
                    hold.process, hold.got
                )
            });
        }
    }
}
