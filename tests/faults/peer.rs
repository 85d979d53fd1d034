//! The test's end of a peer process, and what is true of its database afterwards.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;

/// Far more than a busy machine needs for one answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A process that obeys; killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    commands: Option<ChildStdin>,
    answers: Receiver<String>,
}

/// What a peer answered to one command.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// The numbers whose publish was acknowledged, with their ids.
    pub(crate) published: BTreeMap<u64, String>,
    /// Everything else, line by line.
    pub(crate) others: Vec<String>,
    /// Whether the command ran to its end; else the process ended before.
    pub(crate) done: bool,
}

impl Answers {
    /// The kinds of the errors.
    pub(crate) fn errors(&self) -> Vec<&str> {
        let errors = self
            .others
            .iter()
            .filter_map(|line| line.strip_prefix("err "));
        errors.filter_map(|text| text.split(' ').next()).collect()
    }
}

impl Peer {
    /// Starts a peer on a file, or a program that runs the peer it is given.
    pub(crate) fn start(file: &Path, options: &str) -> Self {
        Self::spawn(command(&[] as &[&str], file, options))
    }

    /// Starts a peer that aborts at the n-th pass of a failpoint.
    pub(crate) fn failing(file: &Path, options: &str, failpoint: &str, pass: u32) -> Self {
        let mut command = command(&[] as &[&str], file, options);
        command.env("EVENTS_FAILPOINT", format!("{failpoint}:{pass}"));
        Self::spawn(command)
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (tell, answers) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            // A line without its end was cut by a crash and promises nothing.
            while output.read_line(&mut line).is_ok() && line.ends_with('\n') {
                if tell.send(line.trim_end().to_owned()).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Self {
            commands: child.stdin.take(),
            child,
            answers,
        }
    }

    /// The id of the process, or of the program that it runs through.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it opened the database; else its error.
    pub(crate) fn opened(&self) -> Result<(), String> {
        match self.answers.recv_timeout(PATIENCE) {
            Ok(line) if line == "open" => Ok(()),
            Ok(line) => Err(line),
            Err(_) => Err("it ended without a word".to_owned()),
        }
    }

    /// Gives a command and waits for its answers.
    pub(crate) fn obey(&mut self, command: &str) -> Answers {
        self.tell(command);
        self.answers(command)
    }

    /// Gives a command and does not wait.
    pub(crate) fn tell(&mut self, command: &str) {
        let commands = self.commands.as_mut().expect("it takes commands");
        // If it has ended, its answers say so.
        let _ = writeln!(commands, "{command}");
    }

    /// Waits for the answers to the oldest command that was given.
    pub(crate) fn answers(&mut self, command: &str) -> Answers {
        let mut answers = Answers::default();
        loop {
            let line = match self.answers.recv_timeout(PATIENCE) {
                Ok(line) => line,
                Err(mpsc::RecvTimeoutError::Disconnected) => return answers,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    panic!("{command}: no answer in {PATIENCE:?} after {answers:?}")
                }
            };
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["done"] => {
                    answers.done = true;
                    return answers;
                }
                ["ok", n, id] => drop(answers.published.insert(n.parse().unwrap(), id.to_owned())),
                _ => answers.others.push(line),
            }
        }
    }

    /// Closes its input and waits until it has ended.
    pub(crate) fn end(&mut self) {
        drop(self.commands.take());
        self.child.wait().unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command that starts a peer, through other programs if there are any.
pub(crate) fn command<S: AsRef<OsStr>>(through: &[S], file: &Path, options: &str) -> Command {
    let peer = PathBuf::from(env!("CARGO_BIN_EXE_events-test-peer"));
    let mut words = through.iter().map(AsRef::as_ref).chain([peer.as_os_str()]);
    let mut command = Command::new(words.next().expect("the peer is one"));
    command.args(words);
    command.arg(file).arg(options);
    command
}

pub(crate) fn url(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}

/// SQLite finds nothing wrong with the file.
pub(crate) fn assert_sound(file: &Path) {
    let database = Connection::open(file).unwrap();
    let check: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok", "{}", file.display());
}
