//! The configuration: flag over environment over file over default.

use event_channels::{EventChannel, EventsConfig};

use crate::args::Global;
use crate::exit::{Done, Failure};

const DEFAULT_URL: &str = "sqlite:events.db";

/// What flags, environment and file say together.
pub(crate) fn config(global: &Global) -> Done<EventsConfig> {
    warn_of_password(global);
    let mut config = match (&global.config, &global.url) {
        (None, url) => EventsConfig::new(url.as_deref().unwrap_or(DEFAULT_URL))?,
        (Some(file), None) => EventsConfig::from_file_or(file, DEFAULT_URL)?,
        (Some(file), Some(url)) => {
            let text = std::fs::read_to_string(file).map_err(|e| {
                Failure::usage(format!("{}: the file cannot be read: {e}", file.display()))
            })?;
            EventsConfig::new(url)?
                .with_toml_str(&text)
                .map_err(|e| Failure::usage(format!("{}: {e}", file.display())))?
        }
    };
    if let Some(backend) = global.backend {
        config = config.backend(backend);
    }
    if let Some(url) = &global.direct_url {
        config = config.direct_url(url)?;
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
fn warn_of_password(global: &Global) {
    let urls = [
        ("--url", "EVENTS_URL", &global.url),
        ("--direct-url", "EVENTS_DIRECT_URL", &global.direct_url),
    ];
    for (flag, variable, url) in urls {
        let Some(url) = url.as_deref().filter(|url| has_password(url)) else {
            continue;
        };
        let given = std::env::args_os().any(|argument| {
            let text = argument.to_str().unwrap_or_default();
            text == url
                || text
                    .strip_prefix(flag)
                    .is_some_and(|rest| rest.strip_prefix('=') == Some(url))
        });
        if given {
            tracing::warn!(
                "the URL of {flag} on the command line holds a password; {variable} or a file is safer"
            );
        }
    }
}

fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let login = rest.rsplit_once('@').map_or("", |(login, _)| login);
    login.contains(':') || rest.contains("?password=") || rest.contains("&password=")
}
