//! Verdicts, each fenced by the token of its claim: one statement for each kind of verdict, and
//! one transaction for verdicts of several kinds. Renewals of leases go first.

use std::collections::HashSet;
use std::sync::Arc;

use events_core::{HoldToken, Op, Result};
use events_queue::{Outcome, StoreSettlement, StoreVerdict};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::database::Database;
use crate::gather::Shared;
use crate::row::{micros, queue, rank, read, uuid};

const READY: i16 = 0;
const SUSPECT: i16 = 2;

/// Settles for several callers at once.
#[derive(Debug)]
pub(crate) struct Settling(pub(crate) Arc<Database>);

impl Shared for Settling {
    type Request = Vec<StoreSettlement>;
    type Answer = Vec<Outcome>;
    const MOST: usize = 1000;
    const OP: Op = Op::Ack;

    fn weight(request: &Self::Request) -> Option<usize> {
        Some(request.len())
    }

    /// A lease must not end while other verdicts are recorded. Renewals do not run beside those: a
    /// verdict that meets a row as it is renewed finds nothing.
    fn is_urgent(request: &Self::Request) -> bool {
        let mut verdicts = request.iter().map(|settlement| &settlement.verdict);
        verdicts.all(|verdict| matches!(verdict, StoreVerdict::Extend(_)))
    }

    fn bytes(request: &Self::Request) -> usize {
        request
            .iter()
            .map(|settlement| {
                size_of_val(settlement) + error_of(&settlement.verdict).map_or(0, str::len)
            })
            .sum()
    }

    async fn run(&self, requests: &[Self::Request]) -> Result<Vec<Result<Self::Answer>>> {
        let all: Vec<&StoreSettlement> = requests.iter().flatten().collect();
        let mut outcomes = settle(&self.0, &all).await?.into_iter();
        let own = |request: &Self::Request| Ok(outcomes.by_ref().take(request.len()).collect());
        Ok(requests.iter().map(own).collect())
    }
}

/// Records verdicts, all of them or none, and answers them in their order.
async fn settle(db: &Database, settlements: &[&StoreSettlement]) -> Result<Vec<Outcome>> {
    let mut outcomes = vec![Outcome::Gone; settlements.len()];
    let steps = steps(db, settlements);
    let Some(first) = steps.first() else {
        return Ok(outcomes);
    };
    let op = first.kind.op();
    let values: Vec<_> = steps
        .iter()
        .map(|step| (step.sql(db), step.values()))
        .collect();
    let answers = match &values[..] {
        [(sql, values)] => vec![db.query(op, sql, values).await?],
        several => db.query_all(op, several).await?,
    };
    for (step, rows) in steps.iter().zip(&answers) {
        for nr in read(op, rows, |row| row.try_get::<_, i64>(0))? {
            // Numbers count from 1.
            let at = usize::try_from(nr).ok().and_then(|nr| nr.checked_sub(1));
            if let Some(at) = at.and_then(|at| step.of.get(at)) {
                outcomes[*at] = Outcome::Recorded;
                note(db, settlements[*at]);
            }
        }
    }
    Ok(outcomes)
}

/// Statements that record these verdicts.
///
/// A holding that is there twice is settled in the order of its verdicts, so what follows the
/// first of them goes into a later round.
fn steps<'a>(db: &Database, settlements: &[&'a StoreSettlement]) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    let mut left: Vec<usize> = (0..settlements.len()).collect();
    while !left.is_empty() {
        let mut seen = HashSet::with_capacity(left.len());
        let (now, later): (Vec<usize>, Vec<usize>) = left
            .into_iter()
            .partition(|at| seen.insert(settlements[*at].token));
        for kind in KINDS {
            let is_of = |at: &usize| Kind::of(&settlements[*at].verdict) == kind;
            let of: Vec<usize> = now.iter().copied().filter(is_of).collect();
            if !of.is_empty() {
                steps.push(Step::new(db, kind, of, settlements));
            }
        }
        left = later;
    }
    steps
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

