//! Claiming: a turn if one is due, then a batch is leased in one statement.

use std::time::{Duration, Instant};

use events_core::{Op, Result};
use events_queue::{Claim, Claimed, Row};

use crate::database::{Database, Values};
use crate::error::postgres;
use crate::frontier::{Frontier, Place, Plan};
use crate::horizon::Snapshot;
use crate::notify::{LASTS, Waiting};
use crate::row::{claimed, micros, queue, rank};
use crate::turn::turn;
use crate::walk::BUDGET;

/// Takes up to `limit` events under a lease. Who finds nothing is told, as far as that can be
/// relied on, when there is something.
pub(crate) async fn claim(db: &Database, claim: &Claim) -> Result<Claimed> {
    let frontier = db.frontiers.of(claim.queue_id);
    let Some(notify) = db.notify.as_ref().filter(|notify| notify.is_proven()) else {
        return attempt(db, &frontier, claim).await;
    };
    if notify.waiters.must_look(claim.queue_id, Instant::now()) {
        frontier.lock().stir();
    }
    let mut found = attempt(db, &frontier, claim).await?;
    if !found.rows.is_empty() {
        return Ok(found);
    }
    let waiting = notify.waiters.idle(claim.queue_id, Instant::now());
    if waiting != Waiting::Known {
        let asked = Instant::now();
        let (lasts, queue_id) = (micros(LASTS), queue(claim.queue_id));
        let values: Values<'_> = &[&queue_id, &notify.me, &lasts];
        db.execute(Op::Claim, &db.sql.wait, values).await?;
        notify.waiters.made(claim.queue_id, waiting, asked);
    }
    if waiting == Waiting::Join {
        // Whoever published before the row was there told nobody.
        frontier.lock().stir();
        let again = attempt(db, &frontier, claim).await?;
        found = Claimed {
            dead: found.dead + again.dead,
            expired: found.expired + again.expired,
            ..again
        };
    }
    found.told = true;
    let look = notify.waiters.next_look(claim.queue_id, Instant::now());
    found.next_due = found.next_due.into_iter().chain(look).min();
    Ok(found)
}

async fn attempt(db: &Database, frontier: &Frontier, claim: &Claim) -> Result<Claimed> {
    let mut found = Claimed::default();
    turn(db, frontier, claim, &mut found).await?;
    let begun = Instant::now();
    let mut goes_on = true;
    while goes_on && found.rows.len() < claim.limit && begun.elapsed() < BUDGET {
        let limit = claim.limit - found.rows.len();
        let plan = {
            let state = frontier.lock();
            if state.paused {
                return Ok(found);
            }
            state.plan(limit)
        };
        goes_on = plan.goes_on();
        if !plan.is_empty() {
            match take(db, frontier, claim, limit, &plan).await {
                Ok(rows) => found.rows.extend(rows),
                Err(error) if found.rows.is_empty() => return Err(error),
                // What was taken before is handed over; the next claim is told.
                Err(_) => break,
            }
        }
    }
    if found.rows.is_empty() && claim.suspects {
        found.rows.extend(take_alone(db, frontier, claim).await?);
        found.alone = !found.rows.is_empty();
    }
    let mut state = frontier.lock();
    if found.rows.is_empty() {
        // What is left to read may hold something.
        let more = goes_on || claim.suspects && state.suspect().is_some();
        let at_once = more.then_some(Duration::ZERO);
        found.next_due = at_once.or_else(|| state.next_due());
    } else {
        state.due_in(claim.lease);
    }
    Ok(found)
}

/// Takes what stands at the frontier, and what came back before it.
async fn take(
    db: &Database,
    frontier: &Frontier,
    claim: &Claim,
    wanted: usize,
    plan: &Plan,
) -> Result<Vec<Row>> {
    let limit = i64::try_from(wanted).unwrap_or(i64::MAX);
    let asked = Instant::now();
    let values: Values<'_> = &[
        &queue(claim.queue_id),
        &plan.lowest,
        &plan.after,
        &plan.highest,
        &plan.upto,
        &limit,
        &micros(claim.lease),
        &db.relaxed(),
        &plan.known.numbered,
    ];
    let answer = db.query(Op::Claim, &db.sql.claim, values).await?;
    let (mut rows, mut seen) = (Vec::with_capacity(answer.len()), None);
    let mut read = || {
        for row in &answer {
            if seen.is_none() {
                seen = Some(Snapshot {
                    oldest_running: row.try_get(0)?,
                    own: row.try_get(1)?,
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
        let mut state = frontier.lock();
        if plan.goes_on() {
            state.window_took(asked.elapsed());
        }
        state.claimed(plan, wanted, &places, seen);
    }
    Ok(rows)
}

/// Takes the first event whose last lease ended, and no other with it. Those that somebody else has
/// taken meanwhile are passed by, as many as the time allows.
async fn take_alone(db: &Database, frontier: &Frontier, claim: &Claim) -> Result<Option<Row>> {
    let begun = Instant::now();
    while begun.elapsed() < BUDGET {
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
    Ok(None)
}

fn place(row: &Row) -> Place {
    (rank(row.token.priority), row.token.row)
}
