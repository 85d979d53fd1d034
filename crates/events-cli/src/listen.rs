//! `events listen`: one JSON object a line, written and flushed before the ack.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use event_channels::{
    ChannelName, Closer, Error, EventChannel, EventMessage, GroupName, HandlerError, HandlerResult,
    IterOptions, ListenOptions, Listener, Op, Settled, Target,
};
use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{mpsc, watch};

use crate::args::{Global, Listen};
use crate::config::open;
use crate::exec::run_command;
use crate::exit::{Done, Failure};
use crate::output::line;
use crate::signals::{self, Stop};

/// Acks that may be under way while further events are printed.
const ACKS: usize = 128;

pub(crate) async fn run(global: &Global, command: Listen) -> Done {
    // Before anything is opened, which would create the file.
    let asked = |error: Error| error.during(Op::Listen);
    ChannelName::new(&command.channel).map_err(asked)?;
    let group = command.group.as_ref().map(GroupName::new).transpose();
    group.map_err(asked)?;
    let channel = open(global).await?;
    let stop = signals::take()?;
    let done = match &command.exec {
        None => print_events(&channel, &command, &stop.drain).await,
        Some(shell) => exec_events(&channel, &command, shell, &stop).await,
    };
    channel.shutdown().await?;
    if stop.now.is_closed() {
        // The second signal is about to end the process, with its own code.
        std::future::pending::<()>().await;
    }
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
///
/// Each hand is a listener that handles one event at a time and has a place for it. Before it may
/// take another it needs another place, so no more than `--count` are ever handed over and nothing
/// waits for the drain deadline.
async fn exec_events(channel: &EventChannel, command: &Listen, shell: &str, stop: &Stop) -> Done {
    let count = command.count.unwrap_or(u64::MAX);
    let hands = count.min(command.concurrency.into());
    let (tell, mut told) = mpsc::unbounded_channel();
    let work = Arc::new(Work {
        shell: shell.to_owned(),
        now: stop.now.clone(),
        places: AtomicU64::new(count - hands),
        tell,
    });
    let mut listeners = Vec::new();
    for _ in 0..hands {
        let mut options = ListenOptions::new()
            .auto_ack(true)
            .concurrency(1)
            .prefetch(1)
            .on_notice(|error: &Error| tracing::warn!(%error, "listening goes on"));
        if let Some(group) = &command.group {
            options = options.group(group.as_str());
        }
        let (itself, known) = watch::channel(None::<Listener>);
        let work = Arc::clone(&work);
        let handler = move |message: EventMessage| {
            let (work, mut known) = (Arc::clone(&work), known.clone());
            async move {
                // It is told right after it was made.
                let itself = known.wait_for(Option::is_some).await?.clone();
                let turn = Turn::begin(work, itself);
                turn.handle(&message).await
            }
        };
        let listener = channel
            .listen(command.channel.as_str(), options, handler)
            .await?;
        itself.send_replace(Some(listener.clone()));
        listeners.push(listener);
    }
    let ended = wait(&mut told, command, &stop.drain).await;
    futures_util::future::join_all(listeners.iter().map(Listener::stop)).await;
    ended
}

/// What the hands share.
struct Work {
    shell: String,
    now: Closer,
    /// How many more events may be taken, those that each hand has a place for not counted.
    places: AtomicU64,
    tell: mpsc::UnboundedSender<Told>,
}

/// An event in a hand, however its handling ends.
struct Turn {
    work: Arc<Work>,
    hand: Option<Listener>,
}

impl Turn {
    fn begin(work: Arc<Work>, hand: Option<Listener>) -> Self {
        let _ = work.tell.send(Told::Started);
        Self { work, hand }
    }

    async fn handle(&self, message: &EventMessage) -> HandlerResult {
        if let Err(failure) = print(message) {
            self.work.places.store(0, Ordering::SeqCst);
            let _ = self.work.tell.send(Told::Broken(failure));
            // A handler cannot give an event back untouched, so this attempt counts.
            let error = HandlerError::new("standard output was closed");
            return Err(error.retry_after(Duration::ZERO));
        }
        let ran = run_command(&self.work.shell, message, &self.work.now).await;
        ran.map_err(|error| {
            tracing::warn!(event_id = %message.event_id, %error, "not acknowledged");
            HandlerError::new(error)
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let places = &self.work.places;
        let next = places.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        });
        if let (Err(_), Some(hand)) = (next, &self.hand) {
            // Polled once, which asks; waiting for itself it could not.
            let _ = hand.stop().now_or_never();
        }
        let _ = self.work.tell.send(Told::Finished);
    }
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
