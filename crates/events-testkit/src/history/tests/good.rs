//! What is allowed: every oddity that at-least-once delivery knows.

use std::time::Duration;

use super::story::Story;
use crate::history::{Cause, Delivered, Expect, Outcome, Recorded, State, Verdict, What};

const NOW: Outcome<Recorded> = Outcome::Ok(Recorded::Now);

#[test]
fn every_oddity_that_is_allowed() {
    let mut s = Story::default();
    // 1: handled at once.
    s.publish(1, 2, &[1]);
    let hold = s.deliver("a", (0, 3), 1, 1, 1);
    s.ack(hold, 4);
    // 2: its publisher died before it knew, and it is delivered; 3 and 4 were not stored at all.
    s.publish_unanswered(5, &[2]);
    s.publish_unanswered(6, &[3, 4]);
    let hold = s.deliver("a", (4, 7), 2, 1, 1);
    s.ack(hold, 8);
    // 5: its lease runs out, somebody else handles it, and the late ack is refused.
    s.publish(9, 10, &[5]);
    let late = s.deliver("a", (9, 11), 5, 1, 1);
    let hold = s.deliver("b", (9, 112), 5, 2, 2);
    s.settle(
        late,
        (113, 114),
        Verdict::Ack,
        Outcome::Refused("hold lost".to_owned()),
    );
    s.ack(hold, 115);
    // 6: nacked, given back untouched, and then handled; acknowledged twice.
    s.publish(120, 121, &[6]);
    let hold = s.deliver("a", (120, 122), 6, 1, 1);
    s.settle(hold, (123, 124), Verdict::Nack, NOW);
    let hold = s.deliver("b", (123, 125), 6, 2, 2);
    s.settle(hold, (126, 127), Verdict::Release, NOW);
    let hold = s.deliver("a", (126, 128), 6, 2, 3);
    s.ack(hold, 129);
    s.settle(
        hold,
        (130, 131),
        Verdict::Ack,
        Outcome::Ok(Recorded::Before),
    );
    // 7: its consumer dies with it, after an ack that nobody will know of; another claim died
    // with its consumer before anybody saw it.
    s.publish(140, 141, &[7]);
    let hold = s.deliver("c", (140, 142), 7, 1, 1);
    s.settle_unanswered(hold, 143, Verdict::Ack);
    s.note("test", 144, What::Killed("c".to_owned()));
    let hold = s.deliver("a", (140, 360), 7, 3, 3);
    s.ack(hold, 361);
    // 8: extended, and handled after the first lease would have ended.
    s.publish(370, 371, &[8]);
    let hold = s.deliver("a", (370, 372), 8, 1, 1);
    s.settle(hold, (373, 374), Verdict::Extend(500_000), NOW);
    s.ack(hold, 800);
    // 9: fails for the last time, is put back, and handled.
    s.publish(801, 802, &[9]);
    for attempt in 1..=3 {
        let at = 800 + u64::from(attempt) * 10;
        let hold = s.deliver("a", (at, at + 1), 9, attempt, i64::from(attempt));
        s.settle(hold, (at + 2, at + 3), Verdict::Nack, NOW);
    }
    s.requeue(850, 9);
    let hold = s.deliver("a", (850, 851), 9, 1, 4);
    s.ack(hold, 852);
    // 10: a dead letter; 11 rejected for good; 12 expired; 13 and 14 still wait.
    s.publish(900, 901, &[10, 11, 12, 13, 14]);
    for attempt in 1..=3 {
        let at = 900 + u64::from(attempt) * 10;
        let hold = s.deliver("a", (at, at + 1), 10, attempt, i64::from(attempt));
        s.settle(hold, (at + 2, at + 3), Verdict::Nack, NOW);
    }
    let hold = s.deliver("a", (940, 941), 11, 1, 1);
    s.settle(hold, (942, 943), Verdict::Reject, NOW);
    // 15: refused, and not stored. 16: handled, and its ack lost with the power.
    s.publish_refused(950, 951, &[15]);
    s.publish(952, 953, &[16]);
    let hold = s.deliver("a", (952, 954), 16, 1, 1);
    s.ack(hold, 955);
    s.note("test", 957, What::PowerLost);
    let hold = s.deliver("b", (958, 959), 16, 1, 1);
    s.ack(hold, 960);
    // 17: the backend knows no fence.
    s.publish(970, 971, &[17]);
    let hold = s.deliver_as(
        "b",
        (970, 972),
        Delivered {
            event: super::story::id(17),
            attempt: 1,
            fence: None,
            lease_until: None,
            payload: 17,
        },
    );
    s.ack(hold, 973);
    // A consumer waits on, and nothing comes.
    s.receive("a", 980);
    for (event, state, attempts, fence) in [
        (1, State::Acked, 1, 1),
        (2, State::Acked, 1, 1),
        (5, State::Acked, 2, 2),
        (6, State::Acked, 2, 3),
        (7, State::Acked, 3, 3),
        (8, State::Acked, 1, 1),
        (9, State::Acked, 1, 4),
        (10, State::Exhausted, 3, 3),
        (11, State::Rejected, 1, 1),
        (12, State::Expired, 0, 0),
        (13, State::Delayed, 2, 3),
        (14, State::Ready, 1, 1),
        (16, State::Acked, 1, 1),
        (17, State::Acked, 1, 1),
    ] {
        s.row(event, state, attempts, fence);
    }

    let expect = Expect::new()
        .max_attempts(3)
        .wake_within(Duration::from_secs(1));
    let report = s.check(&expect);
    report.assert_clean("by hand");
    assert_eq!((report.lost, report.in_doubt, report.recovered), (0, 3, 1));
    let causes = [
        (Cause::Death, 1),
        (Cause::Nack, 5),
        (Cause::Release, 1),
        (Cause::Requeue, 1),
        (Cause::PowerLoss, 1),
        (Cause::Expiry, 1),
    ];
    assert_eq!(report.duplicates, causes.into());
    assert_eq!(
        report.failures,
        [("busy".to_owned(), 1), ("hold lost".to_owned(), 1)].into()
    );
    assert_eq!(report.rest[&State::Acked], 9);
    assert_eq!(report.wake.count, 7);
    assert_eq!(report.wake.max, Duration::from_millis(1));
}

#[test]
fn each_group_gets_every_event() {
    let mut s = Story::default();
    s.publish(1, 2, &[1]);
    let hold = s.deliver("a", (3, 4), 1, 1, 1);
    s.ack(hold, 5);
    let report = s.check(&Expect::new().groups([None, Some("billing")]));
    assert_eq!(report.lost, 1, "the group billing did not get it");
}
