//! The configuration: flag over environment over file over default.

use event_channels::{EventChannel, EventsConfig};

use crate::args::Global;
use crate::exit::{Done, Failure};

const DEFAULT_URL: &str = "sqlite:events.db";

/// What flags, environment and file say together.
pub(crate) fn config(global: &Global) -> Done<EventsConfig> {
    warn_of_password();
    let mut config = match (&global.config, &global.url) {
        (None, url) => EventsConfig::new(url.as_deref().unwrap_or(DEFAULT_URL))?,
        (Some(file), None) => EventsConfig::from_file_or(file, DEFAULT_URL)?,
        (Some(file), Some(url)) => {
            let text = std::fs::read_to_string(file).map_err(|e| {
                Failure::usage(format!("{}: the file cannot be read: {e}", file.display()))
            })?;
            EventsConfig::new(url)?.with_toml_str(&text)?
        }
    };
    if let Some(backend) = global.backend {
        config = config.backend(backend);
    }
    if let Some(table) = &global.table {
        config = config.queue_table(table);
    }
    Ok(config)
}

/// Opens the channel.
pub(crate) async fn open(global: &Global) -> Done<EventChannel> {
    Ok(config(global)?.open().await?)
}

/// Every user of the machine can read the arguments of a process.
fn warn_of_password() {
    let on_command_line = std::env::args().any(|argument| {
        let url = argument.strip_prefix("--url=").unwrap_or(&argument);
        url.split_once("://")
            .and_then(|(_, rest)| rest.split_once('@'))
            .is_some_and(|(user, _)| user.contains(':'))
    });
    if on_command_line {
        tracing::warn!(
            "the URL on the command line holds a password; EVENTS_URL or a file is safer"
        );
    }
}
