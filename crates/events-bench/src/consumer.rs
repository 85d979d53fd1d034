//! The process that [`crate::process::Consumer`] starts.
//!
//! It opens the database and says so, listens when it is told to and says so, and when its
//! standard input ends it stops, and prints what it was given: number and nanoseconds on the way.

use std::io::{self, BufRead as _, BufWriter, Read as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_channels::{EventChannel, EventMessage, EventsConfig, ListenOptions, blocking};

use crate::args::Consume;
use crate::case::{Api, Result};
use crate::payload::{read_value, since};
use crate::place::CHANNEL;
use crate::runtime::block_on;

pub(crate) const READY: &str = "ready";
pub(crate) const START: &str = "start";
pub(crate) const LISTENING: &str = "listening";

type Arrivals = Arc<Mutex<Vec<(usize, Duration)>>>;

/// Consumes until the standard input ends.
pub(crate) fn consume(asked: &Consume) -> Result<()> {
    let config = EventsConfig::new(&asked.url)?.with_toml_str(&asked.options)?;
    let arrivals = Arrivals::default();
    match asked.api {
        Api::Async => {
            let arrivals = Arc::clone(&arrivals);
            block_on(async move { consume_async(config, arrivals).await })?;
        }
        Api::Blocking => consume_blocking(config, &arrivals)?,
    }
    let mut out = BufWriter::new(io::stdout().lock());
    for (number, after) in arrivals.lock().expect("no handler panicked").iter() {
        writeln!(out, "{number} {}", after.as_nanos())?;
    }
    Ok(out.flush()?)
}

async fn consume_async(config: EventsConfig, arrivals: Arrivals) -> Result<()> {
    let channel = EventChannel::open(config).await?;
    say(READY)?;
    on_a_thread(read_line).await?;
    let handler = move |message| {
        note(&arrivals, &message);
        std::future::ready(Ok(()))
    };
    let options = ListenOptions::new();
    let listener = channel.listen(CHANNEL, options, handler).await?;
    say(LISTENING)?;
    on_a_thread(read_to_end).await?;
    listener.stop().await;
    channel.shutdown().await?;
    Ok(())
}

fn consume_blocking(config: EventsConfig, arrivals: &Arrivals) -> Result<()> {
    let channel = blocking::EventChannel::open(config)?;
    say(READY)?;
    read_line()?;
    let arrivals = Arc::clone(arrivals);
    let handler = move |message| {
        note(&arrivals, &message);
        Ok(())
    };
    let listener = channel.listen(CHANNEL, ListenOptions::new(), handler)?;
    say(LISTENING)?;
    read_to_end()?;
    listener.stop()?;
    channel.shutdown()?;
    Ok(())
}

fn note(arrivals: &Arrivals, message: &EventMessage) {
    let (number, sent_ns) = read_value(&message.payload).expect("an event from nowhere");
    let after = since(sent_ns);
    let mut arrivals = arrivals.lock().expect("no handler panicked");
    arrivals.push((number, after));
}

fn say(word: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{word}")?;
    Ok(out.flush()?)
}

fn read_line() -> io::Result<()> {
    io::stdin().lock().read_line(&mut String::new()).map(drop)
}

fn read_to_end() -> io::Result<()> {
    io::stdin().lock().read_to_end(&mut Vec::new()).map(drop)
}

/// Blocks on a thread of its own, which costs nothing while the listener is measured.
async fn on_a_thread(block: fn() -> io::Result<()>) -> Result<()> {
    let (done, waiting) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || done.send(block()));
    Ok(waiting.await??)
}
