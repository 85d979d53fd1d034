//! `events demo`: the main job in some seconds, on a database that is gone afterwards.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use event_channels::{EventChannel, EventMessage, EventsConfig, ListenOptions, NewEvent};
use serde_json::json;
use tokio::sync::mpsc;

use crate::exit::{Done, Failure};
use crate::output::line;
use crate::progress;
use crate::signals;
use crate::stats::print_table;

const EVENTS: u64 = 5_000;
const BATCH: u64 = 100;

pub(crate) async fn run() -> Done {
    let stop = signals::take()?;
    // Removed when it is dropped, so a signal must not end the process before that.
    let folder = tempfile::tempdir()?;
    tokio::select! {
        done = show(folder.path()) => done,
        () = stop.drain.closed() => Err(Failure::Failed("interrupted".to_owned())),
    }
}

async fn show(folder: &Path) -> Done {
    let config = EventsConfig::new(format!("sqlite:{}", folder.join("demo.db").display()))?
        .backoff_base(Duration::from_millis(100))
        .max_attempts(3)
        .name("demo");
    let channel = config.open().await?;
    line(format!(
        "A database in a temporary folder, backend {}.\n",
        channel.backend_name()
    ))?;
    one_event(&channel).await?;
    failures(&channel).await?;
    figures(&channel).await?;
    line("\nWhat is stored now (`events stats` shows it for your database):\n")?;
    let admin = channel
        .admin()
        .ok_or_else(|| Failure::Failed("the queue has operations".to_owned()))?;
    print_table(&admin.stats(None).await?)?;
    channel.shutdown().await?;
    line("\nNext: events publish orders '{\"id\": 1}' && events listen orders --count 1")
}

async fn one_event(channel: &EventChannel) -> Done {
    line("1. Publish an event, receive it, acknowledge it.")?;
    let id = channel
        .publish(
            "notifications",
            json!({"type": "cache_invalidate", "key": "user:1"}),
        )
        .await?;
    line(format!("   published  {id}"))?;
    let mut events = channel.iter_events("notifications").await?;
    if let Some(message) = events.next().await {
        let message = message?;
        line(format!("   received   {}", message.payload))?;
        line(format!(
            "   ack        {:?}\n",
            channel.ack(&message).await?
        ))?;
    }
    Ok(())
}

async fn failures(channel: &EventChannel) -> Done {
    line("2. A handler that fails once, and one that always fails (max_attempts is 3 here).")?;
    let (tell, mut told) = mpsc::unbounded_channel();
    let handler = move |message: EventMessage| {
        let tell = tell.clone();
        async move {
            let name = message.payload_as::<String>()?;
            let fails = name == "poison" || message.attempts == 1;
            tell.send((name, message.attempts, fails))?;
            if fails {
                Err("the mail server is away".into())
            } else {
                Ok(())
            }
        }
    };
    let listener = channel
        .listen("mail", ListenOptions::new(), handler)
        .await?;
    channel
        .publish_many(["flaky", "poison"].map(|name| NewEvent::new("mail", name)))
        .await?;
    // Two attempts of the one, three of the other.
    for _ in 0..5 {
        let Some((name, attempt, failed)) = told.recv().await else {
            break;
        };
        let outcome = if failed { "failed" } else { "handled" };
        line(format!("   {name:<7} attempt {attempt}: {outcome}"))?;
    }
    listener.stop().await;
    if let Some(admin) = channel.admin() {
        for letter in admin.dead_letters("mail".try_into()?, 10).await? {
            let why = letter.last_error.unwrap_or_default();
            line(format!(
                "   dead letter {} after {} attempts, {}: {why}\n",
                letter.payload, letter.attempts, letter.reason
            ))?;
        }
    }
    Ok(())
}

async fn figures(channel: &EventChannel) -> Done {
    line(format!(
        "3. {EVENTS} events in batches of {BATCH}, each batch flushed to the disk; one listener."
    ))?;
    let bar = progress::count(Some(EVENTS), "published");
    let started = Instant::now();
    for start in (0..EVENTS).step_by(usize::try_from(BATCH).unwrap_or(1)) {
        channel
            .publish_many((start..start + BATCH).map(|n| NewEvent::new("orders", json!({"n": n}))))
            .await?;
        bar.inc(BATCH);
    }
    bar.finish_and_clear();
    line(format!("   published at {}", rate(started.elapsed())))?;
    let (all, mut handled) = mpsc::channel(1);
    let left = Arc::new(AtomicU64::new(EVENTS));
    let handler = move |_| {
        let (all, left) = (all.clone(), Arc::clone(&left));
        async move {
            if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                all.send(()).await?;
            }
            Ok(())
        }
    };
    let started = Instant::now();
    let listener = channel
        .listen("orders", ListenOptions::new(), handler)
        .await?;
    handled.recv().await;
    listener.stop().await;
    line(format!(
        "   handled and acknowledged at {}",
        rate(started.elapsed())
    ))
}

fn rate(time: Duration) -> String {
    let per_second = Duration::from_secs(EVENTS).as_secs_f64() / time.as_secs_f64();
    format!("{per_second:.0} events a second")
}
