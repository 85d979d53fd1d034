//! A server that can be stopped and started, with settings of the test's own.

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::client::{Rows, query};
use super::programs::Programs;
use super::supervisor::Supervisor;
use crate::Missing;

/// A server that does not answer by then will not.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How a server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It ends its sessions and closes the database.
    Fast,
    /// It drops everything, as in a crash.
    Immediate,
}

/// What a server is started with.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ServerOptions {
    settings: Vec<String>,
    access: Vec<String>,
    files: Vec<(String, String)>,
}

impl ServerOptions {
    /// As a server is, with everybody on this machine trusted.
    pub fn new() -> Self {
        Self::default()
    }

    /// A line of `postgresql.conf`.
    pub fn setting(mut self, line: impl Into<String>) -> Self {
        self.settings.push(line.into());
        self
    }

    /// A line of `pg_hba.conf`, before the one that trusts everybody.
    pub fn access(mut self, line: impl Into<String>) -> Self {
        self.access.push(line.into());
        self
    }

    /// A file in the data folder that only the server can read.
    pub fn file(mut self, name: impl Into<String>, content: impl Into<String>) -> Self {
        self.files.push((name.into(), content.into()));
        self
    }
}

/// A PostgreSQL server of its own, with a random port; it ends when this is dropped.
pub struct Server {
    programs: Programs,
    folder: PathBuf,
    port: u16,
    running: Mutex<Option<Supervisor>>,
    next_database: AtomicU32,
}

impl Server {
    /// Makes a cluster and starts it.
    ///
    /// # Errors
    /// [`Missing`] when PostgreSQL is not installed.
    ///
    /// # Panics
    /// When it is, and cannot be started.
    pub fn start(options: &ServerOptions) -> Result<Self, Missing> {
        let programs = Programs::find()?;
        let folder = programs.new_folder().expect("a temporary folder");
        make_cluster(&programs, &folder, options);
        // The port was free a moment ago; should another program take it, the next will do.
        for _ in 0..10 {
            let port = free_port();
            let server = Self {
                programs: programs.clone(),
                folder: folder.clone(),
                port,
                running: Mutex::default(),
                next_database: AtomicU32::new(1),
            };
            if server.run() {
                return Ok(server);
            }
            server.end_and_keep();
        }
        panic!("the server does not start: {}", tail(&folder.join("log")));
    }

    /// A new, empty database; answers its URL over TCP.
    #[must_use]
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.next_database.fetch_add(1, Ordering::SeqCst));
        query(&self.url("postgres"), &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// The URL of a database, over TCP and as the administrator.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its socket.
    #[must_use]
    pub fn socket_folder(&self) -> &Path {
        &self.folder
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Runs statements as its administrator.
    pub fn query(&self, sql: &str) -> Rows {
        query(&self.url("postgres"), sql)
    }

    /// Ends it; nobody can connect when this returns.
    pub fn stop(&self, how: Stop) {
        let running = self.running().take();
        if let Some(running) = running {
            running.signal(match how {
                Stop::Fast => Signal::SIGINT,
                Stop::Immediate => Signal::SIGQUIT,
            });
            wait_until("the server ends", || !self.pid_file().exists());
            running.end_and_keep();
        }
    }

    /// Starts it again on the same port; it answers when this returns.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&self) {
        assert!(
            self.run(),
            "the server does not start again: {}",
            tail(&self.folder.join("log"))
        );
    }

    /// Starts it; false when it ended by itself.
    fn run(&self) -> bool {
        let mut command = self.programs.command("postgres");
        command.arg("-D").arg(self.folder.join("data"));
        command.args(["-p", &self.port.to_string()]);
        command.arg("-k").arg(&self.folder);
        let log = self.folder.join("log");
        let running = Supervisor::start(&self.programs, &command, &self.folder, &log)
            .expect("the shell starts");
        let mut slot = self.running();
        let running = slot.insert(running);
        let started = Instant::now();
        loop {
            match fs::read_to_string(self.pid_file()) {
                // The last line is the state.
                Ok(text) if text.trim_end().ends_with("ready") => return true,
                _ if running.has_ended() => return false,
                _ if started.elapsed() > START_LIMIT => return false,
                _ => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    fn end_and_keep(&self) {
        if let Some(running) = self.running().take() {
            running.end_and_keep();
        }
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join("data/postmaster.pid")
    }

    fn running(&self) -> MutexGuard<'_, Option<Supervisor>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that was stopped has no shell left to remove its folder.
        if self.running().take().is_none() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

fn make_cluster(programs: &Programs, folder: &Path, options: &ServerOptions) {
    let data = folder.join("data");
    let mut initdb = programs.command("initdb");
    initdb.arg("-D").arg(&data);
    initdb.args("-U postgres -A trust -E UTF8 --locale=C --no-sync".split(' '));
    let output = initdb.output().expect("initdb runs");
    assert!(output.status.success(), "initdb failed: {output:?}");
    let settings = [
        "listen_addresses = '127.0.0.1'",
        // Nothing here must survive the machine; a crash of the server alone needs no flush.
        "fsync = off",
        "shared_buffers = 16MB",
        "max_connections = 200",
        "log_min_messages = log",
    ];
    let settings = settings.map(str::to_owned);
    append(
        &data.join("postgresql.conf"),
        settings.iter().chain(&options.settings),
    );
    if !options.access.is_empty() {
        let access = data.join("pg_hba.conf");
        let rest = fs::read_to_string(&access).expect("initdb wrote it");
        let text = format!("{}\n{rest}", options.access.join("\n"));
        fs::write(&access, text).expect("the file can be written");
    }
    for (name, content) in &options.files {
        let path = data.join(name);
        write_private(&path, content);
        programs.give(&path).expect("root may give files away");
    }
}

fn append<'a>(path: &Path, lines: impl Iterator<Item = &'a String>) {
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(path)
        .expect("initdb wrote it");
    for line in lines {
        writeln!(file, "{line}").expect("the file can be written");
    }
}

fn write_private(path: &Path, content: &str) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .expect("the file is new");
    file.write_all(content.as_bytes())
        .expect("the file can be written");
}

/// A port that nobody listens on, outside the range from which clients get theirs.
pub(super) fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(15_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

pub(super) fn wait_until(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(
            started.elapsed() < START_LIMIT,
            "waited {START_LIMIT:?} until {what}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(20).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
