//! `events listen`: one JSON object a line, written and flushed before the ack.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use event_channels::{
    Closer, Error, EventChannel, EventMessage, HandlerError, IterOptions, ListenOptions, Settled,
    Target,
};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc;

use crate::args::{Global, Listen};
use crate::config::open;
use crate::exec::run_command;
use crate::exit::{Done, Failure};
use crate::output::line;
use crate::signals;

/// Acks that may be under way while further events are printed.
const ACKS: usize = 128;

pub(crate) async fn run(global: &Global, command: Listen) -> Done {
    let channel = open(global).await?;
    let stop = signals::closer()?;
    let done = match &command.exec {
        None => print_events(&channel, &command, &stop).await,
        Some(shell) => exec_events(&channel, &command, shell.clone(), &stop).await,
    };
    channel.shutdown().await?;
    done
}

/// Why no further event is taken.
enum Ended {
    TimedOut,
    Closed,
}

async fn print_events(channel: &EventChannel, command: &Listen, stop: &Closer) -> Done {
    let mut options = IterOptions::new();
    if let Some(group) = &command.group {
        options = options.group(group.as_str());
    }
    if let Some(count) = command.count.and_then(|count| usize::try_from(count).ok()) {
        // Nothing is claimed that will not be printed.
        options = options.prefetch(count.min(ACKS));
    }
    let mut events = channel
        .iter_events_with(command.channel.as_str(), options)
        .await?;
    let mut acks = FuturesUnordered::new();
    let mut printed = 0;
    let ended = loop {
        if command.count.is_some_and(|count| printed >= count) {
            break Ok(());
        }
        tokio::select! {
            biased;
            () = stop.closed() => break Ok(()),
            Some(ack) = acks.next(), if !acks.is_empty() => check_ack(ack)?,
            event = within(command.timeout, events.next()), if acks.len() < ACKS => match event {
                Err(Ended::TimedOut | Ended::Closed) => break Ok(()),
                Ok(Ok(message)) => {
                    if let Err(failure) = print(&message) {
                        break Err(failure);
                    }
                    printed += 1;
                    if !command.no_ack {
                        acks.push(channel.ack(Target::from(&message)));
                    }
                }
                Ok(Err(error)) if error.stream_continues() => tracing::warn!(%error, "listening goes on"),
                Ok(Err(error)) => break Err(error.into()),
            }
        }
    };
    drop(events);
    while let Some(ack) = acks.next().await {
        check_ack(ack)?;
    }
    ended
}

/// The next event, unless none comes in time.
async fn within(
    timeout: Option<Duration>,
    next: impl Future<Output = Option<event_channels::Result<EventMessage>>>,
) -> Result<event_channels::Result<EventMessage>, Ended> {
    let event = match timeout {
        None => next.await,
        Some(time) => tokio::time::timeout(time, next)
            .await
            .map_err(|_| Ended::TimedOut)?,
    };
    event.ok_or(Ended::Closed)
}

/// An event that was printed and taken by somebody else meanwhile is printed again by them: that
/// is said, and is no failure of at-least-once delivery.
fn check_ack(ack: event_channels::Result<Settled>) -> Done {
    match ack {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == event_channels::ErrorKind::HoldLost => {
            tracing::warn!(%error, "an event was printed too late");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn print(message: &EventMessage) -> Done {
    let text = serde_json::to_string(message).map_err(|e| Failure::Failed(e.to_string()))?;
    line(text)
}

/// Runs a command for each event, up to `--concurrency` at the same time.
async fn exec_events(
    channel: &EventChannel,
    command: &Listen,
    shell: String,
    stop: &Closer,
) -> Done {
    let mut options = ListenOptions::new()
        .auto_ack(true)
        .concurrency(command.concurrency.into())
        .prefetch(1)
        .on_notice(|error: &Error| tracing::warn!(%error, "listening goes on"));
    if let Some(group) = &command.group {
        options = options.group(group.as_str());
    }
    let (tell, mut told) = mpsc::unbounded_channel();
    let places = Arc::new(AtomicU64::new(command.count.unwrap_or(u64::MAX)));
    let shell: Arc<str> = shell.into();
    let handler = move |message: EventMessage| {
        let (tell, places, shell) = (tell.clone(), Arc::clone(&places), Arc::clone(&shell));
        async move {
            let place = places.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
            if place.is_err() {
                // One too many was handed over; it waits here until the listener gives it back.
                return std::future::pending().await;
            }
            let _ = tell.send(Told::Started);
            let done = match print(&message) {
                Ok(()) => run_command(&shell, &message).await,
                Err(failure) => {
                    let _ = tell.send(Told::Broken(failure));
                    return std::future::pending().await;
                }
            };
            let _ = tell.send(Told::Finished);
            done.map_err(HandlerError::new)
        }
    };
    let listener = channel
        .listen(command.channel.as_str(), options, handler)
        .await?;
    let ended = wait(&mut told, command, stop).await;
    if ended.is_ok() {
        listener.stop().await;
    }
    ended
}

/// What a handler tells.
enum Told {
    Started,
    Finished,
    Broken(Failure),
}

/// Waits until enough was handled, nothing came for too long, or somebody asked to stop.
async fn wait(told: &mut mpsc::UnboundedReceiver<Told>, command: &Listen, stop: &Closer) -> Done {
    let (mut running, mut finished) = (0_u64, 0_u64);
    loop {
        if command.count.is_some_and(|count| finished >= count) {
            return Ok(());
        }
        // A command that runs is no silence.
        let silence = command.timeout.filter(|_| running == 0);
        let quiet = async {
            match silence {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.closed() => return Ok(()),
            () = quiet => return Ok(()),
            word = told.recv() => match word {
                Some(Told::Started) => running += 1,
                Some(Told::Finished) => {
                    running -= 1;
                    finished += 1;
                }
                Some(Told::Broken(failure)) => return Err(failure),
                None => return Ok(()),
            }
        }
    }
}
