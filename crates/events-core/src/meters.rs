//! The meters of a backend, one for each channel, made once.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::ChannelName;
use crate::telemetry::{Meter, Telemetry};

/// Meters by channel. Making one is work, using it is not.
#[derive(Debug)]
pub struct Meters {
    telemetry: Arc<Telemetry>,
    backend: &'static str,
    channels: RwLock<HashMap<ChannelName, Arc<Meter>>>,
}

impl Meters {
    /// Those of one backend.
    #[must_use]
    pub fn new(telemetry: Arc<Telemetry>, backend: &'static str) -> Self {
        Self {
            telemetry,
            backend,
            channels: RwLock::default(),
        }
    }

    /// That of a channel, of no group.
    #[must_use]
    pub fn of(&self, channel: &ChannelName) -> Arc<Meter> {
        let known = self.channels.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(meter) = known.get(channel) {
            return Arc::clone(meter);
        }
        drop(known);
        let meter = Arc::new(self.telemetry.channel(self.backend, channel, None));
        let mut channels = self
            .channels
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(channels.entry(channel.clone()).or_insert(meter))
    }

    /// That of the backend, of no channel.
    #[must_use]
    pub fn of_backend(&self) -> Meter {
        self.telemetry.backend(self.backend)
    }
}
