//! One bad history for each rule, and then some.

use std::time::Duration;

use super::story::{Story, id};
use crate::history::{Delivered, Expect, Outcome, Recorded, Rule, State, Verdict, What};

/// The history breaks this rule, and no other.
fn breaks(rule: Rule, story: impl FnOnce(&mut Story)) {
    breaks_with(&Expect::new(), rule, story);
}

fn breaks_with(expect: &Expect, rule: Rule, story: impl FnOnce(&mut Story)) {
    let mut told = Story::default();
    story(&mut told);
    let report = told.check(expect);
    assert_eq!(report.broken(), [rule], "{report}");
    let loud = std::panic::catch_unwind(|| report.assert_clean("by hand"));
    assert!(loud.is_err(), "a broken rule fails the test");
}

const NOW: Outcome<Recorded> = Outcome::Ok(Recorded::Now);

#[test]
fn h1_an_event_that_is_nowhere() {
    breaks(Rule::Lost, |s| {
        s.publish(1, 2, &[1, 2]);
        let hold = s.deliver("a", (3, 4), 1, 1, 1);
        s.ack(hold, 5);
        s.row(1, State::Acked, 1, 1);
    });
}

#[test]
fn h1_without_a_look_at_the_tables_an_unacknowledged_event_is_lost() {
    breaks(Rule::Lost, |s| {
        s.publish(1, 2, &[1]);
        let hold = s.deliver("a", (3, 4), 1, 1, 1);
        s.settle(
            hold,
            (5, 6),
            Verdict::Ack,
            Outcome::Refused("hold lost".to_owned()),
        );
    });
}

#[test]
fn h2_an_event_that_nobody_published() {
    breaks(Rule::Unexpected, |s| {
        s.publish(1, 2, &[1]);
        let hold = s.deliver("a", (3, 4), 1, 1, 1);
        s.ack(hold, 5);
        s.deliver("a", (6, 7), 2, 1, 1);
    });
}

#[test]
fn h2_an_event_whose_publish_was_refused() {
    breaks(Rule::Unexpected, |s| {
        s.publish_refused(1, 2, &[1]);
        s.deliver("a", (3, 4), 1, 1, 1);
    });
}

#[test]
fn h2_another_payload() {
    breaks(Rule::Unexpected, |s| {
        s.publish(1, 2, &[1]);
        let changed = Delivered {
            event: id(1),
            attempt: 1,
            fence: Some(1),
            lease_until: None,
            payload: 99,
        };
        let hold = s.deliver_as("a", (3, 4), changed);
        s.ack(hold, 5);
    });
}

#[test]
fn h3_half_a_batch() {
    breaks(Rule::Recovered, |s| {
        s.publish_unanswered(1, &[1, 2]);
        s.row(1, State::Ready, 0, 0);
    });
}

#[test]
fn h4_the_death_of_a_holder_does_not_end_its_lease() {
    breaks(Rule::Overlap, |s| {
        s.publish(1, 2, &[1]);
        s.deliver("a", (3, 4), 1, 1, 1);
        s.note("test", 5, What::Killed("a".to_owned()));
        let hold = s.deliver("b", (3, 103), 1, 2, 2); // the lease ends at 104
        s.ack(hold, 104);
    });
}

#[test]
fn h4_a_recorded_extension_holds() {
    breaks(Rule::Overlap, |s| {
        s.publish(1, 2, &[1]);
        let first = s.deliver("a", (3, 4), 1, 1, 1);
        s.settle(first, (5, 6), Verdict::Extend(200_000), NOW);
        s.note("test", 7, What::Killed("a".to_owned()));
        let hold = s.deliver("b", (3, 110), 1, 2, 2); // the lease ends at 205
        s.ack(hold, 111);
    });
}

#[test]
fn h5_a_delivery_after_the_ack() {
    breaks(Rule::AfterAck, |s| {
        s.publish(1, 2, &[1]);
        let hold = s.deliver("a", (3, 4), 1, 1, 1);
        s.ack(hold, 5);
        let again = s.deliver("b", (3, 200), 1, 2, 2);
        s.ack(again, 201);
    });
}

#[test]
fn h5_a_strict_ack_is_not_lost_with_the_power() {
    let story = |s: &mut Story| {
        s.publish(1, 2, &[1]);
        let hold = s.deliver("a", (3, 4), 1, 1, 1);
        s.ack(hold, 5);
        s.note("test", 7, What::PowerLost);
        let again = s.deliver("b", (8, 9), 1, 1, 1);
        s.ack(again, 10);
    };
    let mut relaxed = Story::default();
    story(&mut relaxed);
    let report = relaxed.check(&Expect::new());
    assert!(!report.broken().contains(&Rule::AfterAck), "{report}");
    let mut strict = Story::default();
    story(&mut strict);
    let report = strict.check(&Expect::new().relaxed_acks(false));
    assert!(report.broken().contains(&Rule::AfterAck), "{report}");
}

#[test]
fn h6_two_claims_with_one_fence() {
    breaks(Rule::Fence, |s| {
        s.publish(1, 2, &[1]);
        s.deliver("a", (3, 4), 1, 1, 2);
        let hold = s.deliver("b", (3, 200), 1, 2, 2);
        s.ack(hold, 201);
    });
}

#[test]
fn h6_a_lower_fence_after_a_higher_one() {
    breaks(Rule::Fence, |s| {
        s.publish(1, 2, &[1]);
        let hold = s.deliver("b", (3, 200), 1, 2, 2);
        s.settle(hold, (201, 202), Verdict::Nack, NOW);
        let stale = Delivered {
            event: id(1),
            attempt: 1,
            fence: Some(1),
            lease_until: Some(104_000),
            payload: 1,
        };
        s.deliver_as("a", (203, 300), stale);
        let last = s.deliver("b", (203, 500), 1, 3, 3);
        s.ack(last, 501);
    });
}

