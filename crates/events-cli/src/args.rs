//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use event_channels::BackendKind;

/// Event channels over the database you already have.
#[derive(Debug, Parser)]
#[command(name = "events", version, max_term_width = 100)]
#[command(after_help = "Examples:
  events demo
  events publish orders '{\"id\": 1}'
  cat orders.jsonl | events publish orders --batch 100
  events listen orders --timeout 5s
  events listen orders --exec './handle-order' --concurrency 4
  events --url sqlite:app.db migrate status

Exit codes: 0 done (also when --count, --timeout or a signal ended `listen`), 1 failed,
2 usage or configuration, 3 tables missing or too new, 4 database unreachable or refused.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the database is; a flag wins over the environment, that over the file.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Database URL: sqlite:path, sqlite::memory: or postgres://user@host/database [default: sqlite:events.db]
    #[arg(long, global = true, env = "EVENTS_URL", hide_env_values = true)]
    pub(crate) url: Option<String>,
    /// poll_queue, notify, notify_queue, aq or txeventq [default: what suits the database]
    #[arg(long, global = true, env = "EVENTS_BACKEND", hide_env_values = true, value_parser = backend)]
    pub(crate) backend: Option<BackendKind>,
    /// URL for LISTEN on PostgreSQL, past a proxy that pools by transaction [default: --url]
    #[arg(
        long,
        global = true,
        env = "EVENTS_DIRECT_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub(crate) direct_url: Option<String>,
    /// Queue table [default: sqlspec_event_queue]
    #[arg(long, global = true, env = "EVENTS_TABLE", hide_env_values = true)]
    pub(crate) table: Option<String>,
    /// TOML file with options, see docs/src/configuration.md
    #[arg(
        long,
        global = true,
        env = "EVENTS_CONFIG",
        hide_env_values = true,
        value_name = "FILE"
    )]
    pub(crate) config: Option<PathBuf>,
    /// Say more on standard error
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show publish, listen, a retry, a dead letter and some figures; needs nothing, leaves nothing
    Demo,
    /// Create, drop, show or export the tables
    Migrate(Migrate),
    /// Publish one event, or JSON Lines from standard input; prints ids as they become durable
    Publish(Publish),
    /// Print events as JSON, one a line, each written before it is acknowledged
    Listen(Listen),
    /// Count what is stored
    Stats(Stats),
}

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    #[command(subcommand)]
    pub(crate) action: Option<MigrateAction>,
    /// Print the SQL and change nothing
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,
    /// With aq and txeventq: leave out the table that is used where queues are missing
    #[arg(long, global = true)]
    pub(crate) no_fallback_table: bool,
    /// With aq and txeventq: lets this user publish to the queue and consume from it
    #[arg(long, global = true, value_name = "USER")]
    pub(crate) grant: Vec<String>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum MigrateAction {
    /// Create or update the tables (the default)
    Up,
    /// Drop the tables with everything in them
    Down,
    /// List the migrations and what became of them
    Status,
    /// Write the SQL as files, for another migration tool
    Export {
        /// Where the files go
        dir: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// The channel
    pub(crate) channel: String,
    /// The payload, any JSON value; without it one event a line is read from standard input
    #[arg(allow_negative_numbers = true)]
    pub(crate) json: Option<String>,
    /// Store this many lines at once, all or none
    #[arg(long, value_name = "N", conflicts_with = "json", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) batch: Option<u32>,
    /// Deliver after this time, such as 250ms, 5s or 1h
    #[arg(long, value_parser = time)]
    pub(crate) delay: Option<Duration>,
    /// Higher is delivered first
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) priority: i16,
    /// A JSON object that travels beside the payload
    #[arg(long, value_name = "JSON")]
    pub(crate) metadata: Option<String>,
    /// Make it a dead letter if it is not delivered within this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) expires_in: Option<Duration>,
    /// A UUID of your own; publishing it again stores nothing
    #[arg(long, value_name = "UUID", requires = "json")]
    pub(crate) event_id: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Listen {
    /// The channel
    pub(crate) channel: String,
    /// Leave after this many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Leave after this long without an event, such as 5s
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) timeout: Option<Duration>,
    /// The consumer group
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// How many commands of --exec run at the same time
    #[arg(long, value_name = "N", default_value_t = 1, requires = "exec", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) concurrency: u16,
    /// Acknowledge nothing: events come back when their lease ends
    #[arg(long, conflicts_with = "exec")]
    pub(crate) no_ack: bool,
    /// Run `sh -c CMD` for each event, the payload on its standard input, EVENT_ID, EVENT_CHANNEL
    /// and EVENT_ATTEMPTS set; exit 0 acknowledges, anything else has it tried again
    #[arg(long, value_name = "CMD")]
    pub(crate) exec: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// Only this channel
    pub(crate) channel: Option<String>,
    /// Print one line of JSON: channels with their groups; ages in seconds
    #[arg(long)]
    pub(crate) json: bool,
}

/// The reason alone: which argument it is about is said around it.
fn reason<T>(read: event_channels::Result<T>) -> Result<T, String> {
    read.map_err(|error| {
        error
            .detail()
            .map_or_else(|| error.to_string(), str::to_owned)
    })
}

fn time(text: &str) -> Result<Duration, String> {
    reason(event_channels::parse_duration(text))
}

fn backend(text: &str) -> Result<BackendKind, String> {
    reason(BackendKind::parse(text))
}
