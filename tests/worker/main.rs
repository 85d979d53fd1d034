//! A consumer process for the tests: prints each event that it has acknowledged, one a line.
//!
//! `events-test-worker URL CHANNEL CONSUMERS [OPTIONS]`, options as TOML; it ends when its standard
//! input is closed. The payload `"poison"` kills it on the spot.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use event_channels::{EventChannel, EventsConfig, Result, Settled};
use tokio::io::AsyncReadExt as _;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, channel, consumers, options @ ..] = &arguments[..] else {
        return failed("usage: events-test-worker URL CHANNEL CONSUMERS [OPTIONS]");
    };
    let options = options.first().map_or("", String::as_str);
    match work(url, channel, consumers.parse().unwrap_or(1), options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&format!("{error}: {error:?}")),
    }
}

fn failed(why: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{why}");
    ExitCode::FAILURE
}

async fn work(url: &str, name: &str, consumers: usize, options: &str) -> Result<()> {
    let config = EventsConfig::new(url)?.poll_interval(Duration::from_millis(20));
    let channel = EventChannel::open(config.with_toml_str(options)?).await?;
    let mut tasks = Vec::new();
    let mut closers = Vec::new();
    for _ in 0..consumers {
        let mut events = channel.iter_events(name).await?;
        closers.push(events.closer());
        let channel = channel.clone();
        tasks.push(tokio::spawn(async move {
            while let Some(message) = events.next().await {
                let message = message?;
                if message.payload == "poison" {
                    std::process::abort();
                }
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
