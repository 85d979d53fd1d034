//! Claiming: a turn if one is due, then a batch is leased in one statement.

use events_core::{Op, Result};
use events_queue::{Claim, Claimed, Row};

use crate::database::{Database, Values};
use crate::error::postgres;
use crate::frontier::{Frontier, Place, Plan};
use crate::horizon::Snapshot;
use crate::row::{claimed, micros, queue, rank};
use crate::turn::turn;

/// Takes up to `limit` events under a lease.
pub(crate) async fn claim(db: &Database, claim: &Claim) -> Result<Claimed> {
    let frontier = db.frontiers.of(claim.queue_id);
    let mut found = Claimed::default();
    turn(db, &frontier, claim, &mut found).await?;
    let plan = {
        let state = frontier.lock();
        if state.paused {
            return Ok(found);
        }
        state.plan(claim.limit)
    };
    if !plan.is_empty() {
        found.rows = take(db, &frontier, claim, &plan).await?;
    }
    if found.rows.is_empty() && claim.suspects {
        found.rows.extend(take_alone(db, &frontier, claim).await?);
        found.alone = !found.rows.is_empty();
    }
    let mut state = frontier.lock();
    if found.rows.is_empty() {
        found.next_due = state.next_due();
    } else {
        state.due_in(claim.lease);
    }
    Ok(found)
}

/// Takes what stands at the frontier, and what came back before it.
async fn take(db: &Database, frontier: &Frontier, claim: &Claim, plan: &Plan) -> Result<Vec<Row>> {
    let limit = i64::try_from(claim.limit).unwrap_or(i64::MAX);
    let values: Values<'_> = &[
        &queue(claim.queue_id),
        &plan.lowest,
        &plan.after,
        &plan.highest,
        &plan.upto,
        &limit,
        &micros(claim.lease),
        &db.relaxed(),
    ];
    let answer = db.query(Op::Claim, &db.sql.claim, values).await?;
    let (mut rows, mut seen) = (Vec::with_capacity(answer.len()), None);
    let mut read = || {
        for row in &answer {
            if seen.is_none() {
                seen = Some(Snapshot {
                    oldest_running: row.try_get(0)?,
                    next: row.try_get(1)?,
                    last_id: row.try_get(2)?,
                });
            }
            // One row without an event says that nothing was claimed.
            if row.try_get::<_, Option<i64>>(3)?.is_some() {
                rows.push(claimed(row, claim.queue_id, 3)?);
            }
        }
        Ok(())
    };
    read().map_err(|e| postgres(Op::Claim, e))?;
    rows.sort_by_key(place);
    let places: Vec<Place> = rows.iter().map(place).collect();
    if let Some(seen) = seen {
        frontier.lock().claimed(plan, claim.limit, &places, seen);
    }
    Ok(rows)
}

/// Takes the first event whose last lease ended, and no other with it.
async fn take_alone(db: &Database, frontier: &Frontier, claim: &Claim) -> Result<Option<Row>> {
    loop {
        let Some(suspect) = frontier.lock().suspect() else {
            return Ok(None);
        };
        let most = i32::try_from(claim.max_attempts).unwrap_or(i32::MAX);
        let values: Values<'_> = &[
            &queue(claim.queue_id),
            &suspect.0,
            &suspect.1,
            &micros(claim.lease),
            &most,
            &db.relaxed(),
        ];
        let answer = db.query(Op::Claim, &db.sql.claim_alone, values).await;
        if answer.is_ok() {
            frontier.lock().forget_suspect(&suspect);
        }
        if let Some(row) = answer?.first() {
            let row = claimed(row, claim.queue_id, 0).map_err(|e| postgres(Op::Claim, e))?;
            return Ok(Some(row));
        }
    }
}

fn place(row: &Row) -> Place {
    (rank(row.token.priority), row.token.row)
}
