//! The receipts that a channel object holds, so that an event can be settled by its id.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use events_core::{Error, ErrorKind, EventId, EventMessage, Op, Receipt, Result, Timestamp};

use crate::target::Target;

/// More receipts than this are not kept; the oldest is forgotten first.
const CAPACITY: usize = 65_536;
/// How long a receipt is kept after its lease can have ended.
const GRACE: Duration = Duration::from_secs(60);
/// How long a receipt without a known lease is kept.
const NO_LEASE: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
pub(crate) struct Held(Mutex<Receipts>);

/// Two memories: what is held, and the last receipt of what was settled. Apart, so that a busy
/// listener, which settles thousands of events, does not push out one that somebody still holds.
#[derive(Debug, Default)]
struct Receipts {
    held: HashMap<EventId, Holding>,
    /// By age, so that what is forgotten is the oldest.
    order: BTreeMap<u64, (Instant, EventId)>,
    next: u64,
    settled: HashMap<EventId, Receipt>,
    settled_order: VecDeque<(Instant, EventId, Receipt)>,
}

#[derive(Debug)]
struct Holding {
    first: Slot,
    /// Further groups that got the same event.
    more: Vec<Slot>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    receipt: Receipt,
    order: u64,
    until: Instant,
}

impl Held {
    /// Notes a message that is about to be handed over.
    pub(crate) fn insert(&self, message: &EventMessage) {
        let receipt = message.receipt();
        if !matches!(receipt, Receipt::Held(_)) {
            return;
        }
        let now = Instant::now();
        let until = now + kept_for(message);
        let mut receipts = self.lock();
        receipts.forget_old(now);
        receipts.insert(message.event_id, receipt, until);
    }

    /// The receipt of a target.
    pub(crate) fn find(&self, target: Target, op: Op) -> Result<(EventId, Receipt)> {
        let id = match target {
            Target::Message(id, receipt) => return Ok((id, receipt)),
            Target::Id(id) => id,
        };
        let receipts = self.lock();
        match receipts.held.get(&id) {
            Some(holding) if holding.more.is_empty() => Ok((id, holding.first.receipt)),
            Some(_) => Err(Error::invalid_input(
                op,
                format!("event {id} is held for more than one consumer group; pass the message"),
            )),
            None => receipts.settled.get(&id).map(|receipt| (id, *receipt)).ok_or_else(|| {
                Error::new(ErrorKind::NotHeld, op).because(format!(
                    "this channel object holds no event {id}; settle it where it was received, or pass the message"
                ))
            }),
        }
    }

    /// Notes that these were settled; one more verdict can still be told what the first was.
    pub(crate) fn settled(&self, settled: impl IntoIterator<Item = (EventId, Receipt)>) {
        let now = Instant::now();
        let mut receipts = self.lock();
        for (id, receipt) in settled {
            let until = receipts.remove(id, receipt).unwrap_or(now + GRACE);
            receipts.settled.insert(id, receipt);
            receipts.settled_order.push_back((until, id, receipt));
        }
        receipts.forget_old(now);
    }

    fn lock(&self) -> MutexGuard<'_, Receipts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receipts {
    fn insert(&mut self, id: EventId, receipt: Receipt, until: Instant) {
        let slot = Slot {
            receipt,
            order: self.next,
            until,
        };
        self.next += 1;
        self.order.insert(slot.order, (until, id));
        let Some(holding) = self.held.get_mut(&id) else {
            let more = Vec::new();
            self.held.insert(id, Holding { first: slot, more });
            return;
        };
        // A later claim of the same row replaces the earlier one, which is lost.
        let mut slots = std::iter::once(&mut holding.first).chain(&mut holding.more);
        match slots.find(|known| same_row(known.receipt, receipt)) {
            Some(known) => {
                self.order.remove(&known.order);
                *known = slot;
            }
            None => holding.more.push(slot),
        }
    }

    /// Removes one holding; answers until when it was to be kept.
    fn remove(&mut self, id: EventId, receipt: Receipt) -> Option<Instant> {
        self.remove_slot(id, |slot| slot.receipt == receipt)
    }

