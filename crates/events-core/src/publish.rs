//! What a publisher hands in: an event and its options.

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;

use crate::payload::encode_metadata;
use crate::{
    Capabilities, ChannelName, Error, ErrorKind, EventId, Metadata, Op, Payload, Result,
    TraceParent, trace_parent,
};

/// How an event is published; everything is optional.
///
/// ```
/// use std::time::Duration;
/// use events_core::PublishOptions;
/// use serde_json::json;
///
/// let options = PublishOptions::new()
///     .metadata(json!({"source": "billing"}))
///     .delay(Duration::from_secs(60))
///     .priority(5);
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct PublishOptions {
    pub(crate) metadata: Option<Result<Payload>>,
    pub(crate) delay: Option<Duration>,
    pub(crate) priority: i16,
    pub(crate) expires_in: Option<Duration>,
    pub(crate) event_id: Option<EventId>,
    pub(crate) traceparent: Option<TraceParent>,
}

impl PublishOptions {
    /// No options: deliver now, priority 0, never expires, a generated id.
    pub fn new() -> Self {
        Self::default()
    }

    /// A JSON object that travels beside the payload.
    pub fn metadata(mut self, metadata: impl Serialize) -> Self {
        self.metadata = Some(encode_metadata(&metadata));
        self
    }

    /// Not delivered before this much time has passed.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Higher is delivered first; the default is 0.
    pub fn priority(mut self, priority: i16) -> Self {
        self.priority = priority;
        self
    }

    /// Not delivered after this much time has passed; it becomes a dead letter with reason
    /// `expired`.
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.expires_in = Some(time);
        self
    }

    /// An id of your own: publishing the same id again stores nothing and returns it.
    pub fn event_id(mut self, id: EventId) -> Self {
        self.event_id = Some(id);
        self
    }

    /// The trace that publishes it; travels in the metadata, in place of one that is there.
    pub fn traceparent(mut self, here: TraceParent) -> Self {
        self.traceparent = Some(here);
        self
    }
}

/// An event to publish: channel, payload, options.
///
/// Building one never fails; a bad name or payload is reported by the call that publishes it.
#[derive(Debug, Clone)]
#[must_use]
pub struct NewEvent {
    channel: Result<ChannelName>,
    payload: Result<Payload>,
    options: PublishOptions,
}

impl NewEvent {
    /// An event with a payload that serde can write as JSON.
    pub fn new<C>(channel: C, payload: impl Serialize) -> Self
    where
        C: TryInto<ChannelName>,
        Error: From<C::Error>,
    {
        Self::with_payload(channel, Payload::encode(&payload))
    }

    /// An event whose payload is JSON text already.
    pub fn from_json<C>(channel: C, text: impl Into<String>) -> Self
    where
        C: TryInto<ChannelName>,
        Error: From<C::Error>,
    {
        Self::with_payload(channel, Payload::from_text(text))
    }

    fn with_payload<C>(channel: C, payload: Result<Payload>) -> Self
    where
        C: TryInto<ChannelName>,
        Error: From<C::Error>,
    {
        let channel = channel
            .try_into()
            .map_err(|e| Error::from(e).during(Op::Publish));
        Self {
            channel,
            payload,
            options: PublishOptions::default(),
        }
    }

    /// The same event with these options.
    pub fn options(mut self, options: PublishOptions) -> Self {
        self.options = options;
        self
    }

    /// The channel that all of these go to.
    pub(crate) fn common_channel(events: &[Self]) -> Option<&ChannelName> {
        let first = events.first()?.channel.as_ref().ok()?;
        let same = |event: &Self| event.channel.as_ref().is_ok_and(|channel| channel == first);
        events.iter().all(same).then_some(first)
    }

    /// Refuses what a backend with these capabilities cannot honour, so that no option is ignored.
    ///
    /// # Errors
    /// `Unsupported` that names the option; `InvalidInput` for a channel name that is longer than
    /// the backend allows. Other broken rules are left to [`NewEvent::into_parts`].
    pub fn check_supported(&self, capabilities: &Capabilities) -> Result<()> {
        let options = &self.options;
        let asked = [
            (
                "delay",
                options.delay.is_some_and(|d| !d.is_zero()),
                capabilities.delay,
            ),
            ("priority", options.priority != 0, capabilities.priority),
            (
                "expires_in",
                options.expires_in.is_some(),
                capabilities.expires,
            ),
            (
                "event_id",
                options.event_id.is_some(),
                capabilities.idempotent,
            ),
        ];
        if let Some((option, ..)) = asked.iter().find(|(_, asked, can)| *asked && !can) {
            return Err(
                Error::new(ErrorKind::Unsupported, Op::Publish).because(format!(
                    "this backend cannot honour {option}; leave it out or use a queue backend"
                )),
            );
        }
        match &self.channel {
            Ok(channel) => capabilities.check_name("channel", channel.as_str(), Op::Publish),
            Err(_) => Ok(()),
        }
    }

