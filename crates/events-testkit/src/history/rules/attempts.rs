//! H7: attempts are claims without releases; the last one makes a dead letter, and no earlier one.

use crate::history::hold::Hold;
use crate::history::view::View;
use crate::history::{Expect, Report, Rule};
use crate::history::{Row, State, Verdict};

pub(super) fn check(view: &View<'_>, expect: &Expect, report: &mut Report) {
    for (key, holds) in &view.holds {
        let mut broken = |what: String| {
            report.break_rule(Rule::Attempts, || {
                format!("event {} of {:?}: {what}", key.0, key.1)
            });
        };
        for hold in holds {
            let attempt = hold.delivered.attempt;
            let claims = hold.delivered.fence.unwrap_or(i64::MAX);
            if attempt == 0 || attempt > expect.max_attempts || i64::from(attempt) > claims {
                broken(format!(
                    "attempt {attempt} with fence {:?} and at most {} attempts",
                    hold.delivered.fence, expect.max_attempts
                ));
            }
        }
        for pair in holds.windows(2) {
            let (one, next) = (&pair[0], &pair[1].delivered);
            if one.is_claim_of(&pair[1]) || view.begins_anew(&key.0, one.got, pair[1].got) {
                continue;
            }
            if let Some(why) = impossible(one, next.attempt, next.fence, 1) {
                broken(why);
            }
        }
        let rows = view.rows.as_ref().and_then(|rows| rows.get(key));
        if let (Some(last), Some([row])) = (holds.last(), rows.map(Vec::as_slice))
            && !view.begins_anew(&key.0, last.got, u64::MAX)
        {
            if let Some(why) = impossible(last, row.attempts, row.fence, 0) {
                broken(format!("at rest: {why}"));
            }
            let nacked = last.recorded(Verdict::Nack).is_some();
            let last_attempt = last.delivered.attempt == expect.max_attempts;
            if nacked && last_attempt && row.state != State::Exhausted {
                broken(format!("nacked for the last time, and yet {:?}", row.state));
            }
        }
    }
    for ((id, queue), rows) in view.rows.iter().flatten() {
        for row in rows.iter().filter(|row| !fits(row, expect.max_attempts)) {
            report.break_rule(Rule::Attempts, || {
                format!(
                    "event {id} of {queue:?} is {:?} after {} attempts of {}, fence {:?}",
                    row.state, row.attempts, expect.max_attempts, row.fence
                )
            });
        }
    }
}

/// Why these attempts and this fence cannot follow on a hold; at least so many claims were made
/// since.
fn impossible(hold: &Hold<'_>, attempts: u32, fence: Option<i64>, claims: i64) -> Option<String> {
    let before = i64::from(hold.delivered.attempt);
    let released = i64::from(hold.may_have(Verdict::Release).is_some());
    let least = before + claims - released;
    let most = match (hold.delivered.fence, fence) {
        (Some(one), Some(next)) => before + next - one,
        _ => i64::MAX,
    };
    let now = i64::from(attempts);
    (now < least || now > most).then(|| {
        format!(
            "attempts {now} with fence {fence:?} after attempt {before} with fence {:?}",
            hold.delivered.fence
        )
    })
}

fn fits(row: &Row, max_attempts: u32) -> bool {
    let counted = row
        .fence
        .is_none_or(|fence| i64::from(row.attempts) <= fence);
    let last = row.attempts == max_attempts;
    counted && row.attempts <= max_attempts && (last || row.state != State::Exhausted)
}
