//! Histories made by hand. Times are milliseconds, and events are numbers, which are their ids
//! and the hashes of their payloads.

use event_channels::EventId;

use crate::history::{
    Answer, Delivered, Expect, History, Moment, Op, Outcome, Record, Recorded, Report, Row, Sent,
    State, Verdict, What,
};

/// The process that publishes.
const PUBLISHER: &str = "publisher";

#[derive(Default)]
pub(super) struct Story {
    records: Vec<Record>,
    calls: u64,
}

/// A call that received an event.
#[derive(Clone, Copy)]
pub(super) struct Hold(&'static str, u64);

pub(super) fn id(event: u8) -> EventId {
    EventId::from_bytes([event; 16])
}

impl Story {
    pub(super) fn note(&mut self, process: &str, at: u64, what: What) {
        let moment = Moment {
            steady: at * 1_000_000,
            wall: i64::try_from(at).unwrap() * 1_000,
        };
        self.records.push(Record::new(moment, process, what));
    }

    fn begin(&mut self, process: &str, at: u64, op: Op) -> u64 {
        self.calls += 1;
        self.note(
            process,
            at,
            What::Invoke {
                call: self.calls,
                op,
            },
        );
        self.calls
    }

    fn end(&mut self, process: &str, at: u64, call: u64, answer: Answer) {
        self.note(process, at, What::Return { call, answer });
    }

    /// A publish that answers.
    pub(super) fn publish(&mut self, begun: u64, done: u64, events: &[u8]) {
        let call = self.publish_unanswered(begun, events);
        let ids = events.iter().map(|event| id(*event)).collect();
        self.end(PUBLISHER, done, call, Answer::Published(Outcome::Ok(ids)));
    }

    /// A publish that is refused.
    pub(super) fn publish_refused(&mut self, begun: u64, done: u64, events: &[u8]) {
        let call = self.publish_unanswered(begun, events);
        let refused = Outcome::Refused("busy".to_owned());
        self.end(PUBLISHER, done, call, Answer::Published(refused));
    }

    /// A publish whose process dies.
    pub(super) fn publish_unanswered(&mut self, begun: u64, events: &[u8]) -> u64 {
        let sent = |event: &u8| Sent {
            id: None,
            payload: u64::from(*event),
            priority: 0,
            delay: 0,
        };
        let op = Op::Publish {
            channel: "orders".to_owned(),
            events: events.iter().map(sent).collect(),
        };
        self.begin(PUBLISHER, begun, op)
    }

    pub(super) fn receive(&mut self, process: &str, asked: u64) -> u64 {
        let op = Op::Receive {
            consumer: 0,
            channel: "orders".to_owned(),
            group: None,
        };
        self.begin(process, asked, op)
    }

    /// A delivery with a lease of 100 ms from then on.
    pub(super) fn deliver(
        &mut self,
        process: &'static str,
        (asked, got): (u64, u64),
        event: u8,
        attempt: u32,
        fence: i64,
    ) -> Hold {
        let delivered = Delivered {
            event: id(event),
            attempt,
            fence: Some(fence),
            lease_until: Some(i64::try_from(got + 100).unwrap() * 1_000),
            payload: u64::from(event),
        };
        self.deliver_as(process, (asked, got), delivered)
    }

    pub(super) fn deliver_as(
        &mut self,
        process: &'static str,
        (asked, got): (u64, u64),
        delivered: Delivered,
    ) -> Hold {
        let call = self.receive(process, asked);
        self.end(
            process,
            got,
            call,
            Answer::Received(Outcome::Ok(Some(delivered))),
        );
        Hold(process, call)
    }

    /// A verdict that answers.
    pub(super) fn settle(
        &mut self,
        hold: Hold,
        (begun, done): (u64, u64),
        verdict: Verdict,
        outcome: Outcome<Recorded>,
    ) {
        let call = self.settle_unanswered(hold, begun, verdict);
        self.end(hold.0, done, call, Answer::Settled(outcome));
    }

    pub(super) fn settle_unanswered(&mut self, hold: Hold, begun: u64, verdict: Verdict) -> u64 {
        let op = Op::Settle {
            delivery: hold.1,
            verdict,
        };
        self.begin(hold.0, begun, op)
    }

    /// An ack that is recorded within a millisecond.
    pub(super) fn ack(&mut self, hold: Hold, begun: u64) {
        self.settle(
            hold,
            (begun, begun + 1),
            Verdict::Ack,
            Outcome::Ok(Recorded::Now),
        );
    }

    pub(super) fn requeue(&mut self, at: u64, event: u8) {
        self.begin("operator", at, Op::Requeue { event: id(event) });
    }

    pub(super) fn row(&mut self, event: u8, state: State, attempts: u32, fence: i64) {
        let row = Row {
            event: id(event),
            channel: "orders".to_owned(),
            group: None,
            state,
            attempts,
            fence: Some(fence),
            payload: u64::from(event),
        };
        self.note("test", 100_000, What::Row(row));
    }

    pub(super) fn check(self, expect: &Expect) -> Report {
        History::new(self.records).check(expect)
    }
}
