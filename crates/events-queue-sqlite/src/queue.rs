//! What waits for the writer: in which order it is taken, and how much of it is kept whatever its
//! callers do.

use std::collections::VecDeque;

use events_core::Op;

use crate::job::{Job, Kind};

/// The most jobs of one transaction, so that no caller waits for too many others.
const MAX_BATCH: usize = 512;
/// The most bytes of events in one transaction, beyond its first job.
const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// So many publishes, and as many other jobs, wait even if their callers stop waiting.
pub(crate) const MAX_ADMITTED: usize = 8192;
/// So many bytes of events wait even if their callers stop waiting.
pub(crate) const MAX_ADMITTED_BYTES: usize = 16 * 1024 * 1024;
/// Fewer jobs that nobody wants any more are not worth a search.
const FEW: usize = 64;

/// Jobs that wait. Publishes and everything else stand in a line each, so that neither can keep
/// the other waiting for long.
#[derive(Default)]
pub(crate) struct JobQueue {
    publishes: Line,
    others: Line,
    closes: Vec<Box<dyn Job>>,
    /// How many of them were cancelled, at most.
    cancelled: usize,
}

/// What is next.
pub(crate) enum Batch {
    /// Jobs for one transaction.
    Jobs(Vec<Box<dyn Job>>),
    /// Nothing but the end.
    Closes(Vec<Box<dyn Job>>),
    /// Nothing.
    Nothing,
}

impl JobQueue {
    /// Appends a job; answers whether there was room for it. Beyond that it is kept for as long as
    /// its caller waits.
    pub(crate) fn push(&mut self, job: Box<dyn Job>) -> bool {
        let line = match job.op() {
            Op::Publish => &mut self.publishes,
            _ => &mut self.others,
        };
        let room = line.jobs.len() < MAX_ADMITTED && line.bytes + job.bytes() <= MAX_ADMITTED_BYTES;
        // Nobody would ask again for what is given back.
        let room = room || line.jobs.is_empty() || job.kind() == Kind::Release;
        line.push(job);
        room
    }

    /// Appends a job that is done when nothing else is left.
    pub(crate) fn push_close(&mut self, close: Box<dyn Job>) {
        self.closes.push(close);
    }

    pub(crate) fn len(&self) -> usize {
        self.publishes.jobs.len() + self.others.jobs.len() + self.closes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next jobs. When both lines are long each gets half.
    pub(crate) fn take_batch(&mut self) -> Batch {
        let half = MAX_BATCH / 2;
        let room = MAX_BATCH.saturating_sub(self.publishes.jobs.len());
        let mut jobs = Vec::new();
        self.cancelled -= self
            .others
            .take(&mut jobs, half.max(room))
            .min(self.cancelled);
        self.cancelled -= self
            .publishes
            .take(&mut jobs, MAX_BATCH)
            .min(self.cancelled);
        if !jobs.is_empty() {
            return Batch::Jobs(jobs);
        }
        match std::mem::take(&mut self.closes) {
            closes if closes.is_empty() => Batch::Nothing,
            closes => Batch::Closes(closes),
        }
    }

    /// Notes that a job was cancelled. Once they are many they are taken out, so that callers who
    /// give up and try again fill no memory while the database is stuck.
    pub(crate) fn note_cancelled(&mut self) {
        self.cancelled += 1;
        if self.cancelled > FEW.max(self.len() / 2) {
            self.publishes.sweep();
            self.others.sweep();
            self.cancelled = 0;
        }
    }
}

#[derive(Default)]
struct Line {
    jobs: VecDeque<Box<dyn Job>>,
    bytes: usize,
}

impl Line {
    fn push(&mut self, job: Box<dyn Job>) {
        self.bytes += job.bytes();
        self.jobs.push_back(job);
    }

    /// Moves jobs to the batch until it has `most`; answers how many were cancelled.
    fn take(&mut self, batch: &mut Vec<Box<dyn Job>>, most: usize) -> usize {
        let mut cancelled = 0;
        let mut bytes = 0;
        while batch.len() < most && bytes < MAX_BATCH_BYTES {
            let Some(job) = self.jobs.pop_front() else {
                break;
            };
            self.bytes -= job.bytes();
            if job.is_cancelled() {
                cancelled += 1;
                continue;
            }
            bytes += job.bytes();
            batch.push(job);
        }
        cancelled
    }

