//! Verdicts, each fenced by the token of its claim; those of one sort go in one round trip.

use events_core::Result;
use events_oracle_session::{Columns as _, Value};
use events_queue::{Outcome, StoreSettlement, StoreVerdict};

use crate::bury::bury_each;
use crate::database::{Ring, Turn};
use crate::insert::state_after;
use crate::row::{READY, SUSPECT, id, last_error, seconds};

type Row = Vec<(&'static str, Value)>;

/// Records verdicts, in order.
pub(crate) fn settle(turn: &mut Turn<'_>, settlements: &[StoreSettlement]) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::with_capacity(settlements.len());
    let sort = |settlement: &StoreSettlement| std::mem::discriminant(&settlement.verdict);
    for run in settlements.chunk_by(|a, b| sort(a) == sort(b)) {
        let recorded = record(turn, run)?;
        for (settlement, recorded) in run.iter().zip(recorded) {
            outcomes.push(if recorded {
                Outcome::Recorded
            } else {
                what_became(turn, settlement)?
            });
        }
    }
    Ok(outcomes)
}

/// Records verdicts of one sort; answers which holdings were still the last ones.
fn record(turn: &mut Turn<'_>, run: &[StoreSettlement]) -> Result<Vec<bool>> {
    let db = turn.db;
    let sql = match run[0].verdict {
        StoreVerdict::Ack if db.config.retention.is_zero() => &db.sql.ack_delete,
        StoreVerdict::Ack => &db.sql.ack_keep,
        StoreVerdict::Retry { .. } => &db.sql.retry,
        StoreVerdict::Dead { .. } => &db.sql.hold,
        StoreVerdict::Extend(_) => &db.sql.extend,
        StoreVerdict::Release { .. } => &db.sql.release,
    };
    let rows: Vec<Row> = run.iter().map(binds).collect();
    let recorded: Vec<bool> = turn
        .each(sql, &rows)?
        .into_iter()
        .map(|rows| rows == 1)
        .collect();
    let ours: Vec<&StoreSettlement> = run
        .iter()
        .zip(&recorded)
        .filter_map(|(settlement, recorded)| recorded.then_some(settlement))
        .collect();
    match run[0].verdict {
        StoreVerdict::Ack => forget_keys(turn, &ours)?,
        StoreVerdict::Dead { .. } => {
            let graves: Vec<_> = ours
                .iter()
                .filter_map(|settlement| match &settlement.verdict {
                    StoreVerdict::Dead { reason, error } => {
                        Some((settlement.token.row, *reason, error.as_deref()))
                    }
                    _ => None,
                })
                .collect();
            bury_each(turn, &graves)?;
        }
        // Somebody may want it, now or at a time that is sooner than what idle consumers wait for.
        StoreVerdict::Retry { .. } | StoreVerdict::Release { .. } => {
            for settlement in ours {
                turn.ring(Ring::Queue(settlement.token.queue_id));
            }
        }
        StoreVerdict::Extend(_) => {}
    }
    Ok(recorded)
}

fn binds(settlement: &StoreSettlement) -> Row {
    let mut row = vec![
        ("id", Value::from(settlement.token.row)),
        ("lease_token", Value::from(settlement.token.fence)),
        ("event_id", id(&settlement.event_id)),
    ];
    match &settlement.verdict {
        StoreVerdict::Ack | StoreVerdict::Dead { .. } => {}
        StoreVerdict::Retry { after, error } => row.extend([
            ("status", Value::from(state_after(*after))),
            ("last_error", last_error(error.as_deref())),
            ("delay", seconds(*after)),
        ]),
        StoreVerdict::Extend(by) => row.push(("lease", seconds(*by))),
        StoreVerdict::Release { suspect } => {
            let status = if *suspect { SUSPECT } else { READY };
            row.push(("status", Value::from(status)));
        }
    }
    row
}

/// One group less has to settle the events of these keys.
fn forget_keys(turn: &mut Turn<'_>, settled: &[&StoreSettlement]) -> Result<()> {
    let db = turn.db;
    let keys: Vec<Row> = settled
        .iter()
        .filter(|settlement| settlement.token.keyed)
        .map(|settlement| {
            vec![
                ("keep", seconds(db.keep_keys())),
                ("event_id", id(&settlement.event_id)),
            ]
        })
        .collect();
    turn.each(&db.sql.key_settled, &keys).map(drop)
}

fn what_became(turn: &Turn<'_>, settlement: &StoreSettlement) -> Result<Outcome> {
    let binds = [
        ("id", Value::from(settlement.token.row)),
        ("lease_token", Value::from(settlement.token.fence)),
        ("event_id", id(&settlement.event_id)),
    ];
    let status = turn.query(&turn.db.sql.inspect, &binds, |row| row.integer(0))?;
    Ok(match status.first() {
        Some(4) => Outcome::AlreadyAcked,
        Some(0 | 1) => Outcome::AlreadyNacked,
        _ => Outcome::Gone,
    })
}
