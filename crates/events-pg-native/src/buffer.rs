//! What waits for one consumer: bounded, in order, with what it must be told in its place.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use event_listener::{Event, EventListener};
use events_core::telemetry::{Count, Meter};
use events_core::{Error, Gap, Overflow};
use parking_lot::{Mutex, MutexGuard};

/// An item for a consumer.
#[derive(Debug)]
pub(crate) enum Item {
    /// The text of a notification.
    Text(Arc<str>),
    /// An interruption.
    Gap(Gap),
    /// So many events are missing here.
    Lagged(u64),
    /// The last item.
    End(Error),
}

/// What became of a text that was put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// It waits, or something was dropped as the policy says.
    Done,
    /// It was not taken; wait for room and try again.
    Full,
    /// The consumer is gone.
    Ended,
}

/// The queue between the connection and one consumer.
#[derive(Debug)]
pub(crate) struct Buffer {
    capacity: usize,
    overflow: Overflow,
    meter: Arc<Meter>,
    state: Mutex<State>,
    /// Rung when there is room again, and when the consumer is gone.
    room: Event,
}

#[derive(Debug, Default)]
struct State {
    texts: VecDeque<Entry>,
    /// What is to be told after the last text.
    tail: Notices,
    ended: bool,
    /// The last item of a queue that ends by an error.
    last: Option<Error>,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Entry {
    text: Arc<str>,
    /// What is to be told before the text. Nearly always there is nothing.
    before: Option<Box<Notices>>,
}

/// What happened at one place of the queue. Interruptions that nothing lies between are one.
#[derive(Debug, Default)]
struct Notices {
    gap: Option<Gap>,
    lagged: u64,
}

impl Notices {
    fn take(&mut self) -> Option<Item> {
        if let Some(gap) = self.gap.take() {
            return Some(Item::Gap(gap));
        }
        let lagged = std::mem::take(&mut self.lagged);
        (lagged > 0).then_some(Item::Lagged(lagged))
    }

    fn is_empty(&self) -> bool {
        self.gap.is_none() && self.lagged == 0
    }

    fn add_gap(&mut self, gap: Gap) {
        match &mut self.gap {
            Some(first) => {
                first.until = gap.until;
                first.cause = gap.cause;
            }
            None => self.gap = Some(gap),
        }
    }

    /// Puts what happened earlier in front.
    fn follow(&mut self, earlier: Self) {
        self.lagged += earlier.lagged;
        let later = match (earlier.gap, self.gap.take()) {
            (Some(first), Some(second)) => Some(Gap {
                from: first.from,
                ..second
            }),
            (first, second) => first.or(second),
        };
        self.gap = later;
    }
}

impl Buffer {
    pub(crate) fn new(capacity: usize, overflow: Overflow, meter: Arc<Meter>) -> Self {
        Self {
            capacity,
            overflow,
            meter,
            state: Mutex::default(),
            room: Event::new(),
        }
    }

    /// Puts a text in, or does what the policy says when there is no room.
    pub(crate) fn put(&self, text: &Arc<str>) -> Put {
        let mut state = self.state.lock();
        if state.ended {
            return Put::Ended;
        }
        if state.texts.len() < self.capacity {
            state.push(text);
            self.meter.queued();
        } else {
            match self.overflow {
                Overflow::Block => return Put::Full,
                Overflow::Error => {
                    state.end(Some(crate::error::too_slow(self.capacity)));
                    wake(state);
                    return Put::Ended;
                }
                Overflow::DropNewest => state.tail.lagged += 1,
                // `DropOldest`, and whatever policies may come.
                _ => {
                    state.drop_oldest();
                    state.push(text);
                }
            }
            self.meter.add(Count::ListenerDropped, 1);
        }
        wake(state);
        Put::Done
    }

    /// Puts a text in although there may be no room, before the consumer can read.
    pub(crate) fn force(&self, text: &Arc<str>) {
        let mut state = self.state.lock();
        if !state.ended {
            state.push(text);
            self.meter.queued();
        }
        wake(state);
    }

    /// Notes an interruption.
    pub(crate) fn gap(&self, gap: Gap) {
        let mut state = self.state.lock();
        state.tail.add_gap(gap);
        wake(state);
    }

    /// Ends it: what waits is still handed over, then `error` if there is one.
    pub(crate) fn end(&self, error: Option<Error>) {
        let mut state = self.state.lock();
        state.end(error);
        wake(state);
        self.room.notify(usize::MAX);
    }

    /// Ends it for a consumer that is gone.
    pub(crate) fn abandon(&self) {
        let mut state = self.state.lock();
        state.end(None);
        let left = std::mem::take(&mut state.texts).len();
        wake(state);
        self.meter.unqueued(left);
        self.room.notify(usize::MAX);
    }

    /// A listener for room; take it before the [`Buffer::put`] that may find none.
    pub(crate) fn listen_for_room(&self) -> EventListener {
        self.room.listen()
    }

