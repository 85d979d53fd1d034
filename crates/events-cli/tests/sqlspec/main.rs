//! SQLSpec on asyncpg and the command exchange events on one native channel, both ways.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use events_testkit::{Missing, postgres};
use serde_json::{Value, json};

/// A name that is folded to another one wherever it is not quoted.
const CHANNEL: &str = "Order_Events";
const LIMIT: Duration = Duration::from_secs(60);

/// The interpreter of the environment that `cargo xtask test --install` makes.
fn python() -> Result<PathBuf, Missing> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    let python = target.map(|target| target.join("sqlspec/bin/python"));
    python
        .filter(|python| python.is_file())
        .ok_or_else(|| Missing::new("sqlspec", "SQLSpec not installed; run with --install"))
}

/// A program that speaks lines of JSON.
struct Program {
    child: Child,
    lines: Receiver<Value>,
}

impl Program {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines() {
                let line = serde_json::from_str(&line.unwrap()).expect("a line of JSON");
                if tell.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line that is no ping.
    fn next(&self) -> Value {
        loop {
            let line = self.lines.recv_timeout(LIMIT).expect("a line in time");
            if !is_ping(&line) {
                return line;
            }
        }
    }

    /// Whether it has received a ping.
    fn is_live(&self) -> bool {
        self.lines.try_iter().any(|line| is_ping(&line))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_ping(line: &Value) -> bool {
    line["payload"] == json!({"ping": true})
}

fn events(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_events"));
    command
        .args(arguments)
        .env("EVENTS_URL", url)
        .env("EVENTS_BACKEND", "notify")
        .env_remove("EVENTS_DIRECT_URL")
        .env_remove("EVENTS_CONFIG");
    command
}

fn publish(url: &str, payload: &Value, metadata: Option<&Value>) -> String {
    let (payload, metadata) = (payload.to_string(), metadata.map(Value::to_string));
    let mut arguments = vec!["publish", CHANNEL, &payload];
    if let Some(metadata) = &metadata {
        arguments.extend(["--metadata", metadata]);
    }
    let output = events(url, &arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn events_go_both_ways_and_are_equal() {
    let both = python().and_then(|python| Ok((python, postgres::database()?)));
    let (python, database) = match both {
        Ok(both) => both,
        Err(missing) => return missing.skip("events_go_both_ways_and_are_equal"),
    };
    let url = database.url();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sqlspec/peer.py");
    let mut sqlspec = Program::start(Command::new(python).arg(script).args([url, CHANNEL]));
    let ours = Program::start(&mut events(url, &["listen", CHANNEL]));

    // Neither says when it is live, so both are pinged until they are.
    let begun = Instant::now();
    let (mut one, mut other) = (false, false);
    while !(one && other) {
        assert!(begun.elapsed() < LIMIT, "live: SQLSpec {one}, ours {other}");
        publish(url, &json!({"ping": true}), None);
        one = one || sqlspec.is_live();
        other = other || ours.is_live();
    }

    let cases = [
        (
            json!({"type": "paid", "id": 7}),
            Some(json!({"source": "billing"})),
        ),
        (
            json!({"text": "naïve — Ωmega \u{1f980} 漢字 \u{1} \" \\", "list": [1, -2.5, null, true, {}]}),
            Some(json!({"Ключ": {"nested": ["значение"]}, "empty": {}})),
        ),
        (json!({}), None),
    ];
    for (payload, metadata) in &cases {
        let id = publish(url, payload, metadata.as_ref());
        let line = sqlspec.next();
        let expected = json!({
            "received": id, "channel": CHANNEL, "payload": payload, "metadata": metadata,
        });
        assert_eq!(line, expected);
        assert_eq!(ours.next()["event_id"], id);
    }
    for (payload, metadata) in &cases {
        let told = json!({"payload": payload, "metadata": metadata});
        let input = sqlspec.child.stdin.as_mut().unwrap();
        writeln!(input, "{told}").unwrap();
        let line = ours.next();
        assert_eq!(
            (&line["channel"], &line["payload"]),
            (&json!(CHANNEL), payload)
        );
        let metadata = metadata.clone().unwrap_or_default();
        assert_eq!(line["metadata"], metadata);
        // Its own listener may be faster than the answer of its publish.
        let told = [sqlspec.next(), sqlspec.next()];
        let published = told.iter().find_map(|line| line["published"].as_str());
        assert_eq!(line["event_id"].as_str(), published);
    }
    // A payload that is no object is wrapped by SQLSpec, as the documentation says.
    publish(url, &json!([1, "two"]), None);
    assert_eq!(sqlspec.next()["payload"], json!({"value": [1, "two"]}));
    assert_eq!(ours.next()["payload"], json!([1, "two"]));
}
