//! Throwaway servers start, stop, come back and leave nothing.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use events_testkit::postgres::{self, Server, ServerOptions, Stop};

#[test]
fn databases_of_the_shared_server_are_apart() {
    let databases =
        || Ok::<_, events_testkit::Missing>((postgres::database()?, postgres::database()?));
    let (one, other) = match databases() {
        Ok(databases) => databases,
        Err(missing) => return missing.skip("databases_of_the_shared_server_are_apart"),
    };
    one.query("CREATE TABLE here (n int); INSERT INTO here VALUES (7)");
    assert_eq!(one.query("SELECT n FROM here"), [[Some("7".to_owned())]]);
    let found = other.query("SELECT to_regclass('here')");
    assert_eq!(found, [[None]]);
}

#[test]
fn a_server_of_ones_own_comes_back_with_its_data_and_leaves_nothing() {
    let options = ServerOptions::new()
        .setting("work_mem = '5MB'")
        .access("host all nobody 127.0.0.1/32 reject")
        .file("secret.key", "content");
    let server = match Server::start(&options) {
        Ok(server) => server,
        Err(missing) => {
            return missing
                .skip("a_server_of_ones_own_comes_back_with_its_data_and_leaves_nothing");
        }
    };
    let database = server.database();
    postgres::query(
        &database,
        "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)",
    );
    for how in [Stop::Fast, Stop::Immediate] {
        server.stop(how);
        assert!(std::net::TcpStream::connect(("127.0.0.1", server.port())).is_err());
        server.start_again();
        let rows = postgres::query(&database, "SELECT n FROM kept");
        assert_eq!(rows, [[Some("1".to_owned())]]);
    }
    let setting = server.query("SHOW work_mem");
    assert_eq!(setting, [[Some("5MB".to_owned())]]);
    let content = server.query("SELECT pg_read_file('secret.key')");
    assert_eq!(content, [[Some("content".to_owned())]]);
    let folder = server.socket_folder().to_owned();
    let port = server.port();
    drop(server);
    assert!(!folder.exists());
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}

/// The process that the test below kills: it owns a server and waits for the end.
#[test]
#[expect(clippy::print_stderr, reason = "the parent reads it")]
fn owner_of_a_server() {
    if std::env::var_os("EVENTS_TESTKIT_OWNER").is_none() {
        return;
    }
    let server = Server::start(&ServerOptions::new()).unwrap();
    eprintln!("owns {}", server.socket_folder().display());
    let mut ended = String::new();
    let _ = std::io::stdin().read_line(&mut ended);
    panic!("the test ends with its server running");
}

#[test]
fn a_server_ends_with_its_process_however_that_ends() {
    if let Err(missing) = postgres::database() {
        return missing.skip("a_server_ends_with_its_process_however_that_ends");
    }
    for killed in [true, false] {
        let mut owner = Command::new(std::env::current_exe().unwrap())
            .args(["postgres::owner_of_a_server", "--exact", "--nocapture"])
            .env("EVENTS_TESTKIT_OWNER", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(owner.stderr.take().unwrap()).lines();
        let folder = loop {
            let line = lines.next().expect("the owner says what it owns").unwrap();
            if let Some(folder) = line.strip_prefix("owns ") {
                break PathBuf::from(folder);
            }
        };
        assert!(folder.join("data/postmaster.pid").exists());
        if killed {
            owner.kill().unwrap();
        } else {
            drop(owner.stdin.take());
        }
        assert!(!owner.wait().unwrap().success());
        let since = Instant::now();
        while folder.exists() {
            assert!(
                since.elapsed() < Duration::from_secs(30),
                "{folder:?} is still there"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
