//! One client library for the process, and a server for each test.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use events_oracle_standin::{Server, install};
use oracle::Connection;

/// Where the library is, loaded once: the first that asks decides for the process.
pub(crate) fn library() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap().keep();
        install(&folder).unwrap();
        oracle::InitParams::new()
            .oracle_client_lib_dir(&folder)
            .unwrap()
            .init()
            .unwrap();
        folder
    })
}

pub(crate) fn server(name: &str) -> Server {
    Server::create(library(), name).unwrap()
}

pub(crate) fn connect(server: &Server) -> Connection {
    try_connect(server, "tiger").unwrap()
}

pub(crate) fn try_connect(server: &Server, password: &str) -> oracle::Result<Connection> {
    let target = format!("//standin:1521/{}", server.service());
    Connection::connect("scott", password, target)
}
