//! A worker in async code.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use event_channels::{
    Closer, EventChannel, EventMessage, HandlerError, ListenOptions, Result, RetryAfter,
};
use events_testkit::history::{Held, Recorder, Verdict};
use tokio::task::JoinSet;

use crate::order::{CHANNEL, Consume, Publish, Work};
use crate::steps::{Batches, Once, Progress, die_of};

pub(crate) fn run(work: &Work, stop: &Closer) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    runtime.block_on(run_tasks(work, stop))
}

async fn run_tasks(work: &Work, stop: &Closer) -> Result<()> {
    let recorder = Arc::new(work.recorder());
    let channel = work.config()?.open().await?;
    let mut tasks = JoinSet::new();
    for (number, order) in (0..).zip(work.consume.clone()) {
        let worker = (channel.clone(), Arc::clone(&recorder), stop.clone());
        if order.listen {
            tasks.spawn(listen(worker, number, order));
        } else {
            tasks.spawn(consume(worker, number, order));
        }
    }
    for (number, order) in work.publish.clone().into_iter().enumerate() {
        let worker = (channel.clone(), Arc::clone(&recorder), stop.clone());
        tasks.spawn(publish(worker, work.name.clone(), number, order));
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no task panics")?;
    }
    channel.shutdown().await?;
    recorder.ended();
    Ok(())
}

type Worker = (EventChannel, Arc<Recorder>, Closer);

async fn publish(worker: Worker, name: String, number: usize, order: Publish) -> Result<()> {
    let (channel, recorder, stop) = worker;
    let mut progress = Progress::default();
    for (sent, events) in Batches::new(&name, number, &order) {
        if stop.is_closed() {
            return Ok(());
        }
        let call = recorder.publishing(CHANNEL, sent);
        let answer = channel.publish_many(events).await;
        recorder.published(call, &answer);
        match answer {
            Ok(_) => progress.published(),
            Err(error) if error.is_retryable() => progress.refused(),
            Err(error) => return Err(error),
        }
        if !order.pause.is_zero() {
            tokio::time::sleep(order.pause).await;
        }
    }
    crate::say("finished");
    Ok(())
}

async fn consume(worker: Worker, number: u32, order: Consume) -> Result<()> {
    let (channel, recorder, stop) = worker;
    let mut events = channel.iter_events(CHANNEL).await?;
    let closer = events.closer();
    let closing = tokio::spawn(async move {
        stop.closed().await;
        closer.close();
    });
    let mut first = Once::default();
    for n in 0.. {
        let call = recorder.receiving(number, CHANNEL, None);
        let answer = events.next().await;
        let held = recorder.received(call, answer.as_ref());
        match answer {
            None => break,
            Some(Ok(message)) => {
                die_of(&message);
                if !order.takes.is_zero() {
                    tokio::time::sleep(order.takes).await;
                }
                settle(&channel, &recorder, held, &message, order.nacks(n)).await?;
                first.say("received");
            }
            Some(Err(error)) if error.stream_continues() => {}
            Some(Err(error)) => return Err(error),
        }
    }
    closing.abort();
    Ok(())
}

async fn listen(worker: Worker, number: u32, order: Consume) -> Result<()> {
    let (channel, recorder, stop) = worker;
    let options = ListenOptions::new().auto_ack(false);
    let (seen, inside) = (Arc::new(AtomicU64::new(0)), channel.clone());
    let handler = move |message: EventMessage| {
        let (channel, recorder, seen) = (inside.clone(), Arc::clone(&recorder), Arc::clone(&seen));
        let order = order.clone();
        async move {
            // A handler is not asked before it is handed an event.
            let call = recorder.receiving(number, CHANNEL, None);
            let held = recorder.received(call, Some(&Ok(message.clone())));
            die_of(&message);
            let n = seen.fetch_add(1, Ordering::Relaxed);
            let done = settle(&channel, &recorder, held, &message, order.nacks(n)).await;
            if n == 0 {
                crate::say("received");
            }
            done.map_err(HandlerError::from)
        }
    };
    let listener = channel.listen(CHANNEL, options, handler).await?;
    stop.closed().await;
    listener.stop().await;
    Ok(())
}

async fn settle(
    channel: &EventChannel,
    recorder: &Recorder,
    held: Held,
    message: &EventMessage,
    nack: bool,
) -> Result<()> {
    let verdict = if nack { Verdict::Nack } else { Verdict::Ack };
    let call = recorder.settling(held, verdict);
    let answer = if nack {
        channel
            .nack(message, RetryAfter::Delay(Duration::ZERO))
            .await
    } else {
        channel.ack(message).await
    };
    recorder.settled(call, &answer);
    match answer {
        // Whoever holds it now will settle it, or it comes back.
        Err(error)
            if error.kind() == event_channels::ErrorKind::HoldLost || error.is_retryable() =>
        {
            Ok(())
        }
        answer => answer.map(drop),
    }
}
