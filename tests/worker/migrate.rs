//! Migrates up or down, once it is told to.

use event_channels::{Closer, EventsConfig, Result};

use crate::order::Migrate;
use crate::say;

pub(crate) fn run(order: &Migrate, go: &Closer) -> Result<()> {
    let config = EventsConfig::new(&*order.url)?;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    say("ready");
    go.wait_closed();
    let ids = if order.down {
        runtime.block_on(config.migrate_down())?
    } else {
        runtime.block_on(config.migrate_up())?
    };
    say(&format!("migrated {}", ids.len()));
    Ok(())
}
