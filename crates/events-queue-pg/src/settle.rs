//! Verdicts, each fenced by the token of its claim: one statement for each kind of verdict.

use std::collections::HashSet;

use events_core::{HoldToken, Op, Result};
use events_queue::{Outcome, StoreSettlement, StoreVerdict};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::database::Database;
use crate::row::{fence, micros, queue, rank, read, uuid};

const READY: i16 = 0;
const SUSPECT: i16 = 2;

/// Records verdicts, and answers them in their order.
///
/// A holding that is there twice is settled in the order of its verdicts, so what follows the
/// first of them goes into a later round.
pub(crate) async fn settle(db: &Database, settlements: &[StoreSettlement]) -> Result<Vec<Outcome>> {
    let mut outcomes = vec![Outcome::Gone; settlements.len()];
    let mut left: Vec<usize> = (0..settlements.len()).collect();
    while !left.is_empty() {
        let mut seen = HashSet::with_capacity(left.len());
        let (now, later): (Vec<usize>, Vec<usize>) = left
            .into_iter()
            .partition(|at| seen.insert(settlements[*at].token));
        round(db, settlements, &now, &mut outcomes).await?;
        left = later;
    }
    Ok(outcomes)
}

/// Settles holdings that are all different.
async fn round(
    db: &Database,
    settlements: &[StoreSettlement],
    now: &[usize],
    outcomes: &mut [Outcome],
) -> Result<()> {
    for kind in KINDS {
        let of_kind: Vec<usize> = now
            .iter()
            .copied()
            .filter(|at| Kind::of(&settlements[*at].verdict) == kind)
            .collect();
        if of_kind.is_empty() {
            continue;
        }
        let batch: Vec<&StoreSettlement> = of_kind.iter().map(|at| &settlements[*at]).collect();
        for nr in run(db, kind, &batch).await? {
            // Numbers count from 1.
            let at = usize::try_from(nr).ok().and_then(|nr| nr.checked_sub(1));
            if let Some(at) = at.and_then(|at| of_kind.get(at)) {
                outcomes[*at] = Outcome::Recorded;
                note(db, &settlements[*at]);
            }
        }
    }
    Ok(())
}

/// Verdicts that one statement records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ack,
    Extend,
    Retry,
    RetryLater,
    Release,
    Dead,
}

const KINDS: [Kind; 6] = [
    Kind::Ack,
    Kind::Extend,
    Kind::Retry,
    Kind::RetryLater,
    Kind::Release,
    Kind::Dead,
];

impl Kind {
    fn of(verdict: &StoreVerdict) -> Self {
        match verdict {
            StoreVerdict::Ack => Self::Ack,
            StoreVerdict::Extend(_) => Self::Extend,
            StoreVerdict::Retry { after, .. } if after.is_zero() => Self::Retry,
            StoreVerdict::Retry { .. } => Self::RetryLater,
            StoreVerdict::Release { .. } => Self::Release,
            StoreVerdict::Dead { .. } => Self::Dead,
        }
    }

    fn op(self) -> Op {
        match self {
            Self::Ack => Op::Ack,
            Self::Extend => Op::Extend,
            _ => Op::Nack,
        }
    }
}

