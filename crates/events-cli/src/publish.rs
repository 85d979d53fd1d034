//! `events publish`: one event, or JSON Lines; ids in input order, each as soon as it is durable.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::Poll;

use event_channels::{
    ChannelName, ErrorKind, EventChannel, EventId, NewEvent, PublishOptions, Result,
};
use indicatif::ProgressBar;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use crate::args::{Global, Publish};
use crate::config::open;
use crate::exit::{Done, Failure};
use crate::output::line;
use crate::progress;

/// Publishes that may be under way at once: group commit makes one flush of them.
const WINDOW: usize = 256;
/// The longest line; a payload cannot be larger.
const MAX_LINE_BYTES: usize = 20 * 1024 * 1024;

type Publishing<'a> = Pin<Box<dyn Future<Output = Result<Vec<EventId>>> + Send + 'a>>;

/// A publish that is under way, and the numbers of its first and last line.
type UnderWay<'a> = VecDeque<(u64, u64, Publishing<'a>)>;

pub(crate) async fn run(global: &Global, command: Publish) -> Done {
    let options = options(&command)?;
    // A bad event is refused before a database is opened, or made, for it.
    let single = match &command.json {
        Some(json) => {
            let event =
                NewEvent::from_json(command.channel.as_str(), json).options(options.clone());
            event
                .clone()
                .into_parts(event_channels::MAX_PAYLOAD_BYTES)?;
            Some(event)
        }
        None => {
            ChannelName::new(&command.channel)?;
            None
        }
    };
    let channel = open(global).await?;
    let done = match single {
        Some(event) => publish_one(&channel, event).await,
        None => publish_lines(&channel, &command, &options).await,
    };
    channel.shutdown().await?;
    match done {
        // Unlike a listener's, this output is an account of what was stored.
        Err(Failure::NobodyListens) => Err(Failure::Failed(
            "standard output was closed; what was printed is stored, later lines may not be"
                .to_owned(),
        )),
        done => done,
    }
}

async fn publish_one(channel: &EventChannel, event: NewEvent) -> Done {
    line(channel.publish_event(event).await?)
}

fn options(command: &Publish) -> Done<PublishOptions> {
    let mut options = PublishOptions::new().priority(command.priority);
    if let Some(delay) = command.delay {
        options = options.delay(delay);
    }
    if let Some(time) = command.expires_in {
        options = options.expires_in(time);
    }
    if let Some(id) = &command.event_id {
        options = options.event_id(EventId::parse(id)?);
    }
    if let Some(text) = &command.metadata {
        let metadata: serde_json::Value = serde_json::from_str(text).map_err(|e| {
            Failure::usage(format!(
                "--metadata is no JSON: line {} column {}",
                e.line(),
                e.column()
            ))
        })?;
        options = options.metadata(metadata);
    }
    Ok(options)
}

/// Reads, publishes and prints at the same time; a bad line ends it after everything before it.
async fn publish_lines(
    channel: &EventChannel,
    command: &Publish,
    options: &PublishOptions,
) -> Done {
    let batch = command.batch.map_or(1, |n| n as usize);
    let mut input = BufReader::new(tokio::io::stdin());
    let mut under_way = UnderWay::new();
    let mut waiting: Vec<NewEvent> = Vec::new();
    let mut numbers = 0_u64;
    let mut first = 1;
    let bar = progress::count(None, "published");
    let ended = loop {
        // While nothing can be read, ids are printed as they become durable.
        let mut reading = std::pin::pin!(read_line(&mut input));
        let read = loop {
            tokio::select! {
                biased;
                ids = next_ids(&mut under_way), if !under_way.is_empty() => print_ids(&ids?, &bar)?,
                read = &mut reading => break read,
            }
        };
        numbers += 1;
        let bytes = match read {
            Ok(Some(bytes)) => bytes,
            Ok(None) => break Ok(()),
            Err(Failure::Failed(rule)) => {
                break Err(Failure::Failed(format!("line {numbers}: {rule}")));
            }
            Err(failure) => break Err(failure),
        };
        if waiting.is_empty() {
            first = numbers;
        }
        match event(command, options, &bytes) {
            Ok(None) => {}
            Ok(Some(event)) => waiting.push(event),
            Err(reason) => break Err(Failure::Failed(format!("line {numbers}: {reason}"))),
        }
        if waiting.len() >= batch {
            let batch = start(channel, std::mem::take(&mut waiting)).await;
            under_way.push_back((first, numbers, batch));
        }
        while under_way.len() >= WINDOW {
            print_ids(&next_ids(&mut under_way).await?, &bar)?;
        }
    };
    // A batch is all or none, so one that a bad line cut short is not published.
    if ended.is_ok() && !waiting.is_empty() {
        // The last number is that of the end of the input.
        under_way.push_back((first, numbers - 1, start(channel, waiting).await));
    }
    while !under_way.is_empty() {
        print_ids(&next_ids(&mut under_way).await?, &bar)?;
    }
    bar.finish_and_clear();
    ended
}

/// A line; `None` at the end of the input.
async fn read_line(input: &mut (impl AsyncBufRead + Unpin)) -> Done<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let limit = MAX_LINE_BYTES as u64 + 1;
    let read = input.take(limit).read_until(b'\n', &mut bytes).await?;
    if bytes.len() > MAX_LINE_BYTES {
        return Err(Failure::Failed(format!(
            "a line is longer than {MAX_LINE_BYTES} bytes"
        )));
    }
    Ok((read > 0).then_some(bytes))
}

/// The event of a line, checked now so that a bad one is told by its number; blank lines are
/// passed over.
fn event(
    command: &Publish,
    options: &PublishOptions,
    bytes: &[u8],
) -> Result<Option<NewEvent>, String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| "not UTF-8".to_owned())?
        .trim();
    if text.is_empty() {
        return Ok(None);
    }
    let event = NewEvent::from_json(command.channel.as_str(), text).options(options.clone());
    let checked = event.clone().into_parts(event_channels::MAX_PAYLOAD_BYTES);
    checked.map_err(|e| e.detail().unwrap_or("refused").to_owned())?;
    Ok(Some(event))
}

/// Starts a publish; it goes on while others are read. Being polled once puts it into the writer's
/// queue, so events are stored in the order of the input.
async fn start(channel: &EventChannel, events: Vec<NewEvent>) -> Publishing<'_> {
    let mut publishing: Publishing<'_> = Box::pin(channel.publish_many(events));
    match std::future::poll_fn(|cx| Poll::Ready(publishing.as_mut().poll(cx))).await {
        Poll::Ready(ids) => Box::pin(std::future::ready(ids)),
        Poll::Pending => publishing,
    }
}

/// The ids of the oldest publish. What the library refuses is the fault of a line, not of an
/// argument: those were checked before.
async fn next_ids(under_way: &mut UnderWay<'_>) -> Done<Vec<EventId>> {
    let Some((first, last, publishing)) = under_way.front_mut() else {
        return Ok(Vec::new());
    };
    let (first, last, ids) = (*first, *last, publishing.await);
    under_way.pop_front();
    ids.map_err(|error| match error.kind() {
        ErrorKind::InvalidInput if first == last => {
            Failure::Failed(format!("line {first}: {error}"))
        }
        ErrorKind::InvalidInput => Failure::Failed(format!("lines {first} to {last}: {error}")),
        _ => error.into(),
    })
}

fn print_ids(ids: &[EventId], bar: &ProgressBar) -> Done {
    for id in ids {
        line(id)?;
        bar.inc(1);
    }
    Ok(())
}
