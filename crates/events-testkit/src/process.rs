//! Processes that tests start, watch, kill and end; never left behind.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Far more than a busy machine needs for anything that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A process of a test; killed when this is dropped.
pub struct Process {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    heard: Vec<String>,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts a process; standard input and output are ours.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(name: impl Into<String>, command: &mut Command) -> Self {
        Self::start_with(name, command, |_| {})
    }

    /// Starts a process; each whole line of its output is told to `on_line` as it comes.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_with(
        name: impl Into<String>,
        command: &mut Command,
        mut on_line: impl FnMut(&str) + Send + 'static,
    ) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let mut output = BufReader::new(child.stdout.take().expect("it was asked for"));
        let (tell, lines) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut line = String::new();
            // A line without its end was cut by a kill and says nothing.
            while output.read_line(&mut line).is_ok() && line.ends_with('\n') {
                on_line(line.trim_end());
                // Whoever is not interested any more has dropped the other end.
                let _ = tell.send(line.trim_end().to_owned());
                line.clear();
            }
        });
        Self {
            name: name.into(),
            input: child.stdin.take(),
            child,
            lines,
            heard: Vec::new(),
            reader: Some(reader),
        }
    }

    /// Its name in the history.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its standard input, to write to; can be taken once.
    ///
    /// # Panics
    /// The second time.
    #[must_use]
    pub fn input(&mut self) -> ChildStdin {
        self.input.take().expect("its input was not taken before")
    }

    /// The next line of its output.
    ///
    /// # Panics
    /// When none comes.
    #[must_use]
    pub fn line(&self) -> String {
        self.lines
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|e| panic!("{} said nothing after {:?}: {e}", self.name, self.heard))
    }

    /// Waits until it says this word; others are kept for later.
    ///
    /// # Panics
    /// When it does not.
    pub fn says(&mut self, word: &str) {
        if let Some(at) = self.heard.iter().position(|heard| heard == word) {
            self.heard.remove(at);
            return;
        }
        loop {
            let line = self.line();
            if line == word {
                return;
            }
            self.heard.push(line);
        }
    }

    /// Kills it at once, as `kill -9` does. Afterwards all its lines have been told.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().expect("a child can be waited for");
        self.read_to_end();
    }

    /// Asks it to end, as `kill` does.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Makes it stand still.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn stop(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on where it stood still.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn go_on(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("process ids are small");
        kill(Pid::from_raw(id), signal).expect("a child can be signalled");
    }

    /// Closes its input and waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn finish(mut self) -> ExitStatus {
        drop(self.input.take());
        self.wait()
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            let ended = self.child.try_wait().expect("a child can be waited for");
            if let Some(status) = ended {
                self.read_to_end();
                return status;
            }
            assert!(Instant::now() < until, "{} does not end", self.name);
            thread::sleep(Duration::from_millis(1)); // between two looks
        }
    }

    /// Whether it ends by itself before something else happens.
    ///
    /// # Panics
    /// When neither happens.
    pub fn ends_before(&mut self, mut happened: impl FnMut() -> bool) -> bool {
        let until = Instant::now() + PATIENCE;
        loop {
            if happened() {
                return false;
            }
            if self
                .child
                .try_wait()
                .expect("a child can be waited for")
                .is_some()
            {
                return true;
            }
            assert!(
                Instant::now() < until,
                "{} neither ends nor goes on",
                self.name
            );
            thread::sleep(Duration::from_millis(5)); // between two looks
        }
    }

    /// The lines that were not asked for; complete once the process has ended.
    pub fn unread(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    fn read_to_end(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader
                .join()
                .expect("what is done with a line does not panic");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("name", &self.name)
            .field("child", &self.child)
            .finish_non_exhaustive()
    }
}