    /// The next item; `None` when it has ended and everything was handed over.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        let mut state = self.state.lock();
        if let Some(item) = state.next() {
            let room = state.texts.len() + 1 == self.capacity;
            drop(state);
            if matches!(item, Item::Text(_)) {
                self.meter.unqueued(1);
            }
            if room && self.overflow == Overflow::Block {
                self.room.notify(usize::MAX);
            }
            return Poll::Ready(Some(item));
        }
        if state.ended {
            return Poll::Ready(state.last.take().map(Item::End));
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl State {
    fn push(&mut self, text: &Arc<str>) {
        let before = std::mem::take(&mut self.tail);
        self.texts.push_back(Entry {
            text: Arc::clone(text),
            before: (!before.is_empty()).then(|| Box::new(before)),
        });
    }

    /// Drops the oldest text and tells so in its place.
    fn drop_oldest(&mut self) {
        let Some(oldest) = self.texts.pop_front() else {
            return;
        };
        let mut earlier = oldest.before.map(|notices| *notices).unwrap_or_default();
        earlier.lagged += 1;
        match self.texts.front_mut() {
            Some(next) => next.before.get_or_insert_default().follow(earlier),
            None => self.tail.follow(earlier),
        }
    }

    fn next(&mut self) -> Option<Item> {
        let Some(front) = self.texts.front_mut() else {
            return self.tail.take();
        };
        if let Some(notices) = &mut front.before {
            if let Some(notice) = notices.take() {
                return Some(notice);
            }
            front.before = None;
        }
        self.texts.pop_front().map(|entry| Item::Text(entry.text))
    }

    fn end(&mut self, error: Option<Error>) {
        if !self.ended {
            self.ended = true;
            self.last = error;
        }
    }
}

/// Wakes the consumer once the lock is free, since its waker may do anything.
fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use events_core::telemetry::Telemetry;
    use events_core::{ErrorKind, Timestamp};

    fn buffer(capacity: usize, overflow: Overflow) -> Buffer {
        let meter = Telemetry::named("buffer").backend("notify");
        Buffer::new(capacity, overflow, Arc::new(meter))
    }

    fn text(n: usize) -> Arc<str> {
        Arc::from(n.to_string())
    }

    fn gap(from: i64, until: i64) -> Gap {
        Gap {
            from: Timestamp::from_second(from).unwrap(),
            until: Timestamp::from_second(until).unwrap(),
            cause: until.to_string(),
        }
    }

    /// What a consumer sees, in one word each.
    fn drain(buffer: &Buffer) -> Vec<String> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut seen = Vec::new();
        while let Poll::Ready(Some(item)) = buffer.poll_next(&mut cx) {
            seen.push(match item {
                Item::Text(text) => text.to_string(),
                Item::Gap(gap) => format!("gap {}-{}", gap.from.as_second(), gap.until.as_second()),
                Item::Lagged(n) => format!("lagged {n}"),
                Item::End(error) => format!("end {:?}", error.kind()),
            });
        }
        seen
    }

    #[test]
    fn capacity_2_and_three_texts_leave_the_second_and_the_third() {
        let buffer = buffer(2, Overflow::DropOldest);
        let put: Vec<_> = (1..=3).map(|n| buffer.put(&text(n))).collect();
        assert_eq!(put, [Put::Done; 3]);
        assert_eq!(drain(&buffer), ["lagged 1", "2", "3"]);
        assert_eq!(drain(&buffer), [""; 0]);
    }

    #[test]
    fn drop_newest_tells_where_they_are_missing() {
        let buffer = buffer(2, Overflow::DropNewest);
        for n in 1..=4 {
            buffer.put(&text(n));
        }
        assert_eq!(drain(&buffer), ["1", "2", "lagged 2"]);
        buffer.put(&text(5));
        assert_eq!(drain(&buffer), ["5"]);
    }

    #[test]
    fn error_hands_over_what_waits_and_ends() {
        let buffer = buffer(1, Overflow::Error);
        assert_eq!(buffer.put(&text(1)), Put::Done);
        assert_eq!(buffer.put(&text(2)), Put::Ended);
        assert_eq!(buffer.put(&text(3)), Put::Ended);
        let expected = format!("end {:?}", ErrorKind::Overflow);
        assert_eq!(drain(&buffer), ["1", &expected]);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(buffer.poll_next(&mut cx), Poll::Ready(None)));
    }

    #[test]
    fn block_takes_nothing_until_there_is_room() {
        let buffer = buffer(1, Overflow::Block);
        assert_eq!(buffer.put(&text(1)), Put::Done);
        let room = buffer.listen_for_room();
        assert_eq!(buffer.put(&text(2)), Put::Full);
        assert_eq!(drain(&buffer), ["1"]);
        events_core::block_on_until(room, Some(std::time::Instant::now())).expect("rung");
        assert_eq!(buffer.put(&text(2)), Put::Done);
        let room = buffer.listen_for_room();
        buffer.abandon();
        events_core::block_on_until(room, Some(std::time::Instant::now())).expect("rung");
        assert_eq!(buffer.put(&text(3)), Put::Ended);
    }

    #[test]
    fn a_gap_keeps_its_place_and_adjacent_ones_are_one() {
        let buffer = buffer(9, Overflow::DropOldest);
        buffer.put(&text(1));
        buffer.gap(gap(1, 2));
        buffer.gap(gap(3, 4));
        buffer.put(&text(2));
        buffer.gap(gap(5, 6));
        assert_eq!(drain(&buffer), ["1", "gap 1-4", "2", "gap 5-6"]);
    }

    #[test]
    fn dropping_texts_keeps_what_was_to_be_told() {
        let buffer = buffer(1, Overflow::DropOldest);
        for n in 0..4 {
            buffer.gap(gap(10 * n, 10 * n + 1));
            buffer.put(&text(usize::try_from(n).unwrap()));
        }
        assert_eq!(drain(&buffer), ["gap 0-31", "lagged 3", "3"]);
    }

    #[test]
    fn what_comes_before_the_consumer_reads_may_exceed_the_capacity() {
        let buffer = buffer(1, Overflow::Block);
        for n in 0..3 {
            buffer.force(&text(n));
        }
        assert_eq!(drain(&buffer), ["0", "1", "2"]);
    }
}
