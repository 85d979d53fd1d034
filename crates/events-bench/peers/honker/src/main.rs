//! honker, measured as `events-bench` measures: publishing, draining with claims of 100, and the
//! latency in one process and across two.
//!
//! `peer-honker [EVENTS]`; `peer-honker consume FILE COUNT` is the second process.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use honker::{Database, EnqueueOpts, QueueOpts};
use serde_json::{Value, json};

const LATENCY_EVENTS: usize = 250;
const BATCH: i64 = 100;

fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_nanos()).unwrap()
}

fn payload(number: usize) -> Value {
    json!({"i": number, "t": now_ns(), "type": "bench", "body": "x".repeat(54)})
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, file, count] = &arguments[..]
        && role == "consume"
    {
        println!("ready");
        let (lost, dup, times) = consume(Path::new(file), count.parse().unwrap());
        println!("{}", json!({"lost": lost, "dup": dup, "times": times}));
        return;
    }
    let events = arguments.first().map_or(10_000, |n| n.parse().unwrap());
    publish_single(events);
    publish_batch(events);
    drain(events);
    latency_in_one_process();
    latency_across_processes();
}

fn line(
    case: &str,
    n: usize,
    took: Option<Duration>,
    times: &mut [u64],
    (lost, dup): (usize, usize),
) {
    times.sort_unstable();
    let at = |percent: usize| {
        let time = times.get((times.len().saturating_sub(1) * percent + 50) / 100)?;
        Some(*time as f64 / 1000.0)
    };
    let seconds = took.map(|took| took.as_secs_f64());
    println!(
        "{}",
        json!({"peer": "honker", "case": case, "n": n, "seconds": seconds,
               "per_s": seconds.map(|seconds| n as f64 / seconds),
               "p50_us": at(50), "p99_us": at(99), "lost": lost, "dup": dup})
    );
}

fn check(numbers: &[usize], expected: usize) -> (usize, usize) {
    let mut counts = vec![0_usize; expected];
    numbers.iter().for_each(|number| counts[*number] += 1);
    let lost = counts.iter().filter(|count| **count == 0).count();
    (
        lost,
        counts.iter().map(|count| count.saturating_sub(1)).sum(),
    )
}

/// What stands in the queue, by number; it is emptied.
fn take_all(database: &Database) -> Vec<usize> {
    let queue = database.queue("bench", QueueOpts::default());
    let mut numbers = Vec::new();
    loop {
        let jobs = queue.claim_batch("check", BATCH).unwrap();
        if jobs.is_empty() {
            return numbers;
        }
        let ids: Vec<i64> = jobs.iter().map(|job| job.id).collect();
        numbers.extend(jobs.iter().map(|job| read(&job.payload).0));
        assert_eq!(queue.ack_batch(&ids, "check").unwrap() as usize, ids.len());
    }
}

fn read(payload: &[u8]) -> (usize, u64) {
    let value: Value = serde_json::from_slice(payload).unwrap();
    let number = usize::try_from(value["i"].as_u64().unwrap()).unwrap();
    (number, value["t"].as_u64().unwrap())
}

fn publish_single(events: usize) {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path().join("q.db")).unwrap();
    let queue = database.queue("bench", QueueOpts::default());
    let begun = Instant::now();
    for number in 0..events {
        queue
            .enqueue(&payload(number), EnqueueOpts::default())
            .unwrap();
    }
    let took = begun.elapsed();
    let counted = check(&take_all(&database), events);
    line("publish_single", events, Some(took), &mut [], counted);
}

fn fill(database: &Database, events: usize) {
    let queue = database.queue("bench", QueueOpts::default());
    for first in (0..events).step_by(100) {
        let transaction = database.transaction().unwrap();
        for number in first..(first + 100).min(events) {
            queue
                .enqueue_tx(&transaction, &payload(number), EnqueueOpts::default())
                .unwrap();
        }
        transaction.commit().unwrap();
    }
}

fn publish_batch(events: usize) {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path().join("q.db")).unwrap();
    let begun = Instant::now();
    fill(&database, events);
    let took = begun.elapsed();
    let counted = check(&take_all(&database), events);
    line("publish_batch100", events, Some(took), &mut [], counted);
}

fn drain(events: usize) {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path().join("q.db")).unwrap();
    fill(&database, events);
    let begun = Instant::now();
    let numbers = take_all(&database);
    let took = begun.elapsed();
    line(
        "drain_1consumer",
        events,
        Some(took),
        &mut [],
        check(&numbers, events),
    );
}

/// Waits for that many events and answers lost, repeated and how long each was on its way.
fn consume(file: &Path, count: usize) -> (usize, usize, Vec<u64>) {
    let database = Database::open(file).unwrap();
    let waker = database.queue("bench", QueueOpts::default()).claim_waker();
    let (mut times, mut numbers) = (Vec::new(), Vec::new());
    while numbers.len() < count {
        let job = waker.next("w").unwrap().unwrap();
        let received = now_ns();
        let (number, sent) = read(&job.payload);
        times.push(received.saturating_sub(sent));
        numbers.push(number);
        assert!(job.ack().unwrap());
    }
    let (lost, dup) = check(&numbers, count);
    (lost, dup, times)
}

/// Fifty events a second.
fn trickle(file: &Path) {
    let database = Database::open(file).unwrap();
    let queue = database.queue("bench", QueueOpts::default());
    let mut due = Instant::now();
    for number in 0..LATENCY_EVENTS {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        queue
            .enqueue(&payload(number), EnqueueOpts::default())
            .unwrap();
        due += Duration::from_millis(20);
    }
}

fn latency_in_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("q.db");
    drop(Database::open(&file).unwrap());
    let (lost, dup, mut times) = std::thread::scope(|scope| {
        let consumer = scope.spawn(|| consume(&file, LATENCY_EVENTS));
        std::thread::sleep(Duration::from_millis(300));
        trickle(&file);
        consumer.join().unwrap()
    });
    line(
        "latency_50ps",
        LATENCY_EVENTS,
        None,
        &mut times,
        (lost, dup),
    );
}

fn latency_across_processes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("q.db");
    drop(Database::open(&file).unwrap());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("consume")
        .arg(&file)
        .arg(LATENCY_EVENTS.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut answer = String::new();
    output.read_line(&mut answer).unwrap();
    assert_eq!(answer.trim_end(), "ready");
    std::thread::sleep(Duration::from_millis(300));
    trickle(&file);
    answer.clear();
    output.read_line(&mut answer).unwrap();
    assert!(child.wait().unwrap().success());
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let number = |key: &str| usize::try_from(answer[key].as_u64().unwrap()).unwrap();
    let mut times: Vec<u64> = answer["times"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_u64)
        .collect();
    line(
        "latency_50ps_processes",
        LATENCY_EVENTS,
        None,
        &mut times,
        (number("lost"), number("dup")),
    );
    std::io::stdout().flush().unwrap();
}