/// The values of one statement, one array for each column.
struct Step<'a> {
    kind: Kind,
    /// Which settlements it records.
    of: Vec<usize>,
    queues: Vec<i32>,
    ranks: Vec<i32>,
    rows: Vec<i64>,
    fences: Vec<i64>,
    events: Vec<Uuid>,
    errors: Vec<Option<&'a str>>,
    times: Vec<i64>,
    states: Vec<i16>,
    reasons: Vec<&'static str>,
    keep: i64,
    relaxed: bool,
}

impl<'a> Step<'a> {
    fn new(db: &Database, kind: Kind, of: Vec<usize>, settlements: &[&'a StoreSettlement]) -> Self {
        let batch: Vec<&'a StoreSettlement> = of.iter().map(|at| settlements[*at]).collect();
        let tokens = || batch.iter().map(|settlement| settlement.token);
        let verdicts = || batch.iter().map(|settlement| &settlement.verdict);
        Self {
            kind,
            queues: tokens().map(|token| queue(token.queue_id)).collect(),
            ranks: tokens().map(|token| rank(token.priority)).collect(),
            rows: tokens().map(|token| token.row).collect(),
            fences: tokens().map(|token| token.fence).collect(),
            events: batch.iter().map(|s| uuid(&s.event_id)).collect(),
            errors: verdicts().map(error_of).collect(),
            times: verdicts().map(time_of).collect(),
            states: verdicts().map(state_of).collect(),
            reasons: verdicts().map(reason_of).collect(),
            keep: db.keep_keys(),
            relaxed: db.relaxed(),
            of,
        }
    }

    fn sql<'d>(&self, db: &'d Database) -> &'d str {
        match self.kind {
            Kind::Ack if db.config.retention.is_zero() => &db.sql.ack_delete,
            Kind::Ack => &db.sql.ack_keep,
            Kind::Extend => &db.sql.extend,
            Kind::Retry => &db.sql.retry,
            Kind::RetryLater => &db.sql.retry_later,
            Kind::Release => &db.sql.release,
            Kind::Dead => &db.sql.bury,
        }
    }

    fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![
            &self.queues,
            &self.ranks,
            &self.rows,
            &self.fences,
            &self.events,
        ];
        match self.kind {
            Kind::Ack => values.push(&self.keep),
            Kind::Extend => values.push(&self.times),
            Kind::Retry => values.push(&self.errors),
            Kind::RetryLater => values.extend([&self.errors as &(dyn ToSql + Sync), &self.times]),
            Kind::Release => values.push(&self.states),
            Kind::Dead => {
                let own: [&(dyn ToSql + Sync); 3] = [&self.reasons, &self.errors, &self.keep];
                values.extend(own);
            }
        }
        values.push(&self.relaxed);
        values
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

/// Tells consumers what a recorded verdict made claimable.
fn note(db: &Database, settlement: &StoreSettlement) {
    let token: &HoldToken = &settlement.token;
    let place = (rank(token.priority), token.row);
    match &settlement.verdict {
        StoreVerdict::Release { .. } | StoreVerdict::Retry { .. } => {}
        StoreVerdict::Extend(by) => {
            if let Some(frontier) = db.frontiers.known(token.queue_id) {
                frontier.lock().due_in(*by);
            }
            return;
        }
        StoreVerdict::Ack | StoreVerdict::Dead { .. } => return,
    }
    if let Some(frontier) = db.frontiers.known(token.queue_id) {
        let mut state = frontier.lock();
        match &settlement.verdict {
            StoreVerdict::Release { suspect: true } => state.is_suspect(place),
            StoreVerdict::Retry { after, .. } if !after.is_zero() => state.due_in(*after),
            _ => state.came_back(place),
        }
        drop(state);
        // Somebody may want it, now or at a time that is sooner than what idle consumers wait for.
        db.wakes.ring_queue(token.queue_id, 1);
    }
    // Others are told that there is something to look for. To begin again at its id would make them
    // read all that they have passed since, of every priority.
    db.announce(token.queue_id, None);
}