#[test]
fn h6_the_verdict_of_an_overtaken_claim_is_recorded() {
    for verdict in [Verdict::Ack, Verdict::Nack, Verdict::Extend(1)] {
        breaks(Rule::Fence, |s| {
            s.publish(1, 2, &[1]);
            let old = s.deliver("a", (3, 4), 1, 1, 1);
            let new = s.deliver("b", (3, 200), 1, 2, 2);
            s.settle(old, (201, 202), verdict, NOW);
            s.settle(new, (203, 204), Verdict::Ack, Outcome::Ok(Recorded::Before));
        });
    }
}

#[test]
fn h7_an_attempt_that_was_not_counted() {
    breaks(Rule::Attempts, |s| {
        s.publish(1, 2, &[1]);
        s.deliver("a", (3, 4), 1, 1, 1);
        let hold = s.deliver("b", (3, 200), 1, 1, 2);
        s.ack(hold, 201);
    });
}

#[test]
fn h7_more_attempts_than_claims() {
    breaks(Rule::Attempts, |s| {
        s.publish(1, 2, &[1]);
        let hold = s.deliver("a", (3, 4), 1, 2, 1);
        s.ack(hold, 5);
    });
}

#[test]
fn h7_a_dead_letter_before_its_time_and_one_that_is_none() {
    breaks_with(&Expect::new().max_attempts(3), Rule::Attempts, |s| {
        s.publish(1, 2, &[1]);
        s.row(1, State::Exhausted, 2, 2);
    });
    breaks_with(&Expect::new().max_attempts(1), Rule::Attempts, |s| {
        s.publish(1, 2, &[1]);
        let hold = s.deliver("a", (3, 4), 1, 1, 1);
        s.settle(hold, (5, 6), Verdict::Nack, NOW);
        s.row(1, State::Delayed, 1, 1);
    });
}

#[test]
fn h8_a_second_delivery_without_a_cause() {
    breaks(Rule::Duplicate, |s| {
        s.publish(1, 2, &[1]);
        let without_lease = |fence, attempt| Delivered {
            event: id(1),
            attempt,
            fence: Some(fence),
            lease_until: None,
            payload: 1,
        };
        s.deliver_as("a", (3, 4), without_lease(1, 1));
        let hold = s.deliver_as("b", (3, 5), without_lease(2, 2));
        s.ack(hold, 6);
    });
}

#[test]
fn h9_a_consumer_waits_beside_an_event() {
    let expect = Expect::new().wake_within(Duration::from_millis(1_000));
    breaks_with(&expect, Rule::Wake, |s| {
        s.publish(10, 11, &[1]);
        let hold = s.deliver("a", (3, 1_012), 1, 1, 1);
        s.ack(hold, 1_013);
    });
    // Also one that is never given it, because it waits for ever.
    breaks_with(&expect, Rule::Wake, |s| {
        s.publish(10, 11, &[1]);
        s.receive("a", 3);
        s.note("test", 1_012, What::Killed("a".to_owned()));
        s.row(1, State::Ready, 0, 0);
    });
}

#[test]
fn h10_another_order_than_that_of_commits() {
    breaks(Rule::Order, |s| {
        s.publish(1, 2, &[1]);
        s.publish(3, 4, &[2]);
        for (at, event) in [(5, 2), (7, 1)] {
            let hold = s.deliver("a", (at, at), event, 1, 1);
            s.ack(hold, at);
        }
    });
    breaks(Rule::Order, |s| {
        s.publish(1, 2, &[1, 2]);
        for (at, event) in [(5, 2), (7, 1)] {
            let hold = s.deliver("a", (at, at), event, 1, 1);
            s.ack(hold, at);
        }
    });
}

#[test]
fn h11_the_tables_are_not_what_was_done_to_them() {
    let handled = |s: &mut Story| {
        s.publish(1, 2, &[1]);
        let hold = s.deliver("a", (3, 4), 1, 1, 1);
        s.ack(hold, 5);
    };
    breaks(Rule::Rest, |s| {
        handled(s);
        s.note("test", 9, What::RowsEnd); // an acknowledged row that is gone
    });
    breaks(Rule::Rest, |s| {
        handled(s);
        s.row(1, State::Leased, 1, 1);
    });
    breaks(Rule::Rest, |s| {
        handled(s);
        s.row(1, State::Acked, 1, 1);
        s.row(1, State::Acked, 1, 1); // stored twice
    });
    breaks(Rule::Rest, |s| {
        handled(s);
        s.row(1, State::Acked, 1, 1);
        s.row(2, State::Ready, 0, 0); // from nowhere
    });
    breaks(Rule::Rest, |s| {
        s.publish(1, 2, &[1]);
        s.row(1, State::Acked, 1, 1); // nobody acknowledged it
    });
    breaks(Rule::Rest, |s| {
        s.publish_refused(1, 2, &[1]);
        s.row(1, State::Ready, 0, 0);
    });
}

#[test]
#[should_panic(expected = "proves nothing")]
fn an_empty_history_proves_nothing() {
    Story::default().check(&Expect::new()).assert_clean("empty");
}

#[test]
#[should_panic(expected = "never begun")]
fn an_end_without_a_begin_is_loud() {
    let mut story = Story::default();
    let answer = crate::history::Answer::Settled(NOW);
    story.note("a", 1, What::Return { call: 7, answer });
    let _ = story.check(&Expect::new());
}