    fn remove_slot(&mut self, id: EventId, is_it: impl Fn(&Slot) -> bool) -> Option<Instant> {
        let holding = self.held.get_mut(&id)?;
        let slot = if let Some(at) = holding.more.iter().position(&is_it) {
            holding.more.swap_remove(at)
        } else if is_it(&holding.first) {
            let first = holding.first;
            match holding.more.pop() {
                Some(other) => holding.first = other,
                None => drop(self.held.remove(&id)),
            }
            first
        } else {
            return None;
        };
        self.order.remove(&slot.order);
        Some(slot.until)
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some((&order, &(until, id))) = self.order.first_key_value() {
            if self.order.len() < CAPACITY && now < until {
                break;
            }
            // An extended lease may outlive this; the message itself can still be settled.
            if self.remove_slot(id, |slot| slot.order == order).is_none() {
                self.order.remove(&order);
            }
        }
        while let Some(&(until, id, receipt)) = self.settled_order.front() {
            if self.settled_order.len() < CAPACITY && now < until {
                break;
            }
            self.settled_order.pop_front();
            if self.settled.get(&id) == Some(&receipt) {
                self.settled.remove(&id);
            }
        }
    }
}

fn same_row(one: Receipt, other: Receipt) -> bool {
    match (one, other) {
        (Receipt::Held(one), Receipt::Held(other)) => {
            (one.queue_id, one.row) == (other.queue_id, other.row)
        }
        _ => false,
    }
}

/// The lease and a minute. The database's clock may differ from ours, so the time is bounded.
fn kept_for(message: &EventMessage) -> Duration {
    lease_left(message).map_or(NO_LEASE, |left| left.min(NO_LEASE * 24) + GRACE)
}

/// How much of its lease a message has left, as far as the two clocks agree.
pub(crate) fn lease_left(message: &EventMessage) -> Option<Duration> {
    let left = message.lease_expires_at?.duration_since(Timestamp::now());
    Some(Duration::try_from(left).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use events_core::{ChannelName, HoldToken};
    use serde_json::Value;

    fn message(id: EventId, queue_id: i64, fence: i64) -> EventMessage {
        let token = HoldToken {
            queue_id,
            row: 1,
            fence,
            priority: 0,
            attempts: 1,
            keyed: false,
        };
        let now = Timestamp::now();
        let channel = ChannelName::new("orders").unwrap();
        let mut message = EventMessage::new(id, channel, Value::Null, now);
        message.lease_expires_at = Some(now + Duration::from_secs(30));
        message.held(Receipt::Held(token))
    }

    #[test]
    fn a_second_group_makes_the_id_ambiguous_until_one_is_settled() {
        let (held, id) = (Held::default(), EventId::new());
        let (one, two) = (message(id, 1, 1), message(id, 2, 1));
        held.insert(&one);
        held.insert(&two);
        let error = held.find(Target::Id(id), Op::Ack).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("pass the message"), "{error}");
        held.settled([(id, one.receipt())]);
        assert_eq!(held.find(Target::Id(id), Op::Ack).unwrap().1, two.receipt());
    }

    #[test]
    fn a_later_claim_replaces_the_earlier_and_a_settled_one_is_remembered() {
        let (held, id) = (Held::default(), EventId::new());
        held.insert(&message(id, 1, 1));
        let later = message(id, 1, 2);
        held.insert(&later);
        assert_eq!(
            held.find(Target::Id(id), Op::Ack).unwrap().1,
            later.receipt()
        );
        held.settled([(id, later.receipt())]);
        assert!(held.lock().held.is_empty() && held.lock().order.is_empty());
        assert_eq!(
            held.find(Target::Id(id), Op::Ack).unwrap().1,
            later.receipt()
        );
        let unknown = held.find(Target::Id(EventId::new()), Op::Ack).unwrap_err();
        assert_eq!(unknown.kind(), ErrorKind::NotHeld);
    }

    #[test]
    fn both_memories_are_bounded_and_settled_events_push_out_no_held_one() {
        let (held, first) = (Held::default(), EventId::new());
        held.insert(&message(first, 1, 1));
        for _ in 0..CAPACITY + 10 {
            let passing = message(EventId::new(), 1, 1);
            held.insert(&passing);
            held.settled([(passing.event_id, passing.receipt())]);
        }
        assert!(held.lock().settled.len() <= CAPACITY);
        assert!(held.find(Target::Id(first), Op::Ack).is_ok());
        for _ in 0..CAPACITY + 10 {
            held.insert(&message(EventId::new(), 1, 1));
        }
        assert!(held.lock().held.len() <= CAPACITY);
        assert!(held.find(Target::Id(first), Op::Ack).is_err());
    }

    #[test]
    fn what_is_past_its_lease_and_a_minute_is_forgotten() {
        let held = Held::default();
        held.insert(&message(EventId::new(), 1, 1));
        let mut receipts = held.lock();
        receipts.forget_old(Instant::now() + Duration::from_secs(80));
        assert_eq!(receipts.held.len(), 1);
        receipts.forget_old(Instant::now() + Duration::from_secs(100));
        assert_eq!((receipts.held.len(), receipts.order.len()), (0, 0));
    }
}
