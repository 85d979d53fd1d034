//! A worker on threads that block.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use event_channels::blocking::EventChannel;
use event_channels::{
    Closer, ErrorKind, EventMessage, HandlerError, ListenOptions, Result, RetryAfter,
};
use events_testkit::history::{Held, Recorder, Verdict};

use crate::order::{CHANNEL, Consume, Publish, Work};
use crate::steps::{Batches, Once, Progress, die_of};

pub(crate) fn run(work: &Work, stop: &Closer) -> Result<()> {
    let recorder = Arc::new(work.recorder());
    let channel = EventChannel::open(work.config()?)?;
    let (tell, ends) = mpsc::channel();
    for (number, order) in (0..).zip(work.consume.clone()) {
        let worker = (channel.clone(), Arc::clone(&recorder), stop.clone());
        let run = if order.listen { listen } else { consume };
        let tell = tell.clone();
        thread::spawn(move || tell.send(run(worker, number, &order)));
    }
    for (number, order) in work.publish.clone().into_iter().enumerate() {
        let worker = (channel.clone(), Arc::clone(&recorder), stop.clone());
        let (tell, name) = (tell.clone(), work.name.clone());
        thread::spawn(move || tell.send(publish(worker, &name, number, &order)));
    }
    drop(tell);
    ends.into_iter().collect::<Result<()>>()?;
    channel.shutdown()?;
    recorder.ended();
    Ok(())
}

type Worker = (EventChannel, Arc<Recorder>, Closer);

fn publish(worker: Worker, name: &str, number: usize, order: &Publish) -> Result<()> {
    let (channel, recorder, stop) = worker;
    let mut progress = Progress::default();
    for (sent, events) in Batches::new(name, number, order) {
        if stop.is_closed() {
            return Ok(());
        }
        let call = recorder.publishing(CHANNEL, sent);
        let answer = channel.publish_many(events);
        recorder.published(call, &answer);
        match answer {
            Ok(_) => progress.published(),
            Err(error) if error.is_retryable() => progress.refused(),
            Err(error) => return Err(error),
        }
        if !order.pause.is_zero() {
            thread::sleep(order.pause);
        }
    }
    crate::say("finished");
    Ok(())
}

fn consume(worker: Worker, number: u32, order: &Consume) -> Result<()> {
    let (channel, recorder, stop) = worker;
    let mut events = channel.iter_events(CHANNEL)?;
    let closer = events.closer();
    thread::spawn(move || {
        stop.wait_closed();
        closer.close();
    });
    let mut first = Once::default();
    for n in 0.. {
        let call = recorder.receiving(number, CHANNEL, None);
        let answer = events.next();
        let held = recorder.received(call, answer.as_ref());
        match answer {
            None => break,
            Some(Ok(message)) => {
                die_of(&message);
                thread::sleep(order.takes);
                settle(&channel, &recorder, held, &message, order.nacks(n))?;
                first.say("received");
            }
            Some(Err(error)) if error.stream_continues() => {}
            Some(Err(error)) => return Err(error),
        }
    }
    Ok(())
}

fn listen(worker: Worker, number: u32, order: &Consume) -> Result<()> {
    let (channel, recorder, stop) = worker;
    let options = ListenOptions::new().auto_ack(false);
    let (seen, inside, order) = (AtomicU64::new(0), channel.clone(), order.clone());
    let handler = move |message: EventMessage| {
        // A handler is not asked before it is handed an event.
        let call = recorder.receiving(number, CHANNEL, None);
        let held = recorder.received(call, Some(&Ok(message.clone())));
        die_of(&message);
        let n = seen.fetch_add(1, Ordering::Relaxed);
        let done = settle(&inside, &recorder, held, &message, order.nacks(n));
        if n == 0 {
            crate::say("received");
        }
        done.map_err(HandlerError::from)
    };
    let listener = channel.listen(CHANNEL, options, handler)?;
    stop.wait_closed();
    listener.stop()?;
    Ok(())
}

fn settle(
    channel: &EventChannel,
    recorder: &Recorder,
    held: Held,
    message: &EventMessage,
    nack: bool,
) -> Result<()> {
    let verdict = if nack { Verdict::Nack } else { Verdict::Ack };
    let call = recorder.settling(held, verdict);
    let answer = if nack {
        channel.nack(message, RetryAfter::Delay(Duration::ZERO))
    } else {
        channel.ack(message)
    };
    recorder.settled(call, &answer);
    match answer {
        // Whoever holds it now will settle it, or it comes back.
        Err(error) if error.kind() == ErrorKind::HoldLost || error.is_retryable() => Ok(()),
        answer => answer.map(drop),
    }
}
