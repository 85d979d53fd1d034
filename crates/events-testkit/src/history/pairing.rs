//! Puts the begin and the end of each operation together.

use std::collections::HashMap;

use super::{Answer, Op, Record, Row, What};

/// Every operation, and what else was recorded.
#[derive(Debug, Default)]
pub(super) struct Log<'a> {
    /// In the order in which they were begun.
    pub(super) operations: Vec<Operation<'a>>,
    pub(super) processes: HashMap<&'a str, Process>,
    pub(super) power_lost: Vec<u64>,
    /// The tables at last, if they were looked at.
    pub(super) rows: Option<Vec<&'a Row>>,
    /// When the last record was made.
    pub(super) end: u64,
}

/// An operation and its answer, if there was one.
#[derive(Debug)]
pub(super) struct Operation<'a> {
    pub(super) call: u64,
    pub(super) begun: &'a Record,
    pub(super) op: &'a Op,
    pub(super) ended: Option<(&'a Record, &'a Answer)>,
}

/// How a process ended.
#[derive(Debug, Default)]
pub(super) struct Process {
    /// By itself, with nothing under way.
    pub(super) ended: bool,
    /// When it was killed.
    pub(super) killed: Option<u64>,
}

impl<'a> Log<'a> {
    pub(super) fn of(records: &'a [Record]) -> Self {
        let mut log = Self::default();
        let mut places = HashMap::new();
        let mut ends = Vec::new();
        for record in records {
            let process: &str = &record.process;
            log.end = log.end.max(record.at);
            log.processes.entry(process).or_default();
            match &record.what {
                What::Started => {}
                What::Ended => log.process(process).ended = true,
                What::Killed(victim) => log.process(victim).killed = Some(record.at),
                What::PowerLost => log.power_lost.push(record.at),
                What::Invoke { call, op } => {
                    let known = places.insert((process, *call), log.operations.len());
                    assert!(known.is_none(), "call {call} of {process} was begun twice");
                    log.operations.push(Operation {
                        call: *call,
                        begun: record,
                        op,
                        ended: None,
                    });
                }
                What::Return { call, answer } => ends.push((record, *call, answer)),
                What::Row(row) => log.rows.get_or_insert_default().push(row),
                What::RowsEnd => {
                    log.rows.get_or_insert_default();
                }
            }
        }
        for (record, call, answer) in ends {
            let place = places.get(&(record.process.as_str(), call));
            let place = place.unwrap_or_else(|| {
                panic!(
                    "call {call} of {} ended and was never begun",
                    record.process
                )
            });
            log.operations[*place].ended = Some((record, answer));
        }
        log.operations.sort_by_key(|operation| operation.begun.at);
        log
    }

    fn process(&mut self, name: &'a str) -> &mut Process {
        self.processes.entry(name).or_default()
    }
}

impl Operation<'_> {
    /// The answer is of another operation: the history was not written by a recorder.
    pub(super) fn misfit(&self) -> ! {
        panic!("the end of an operation does not fit its begin: {self:?}")
    }
}
