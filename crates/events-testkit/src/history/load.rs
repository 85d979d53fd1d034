//! A history: the records of all processes.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::pairing::Log;
use super::record::Record;
use super::view::View;
use super::{Expect, Report, rules};

/// What happened, as all processes recorded it.
#[derive(Debug, Clone, Default)]
pub struct History {
    records: Vec<Record>,
}

impl History {
    /// The records of one process at least, in any order.
    #[must_use]
    pub fn new(records: Vec<Record>) -> Self {
        Self { records }
    }

    /// Reads every file of a folder; each was written by one process.
    ///
    /// # Panics
    /// When the folder cannot be read, or a line other than the last of a file is torn.
    #[must_use]
    pub fn of_folder(folder: &Path) -> Self {
        let mut history = Self::default();
        for file in fs::read_dir(folder).expect("the folder of the histories can be read") {
            let path = file.expect("the folder can be listed").path();
            history.add_lines(&fs::read(&path).expect("a history can be read"));
        }
        history
    }

    /// Adds the lines of one process. What follows the last line's end was torn by a kill and
    /// says nothing.
    ///
    /// # Panics
    /// When a whole line is no record.
    pub fn add_lines(&mut self, text: &[u8]) {
        let whole = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        for line in text[..whole].split(|byte| *byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            let record = serde_json::from_slice(line)
                .unwrap_or_else(|error| panic!("{error} in: {}", String::from_utf8_lossy(line)));
            self.records.push(record);
        }
    }

    /// Checks it against the rules.
    #[must_use = "the report says whether the rules hold"]
    pub fn check(&self, expect: &Expect) -> Report {
        let view = View::of(Log::of(&self.records));
        let mut report = Report::of(&view);
        rules::check_all(&view, expect, &mut report);
        report
    }
}

/// Lines in memory, for the recorder of a process that is not killed: the test itself.
#[derive(Debug, Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// What was written so far.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::history::Recorder;
    use crate::history::record::{Op, Sent, What};

    #[test]
    fn what_was_recorded_is_read_and_a_torn_last_line_is_not() {
        let lines = Lines::default();
        let recorder = Recorder::new("a", lines.clone());
        let call = recorder.publishing("orders", vec![Sent::new(&json!(1))]);
        recorder.published(call, &Ok(Vec::new()));
        let mut history = History::default();
        let text = lines.bytes();
        history.add_lines(&text[..text.len() - 1]);
        assert_eq!(history.records.len(), 2);
        assert_eq!(history.records[0].what, What::Started);
        let What::Invoke {
            op: Op::Publish { channel, events },
            ..
        } = &history.records[1].what
        else {
            panic!("{:?}", history.records[1]);
        };
        assert_eq!(
            (channel.as_str(), events),
            ("orders", &vec![Sent::new(&json!(1))])
        );
    }

    #[test]
    #[should_panic(expected = "in: {\"at\":")]
    fn a_torn_line_in_the_middle_is_loud() {
        History::default().add_lines(b"{\"at\":\n{\"at\":\n");
    }
}