    /// The checked parts, for a backend.
    ///
    /// # Errors
    /// `InvalidInput` for the first of channel, payload, metadata that breaks a rule, and for
    /// payloads above `max_payload_bytes`.
    pub fn into_parts(self, max_payload_bytes: usize) -> Result<EventParts> {
        let channel = self.channel?;
        let payload = self.payload?;
        payload.fits(max_payload_bytes)?;
        let options = self.options;
        if let (Some(delay), Some(expires_in)) = (options.delay, options.expires_in)
            && expires_in <= delay
        {
            return Err(Error::invalid_input(
                Op::Publish,
                format!(
                    "expires_in {expires_in:?} is not longer than delay {delay:?}, so the event could never be delivered"
                ),
            ));
        }
        Ok(EventParts {
            channel,
            payload,
            metadata: with_traceparent(options.metadata.transpose()?, options.traceparent)?,
            delay: bounded("delay", options.delay)?.unwrap_or_default(),
            priority: options.priority,
            expires_in: bounded("expires_in", options.expires_in)?,
            event_id: options.event_id,
        })
    }
}

fn with_traceparent(
    metadata: Option<Payload>,
    traceparent: Option<TraceParent>,
) -> Result<Option<Payload>> {
    let Some(traceparent) = traceparent else {
        return Ok(metadata);
    };
    let mut map = match metadata {
        Some(text) => serde_json::from_str(text.text())
            .map_err(|e| Error::invalid_input(Op::Publish, "metadata is no JSON").caused_by(e))?,
        None => Metadata::new(),
    };
    map.insert(trace_parent::KEY.to_owned(), traceparent.to_string().into());
    encode_metadata(&map).map(Some)
}

/// A hundred years; more would overflow the timestamps of some databases.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

fn bounded(what: &str, time: Option<Duration>) -> Result<Option<Duration>> {
    match time {
        Some(time) if time > LONGEST => Err(Error::invalid_input(
            Op::Publish,
            Cow::from(format!("{what} {time:?} is longer than a hundred years")),
        )),
        time => Ok(time),
    }
}

/// The checked parts of a [`NewEvent`].
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are those of PublishOptions")]
pub struct EventParts {
    pub channel: ChannelName,
    pub payload: Payload,
    pub metadata: Option<Payload>,
    pub delay: Duration,
    pub priority: i16,
    pub expires_in: Option<Duration>,
    /// The caller's id; `None` asks for a generated one.
    pub event_id: Option<EventId>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const MIB: usize = 1024 * 1024;

    #[test]
    fn parts_carry_every_option() {
        let id = EventId::new();
        let options = PublishOptions::new()
            .metadata(json!({"k": 1}))
            .delay(Duration::from_secs(1))
            .priority(-3)
            .expires_in(Duration::from_secs(9))
            .event_id(id);
        let parts = NewEvent::new("orders", json!([1]))
            .options(options)
            .into_parts(MIB)
            .unwrap();
        assert_eq!(parts.channel, "orders");
        assert_eq!(parts.payload.text(), "[1]");
        assert_eq!(parts.metadata.unwrap().text(), "{\"k\":1}");
        assert_eq!(
            (parts.delay.as_secs(), parts.priority, parts.event_id),
            (1, -3, Some(id))
        );
        assert_eq!(parts.expires_in, Some(Duration::from_secs(9)));
    }

    #[test]
    fn a_traceparent_joins_the_metadata() {
        let here = TraceParent::new(1, 2, true).unwrap();
        let text = |options: PublishOptions| {
            let event = NewEvent::new("a", 1).options(options.traceparent(here));
            event.into_parts(MIB).unwrap().metadata.unwrap()
        };
        let alone = format!(r#"{{"traceparent":"{here}"}}"#);
        assert_eq!(text(PublishOptions::new()).text(), alone);
        let other = PublishOptions::new().metadata(json!({"k": 1, "traceparent": "x"}));
        let both: Value = serde_json::from_str(text(other).text()).unwrap();
        assert_eq!(both, json!({"k": 1, "traceparent": here.to_string()}));
        let large = PublishOptions::new()
            .metadata(json!({"k": "x".repeat(crate::MAX_METADATA_BYTES - 8)}))
            .traceparent(here);
        let error = NewEvent::new("a", 1).options(large).into_parts(MIB);
        assert!(error.unwrap_err().to_string().contains("metadata is"));
    }

    #[test]
    fn the_first_broken_rule_is_reported_as_a_publish_error() {
        let error = NewEvent::new("a-b", json!(1)).into_parts(MIB).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("publish failed: invalid input"),
            "{error}"
        );
        assert!(NewEvent::from_json("a", "{").into_parts(MIB).is_err());
        assert!(NewEvent::new("a", json!("xxxx")).into_parts(5).is_err());
        let never = PublishOptions::new()
            .delay(Duration::from_secs(2))
            .expires_in(Duration::from_secs(2));
        assert!(
            NewEvent::new("a", 1)
                .options(never)
                .into_parts(MIB)
                .is_err()
        );
        let eternal = PublishOptions::new().delay(Duration::MAX);
        assert!(
            NewEvent::new("a", 1)
                .options(eternal)
                .into_parts(MIB)
                .is_err()
        );
    }
}