    fn sweep(&mut self) {
        self.jobs.retain(|job| !job.is_cancelled());
        self.bytes = self.jobs.iter().map(|job| job.bytes()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Database;
    use crate::job::{Terms, Work};
    use crate::ticket::Slot;

    fn job(op: Op, bytes: usize) -> Box<dyn Job> {
        let terms = Terms::new(Kind::Settle, op).bytes(bytes);
        Box::new(Work::new(
            &terms,
            |_: &mut Database| Ok(()),
            Slot::new(None),
        ))
    }

    fn release() -> Box<dyn Job> {
        let terms = Terms::new(Kind::Release, Op::Claim);
        Box::new(Work::new(
            &terms,
            |_: &mut Database| Ok(()),
            Slot::new(None),
        ))
    }

    fn ops(batch: Batch) -> Vec<Op> {
        match batch {
            Batch::Jobs(jobs) => jobs.iter().map(|job| job.op()).collect(),
            Batch::Closes(_) | Batch::Nothing => Vec::new(),
        }
    }

    fn count(ops: &[Op], wanted: Op) -> usize {
        ops.iter().filter(|op| **op == wanted).count()
    }

    /// A storm of publishes does not keep claims and acks waiting, nor the other way round.
    #[test]
    fn when_both_wait_each_gets_half_of_a_batch() {
        for (publishes, acks, expected) in [
            (2000, 2000, (256, 256)),
            (2000, 3, (509, 3)),
            (3, 2000, (3, 509)),
            (2000, 0, (512, 0)),
            (0, 2000, (0, 512)),
        ] {
            let mut queue = JobQueue::default();
            for _ in 0..publishes {
                queue.push(job(Op::Publish, 10));
            }
            for _ in 0..acks {
                queue.push(job(Op::Ack, 0));
            }
            let batch = ops(queue.take_batch());
            let taken = (count(&batch, Op::Publish), count(&batch, Op::Ack));
            assert_eq!(taken, expected, "{publishes} publishes, {acks} acks");
        }
    }

    #[test]
    fn a_batch_holds_a_bounded_number_of_bytes_and_at_least_one_job() {
        let mut queue = JobQueue::default();
        for bytes in [3, 3, 3, 100].map(|mib| mib * 1024 * 1024) {
            queue.push(job(Op::Publish, bytes));
        }
        let mut taken = || ops(queue.take_batch()).len();
        assert_eq!([taken(), taken(), taken()], [2, 2, 0]);
        assert_eq!(queue.publishes.bytes, 0);
    }

    #[test]
    fn only_so_much_is_kept_whatever_its_callers_do() {
        let mut queue = JobQueue::default();
        assert!(
            queue.push(job(Op::Publish, 2 * MAX_ADMITTED_BYTES)),
            "alone"
        );
        assert!(!queue.push(job(Op::Publish, 1)));
        let _ = queue.take_batch();
        assert_eq!(ops(queue.take_batch()).len(), 1);
        for n in 0..MAX_ADMITTED {
            assert!(queue.push(job(Op::Publish, 1)), "{n}");
        }
        assert!(!queue.push(job(Op::Publish, 1)));
        for n in 0..MAX_ADMITTED {
            assert!(queue.push(job(Op::Ack, 0)), "{n}");
        }
        assert!(!queue.push(job(Op::Ack, 0)));
        assert!(queue.push(release()), "nobody would ask for it again");
    }

    #[test]
    fn the_close_comes_when_nothing_else_is_left() {
        let mut queue = JobQueue::default();
        queue.push_close(job(Op::Shutdown, 0));
        queue.push(job(Op::Ack, 0));
        assert_eq!(ops(queue.take_batch()), [Op::Ack]);
        assert!(matches!(queue.take_batch(), Batch::Closes(closes) if closes.len() == 1));
        assert!(matches!(queue.take_batch(), Batch::Nothing));
    }
}
