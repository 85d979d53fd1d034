//! A consumer process for the tests: prints each event that it has acknowledged, one a line.
//!
//! `events-test-worker URL CHANNEL CONSUMERS`; it ends when its standard input is closed.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use event_channels::{EventChannel, EventsConfig, Result, Settled};
use tokio::io::AsyncReadExt as _;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, channel, consumers] = &arguments[..] else {
        return failed("usage: events-test-worker URL CHANNEL CONSUMERS");
    };
    match work(url, channel, consumers.parse().unwrap_or(1)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&format!("{error}: {error:?}")),
    }
}

fn failed(why: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{why}");
    ExitCode::FAILURE
}

async fn work(url: &str, name: &str, consumers: usize) -> Result<()> {
    let config = EventsConfig::new(url)?.poll_interval(Duration::from_millis(20));
    let channel = EventChannel::open(config).await?;
    let mut tasks = Vec::new();
    let mut closers = Vec::new();
    for _ in 0..consumers {
        let mut events = channel.iter_events(name).await?;
        closers.push(events.closer());
        let channel = channel.clone();
        tasks.push(tokio::spawn(async move {
            while let Some(message) = events.next().await {
                let message = message?;
                if channel.ack(&message).await? == Settled::Recorded {
                    let _ = writeln!(
                        std::io::stdout(),
                        "{} {}",
                        message.event_id,
                        message.payload
                    );
                }
            }
            Ok::<_, event_channels::Error>(())
        }));
    }
    let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
    closers.iter().for_each(event_channels::Closer::close);
    for task in tasks {
        task.await.expect("a consumer does not panic")?;
    }
    channel.shutdown().await.map(drop)
}
