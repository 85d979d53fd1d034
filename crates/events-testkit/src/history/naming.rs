//! Finds which publish an event came from, when its id was never told.

use std::collections::HashMap;

use event_channels::EventId;

use super::view::{Fate, View};

impl View<'_> {
    /// Notes where each event was published. The ids of a publish that was not answered are found
    /// by the payloads of what turned up.
    pub(super) fn name_events(&mut self) {
        let mut nameless: HashMap<(&str, u64), Vec<(usize, usize)>> = HashMap::new();
        for (at, publish) in self.publishes.iter().enumerate() {
            for (place, (id, sent)) in publish.ids.iter().zip(publish.sent).enumerate() {
                if let Some(id) = id {
                    self.events.entry(*id).or_default().push((at, place));
                } else if publish.fate != Fate::Refused {
                    let key = (publish.channel, sent.payload);
                    nameless.entry(key).or_default().push((at, place));
                }
            }
        }
        // The first one that was published is taken first.
        nameless.values_mut().for_each(|places| places.reverse());
        let delivered = self.holds.iter().flat_map(|((id, queue), holds)| {
            holds
                .iter()
                .map(|hold| (*id, queue.0, hold.delivered.payload))
        });
        let stored = self
            .rows
            .iter()
            .flatten()
            .flat_map(|((id, queue), rows)| rows.iter().map(|row| (*id, queue.0, row.payload)));
        for (id, channel, payload) in delivered.chain(stored) {
            if self.events.contains_key(&id) {
                continue;
            }
            if let Some((at, place)) = nameless.get_mut(&(channel, payload)).and_then(Vec::pop) {
                self.publishes[at].ids[place] = Some(id);
                self.events.insert(id, vec![(at, place)]);
            }
        }
    }

    /// Whether a publish of the event may have stored it.
    pub(super) fn may_be_stored(&self, event: &EventId) -> bool {
        let places = self.events.get(event).into_iter().flatten();
        places
            .into_iter()
            .any(|(at, _)| self.publishes[*at].fate != Fate::Refused)
    }
}
