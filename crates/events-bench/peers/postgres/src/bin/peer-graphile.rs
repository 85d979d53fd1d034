//! graphile_worker with the options that its documentation gives for speed: a local queue of 500
//! and completion in batches. `peer-graphile URL EVENTS`

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, RawJobSpec, TaskHandler, WorkerContext,
    WorkerOptions,
};
use peers_postgres::{arguments, payload, print};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Bench {
    i: usize,
    body: String,
}

#[derive(Clone, Debug)]
struct Handled(Arc<Mutex<Vec<usize>>>);

impl TaskHandler for Bench {
    const IDENTIFIER: &'static str = "bench";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        if let Some(handled) = context.get_ext::<Handled>() {
            handled.0.lock().unwrap().push(self.i);
        }
        Ok::<(), String>(())
    }
}

#[tokio::main]
async fn main() {
    let (url, events) = arguments();
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(20)
        .connect(&url)
        .await
        .unwrap();
    let handled = Handled(Arc::default());
    let options = || {
        WorkerOptions::default()
            .concurrency(1)
            .schema("rival")
            .pg_pool(pool.clone())
            .add_extension(handled.clone())
            .listen_os_shutdown_signals(false)
            .define_job::<Bench>()
            .complete_job_batch_delay(Duration::from_millis(5))
            .poll_interval(Duration::from_millis(100))
            .local_queue(LocalQueueConfig::default().with_size(500))
    };
    let utils = options().init().await.unwrap().create_utils();
    for first in (0..events).step_by(500) {
        let job = |number| RawJobSpec {
            identifier: "bench".into(),
            payload: payload(number),
            spec: JobSpec::default(),
        };
        let jobs: Vec<RawJobSpec> = (first..(first + 500).min(events)).map(job).collect();
        utils.add_raw_jobs(&jobs).await.unwrap();
    }
    let worker = Arc::new(options().init().await.unwrap());
    let running = Arc::clone(&worker);
    let begun = Instant::now();
    let running = tokio::spawn(async move { running.run().await });
    // Done is what was handled and whose row is gone.
    loop {
        if handled.0.lock().unwrap().len() >= events {
            let sql = include_str!("../left.sql");
            let (left,): (i64,) = sqlx::query_as(sql).fetch_one(&pool).await.unwrap();
            if left == 0 {
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = begun.elapsed();
    worker.request_shutdown();
    let _ = tokio::time::timeout(Duration::from_secs(8), running).await;
    let numbers = handled.0.lock().unwrap().clone();
    print(&numbers, events, took);
}