/// Runs the statement of a kind; answers the numbers of the holdings that it recorded.
async fn run(db: &Database, kind: Kind, batch: &[&StoreSettlement]) -> Result<Vec<i64>> {
    let holds = Holds::of(batch);
    let (keep, relaxed) = (db.keep_keys(), db.relaxed());
    let (errors, times): (Vec<Option<&str>>, Vec<i64>);
    let (reasons, states): (Vec<&str>, Vec<i16>);
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![
        &holds.queues,
        &holds.ranks,
        &holds.rows,
        &holds.fences,
        &holds.events,
    ];
    let sql = match kind {
        Kind::Ack => {
            values.push(&keep);
            if db.config.retention.is_zero() {
                &db.sql.ack_delete
            } else {
                &db.sql.ack_keep
            }
        }
        Kind::Extend => {
            times = batch.iter().map(|s| time_of(&s.verdict)).collect();
            values.push(&times);
            &db.sql.extend
        }
        Kind::Retry => {
            errors = batch.iter().map(|s| error_of(&s.verdict)).collect();
            values.push(&errors);
            &db.sql.retry
        }
        Kind::RetryLater => {
            errors = batch.iter().map(|s| error_of(&s.verdict)).collect();
            times = batch.iter().map(|s| time_of(&s.verdict)).collect();
            values.extend([&errors as &(dyn ToSql + Sync), &times]);
            &db.sql.retry_later
        }
        Kind::Release => {
            states = batch.iter().map(|s| state_of(&s.verdict)).collect();
            values.push(&states);
            &db.sql.release
        }
        Kind::Dead => {
            reasons = batch.iter().map(|s| reason_of(&s.verdict)).collect();
            errors = batch.iter().map(|s| error_of(&s.verdict)).collect();
            values.extend([&reasons as &(dyn ToSql + Sync), &errors, &keep]);
            &db.sql.bury
        }
    };
    values.push(&relaxed);
    let rows = db.query(kind.op(), sql, &values).await?;
    read(kind.op(), &rows, |row| row.try_get(0))
}

/// Tokens as one array for each column.
struct Holds {
    queues: Vec<i32>,
    ranks: Vec<i32>,
    rows: Vec<i64>,
    fences: Vec<i32>,
    events: Vec<Uuid>,
}

impl Holds {
    fn of(batch: &[&StoreSettlement]) -> Self {
        let tokens = || batch.iter().map(|settlement| settlement.token);
        Self {
            queues: tokens().map(|token| queue(token.queue_id)).collect(),
            ranks: tokens().map(|token| rank(token.priority)).collect(),
            rows: tokens().map(|token| token.row).collect(),
            fences: tokens().map(|token| fence(token.fence)).collect(),
            events: batch.iter().map(|s| uuid(&s.event_id)).collect(),
        }
    }
}

fn error_of(verdict: &StoreVerdict) -> Option<&str> {
    match verdict {
        StoreVerdict::Retry { error, .. } | StoreVerdict::Dead { error, .. } => error.as_deref(),
        _ => None,
    }
}

fn time_of(verdict: &StoreVerdict) -> i64 {
    match verdict {
        StoreVerdict::Retry { after, .. } => micros(*after),
        StoreVerdict::Extend(by) => micros(*by),
        _ => 0,
    }
}

fn state_of(verdict: &StoreVerdict) -> i16 {
    match verdict {
        StoreVerdict::Release { suspect: true } => SUSPECT,
        _ => READY,
    }
}

fn reason_of(verdict: &StoreVerdict) -> &'static str {
    match verdict {
        StoreVerdict::Dead { reason, .. } => reason.as_str(),
        _ => "",
    }
}

/// Tells this process's consumers what a recorded verdict made claimable.
fn note(db: &Database, settlement: &StoreSettlement) {
    let token: &HoldToken = &settlement.token;
    let place = (rank(token.priority), token.row);
    let Some(frontier) = db.frontiers.known(token.queue_id) else {
        return;
    };
    let mut state = frontier.lock();
    match &settlement.verdict {
        StoreVerdict::Release { suspect: true } => state.is_suspect(place),
        StoreVerdict::Release { suspect: false } => state.came_back(place),
        StoreVerdict::Retry { after, .. } if after.is_zero() => state.came_back(place),
        StoreVerdict::Retry { after, .. } => state.due_in(*after),
        StoreVerdict::Extend(by) => return state.due_in(*by),
        StoreVerdict::Ack | StoreVerdict::Dead { .. } => return,
    }
    drop(state);
    // Somebody may want it, now or at a time that is sooner than what idle consumers wait for.
    db.wakes.ring_queue(token.queue_id, 1);
}
