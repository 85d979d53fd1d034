//! Consumers in processes of their own, as the process that measures sees them.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::case::{Result, Setting};
use crate::consumer::{LISTENING, READY, START};
use crate::place::Place;

/// A process that listens to the channel; killed when this is dropped.
pub(crate) struct Consumer {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// An event that a consumer was given: its number, and how long it had been on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) number: usize,
    pub(crate) after: Duration,
}

impl Consumer {
    /// Starts one and waits until it has opened the database.
    pub(crate) fn open(place: &impl Place, setting: &Setting) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([
                "consume",
                &place.url(),
                setting.api.name(),
                &place.options(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or("a consumer without an output")?;
        let mut consumer = Self {
            child,
            input,
            output: BufReader::new(output),
        };
        consumer.expect(READY)?;
        Ok(consumer)
    }

    /// Has it listen; it may do so a moment later.
    pub(crate) fn start(&mut self) -> Result<()> {
        let input = self.input.as_mut().ok_or("a consumer that was stopped")?;
        writeln!(input, "{START}")?;
        Ok(input.flush()?)
    }

    /// Waits until it listens.
    pub(crate) fn listens(&mut self) -> Result<()> {
        self.expect(LISTENING)
    }

    /// Processor time that all its threads have used.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let mut total = 0_u64;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let stat = fs::read_to_string(task?.path().join("schedstat"))?;
            let on_cpu = stat.split_whitespace().next().unwrap_or_default();
            total += on_cpu.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(total))
    }

    /// Has it stop, and answers what it was given.
    pub(crate) fn stop(mut self) -> Result<Vec<Arrival>> {
        self.input = None;
        let mut arrivals = Vec::new();
        for line in self.output.by_ref().lines() {
            let line = line?;
            let (number, after) = line.split_once(' ').ok_or("a line of another form")?;
            arrivals.push(Arrival {
                number: number.parse()?,
                after: Duration::from_nanos(after.parse()?),
            });
        }
        let status = self.child.wait()?;
        if status.success() {
            Ok(arrivals)
        } else {
            Err(format!("a consumer failed: {status}").into())
        }
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.trim_end() == word {
            Ok(())
        } else {
            Err(format!("a consumer said {line:?} instead of {word:?}").into())
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // It has ended already, unless the measurement failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
