//! PgBouncer in front of a server, pooling by transaction.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::programs::Programs;
use super::server::{Server, free_port, wait_until};
use super::supervisor::Supervisor;
use crate::Missing;

/// Where Debian puts it, which need not be on the path of everybody.
const DEBIAN: &str = "/usr/sbin/pgbouncer";

/// A proxy that gives each transaction another server connection; it ends when this is dropped.
#[derive(Debug)]
pub struct Pooler {
    port: u16,
    _running: Supervisor,
}

impl Pooler {
    /// Starts it in front of a server, for everybody and as its administrator.
    ///
    /// # Errors
    /// [`Missing`] when PgBouncer is not installed.
    ///
    /// # Panics
    /// When it is, and cannot be started.
    pub fn before(server: &Server) -> Result<Self, Missing> {
        let program = find()?;
        let programs = Programs::find()?;
        let folder = programs.new_folder().expect("a temporary folder");
        let port = free_port();
        let settings = folder.join("pgbouncer.ini");
        let text = format!(
            "[databases]
* = host=127.0.0.1 port={} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
",
            server.port()
        );
        fs::write(&settings, text).expect("the file can be written");
        let mut command = Command::new(program);
        command.arg(&settings);
        let running = Supervisor::start(&programs, &command, &folder, &folder.join("log"))
            .expect("the shell starts");
        wait_until("the pooler answers", || {
            assert!(
                !running.has_ended(),
                "the pooler does not start: {}",
                fs::read_to_string(folder.join("log")).unwrap_or_default()
            );
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Ok(Self {
            port,
            _running: running,
        })
    }

    /// The URL of a database through the pooler.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

fn find() -> Result<PathBuf, Missing> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("pgbouncer"));
    on_path
        .chain([PathBuf::from(DEBIAN)])
        .find(|file: &PathBuf| Path::is_file(file))
        .ok_or_else(|| Missing::new("pgbouncer", "PgBouncer not installed; run with --install"))
}
