//! H10: each consumer sees first deliveries of one priority in the order of commits.
//!
//! One publish was committed before another for sure if it had answered before the other began;
//! events of one publish are in the order in which they were given.

use std::collections::HashMap;

use crate::history::hold::Hold;
use crate::history::view::View;
use crate::history::{Report, Rule};

pub(super) fn check(view: &View<'_>, report: &mut Report) {
    let mut consumers: HashMap<_, Vec<&Hold<'_>>> = HashMap::new();
    for ((id, queue), holds) in &view.holds {
        let first = &holds[0];
        let claimed_once = match first.delivered.fence {
            Some(fence) => fence == 1,
            None => first.delivered.attempt == 1,
        };
        // One that was published twice may have been stored by either.
        if let Some([(at, place)]) = view.events.get(id).map(Vec::as_slice)
            && claimed_once
            && view.publishes[*at].sent[*place].delay == 0
        {
            let priority = view.publishes[*at].sent[*place].priority;
            let consumer = (first.process, first.consumer, *queue, priority);
            consumers.entry(consumer).or_default().push(first);
        }
    }
    for (consumer, mut holds) in consumers {
        holds.sort_by_key(|hold| hold.got);
        let mut committed = u64::MAX;
        let mut places: HashMap<usize, usize> = HashMap::new();
        for hold in holds.into_iter().rev() {
            let (at, place) = view.events[&hold.delivered.event][0];
            let publish = &view.publishes[at];
            let of_the_same = places.insert(at, place);
            if publish.begun > committed || of_the_same.is_some_and(|later| later < place) {
                report.break_rule(Rule::Order, || {
                    format!(
                        "{consumer:?} was given event {} at {}, before one that was stored earlier",
                        hold.delivered.event, hold.got
                    )
                });
            }
            committed = committed.min(publish.done.unwrap_or(u64::MAX));
        }
    }
}
