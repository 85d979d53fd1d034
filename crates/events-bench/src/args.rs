//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use event_channels::{Durability, parse_duration};

use crate::case::{Api, Comparison, Effort};

/// Measures event-channels beside the raw limits of the database, in interleaved rounds.
#[derive(Debug, Parser)]
#[command(name = "events-bench", max_term_width = 100)]
pub(crate) struct Args {
    /// The database to measure
    #[arg(long, value_enum, default_value = "sqlite")]
    pub(crate) backend: Suite,
    /// Only this case; can be given more than once, and may be the beginning of a name
    #[arg(long)]
    pub(crate) case: Vec<String>,
    /// Only this API
    #[arg(long, value_enum)]
    pub(crate) api: Option<Api>,
    /// Only power (flushed) or process (not flushed)
    #[arg(long, value_parser = durability)]
    pub(crate) durability: Option<Durability>,
    /// Only payloads of this size: 110, 1024 or 8192
    #[arg(long, value_name = "BYTES")]
    pub(crate) payload: Option<usize>,
    /// Every variant, not only the usual ones
    #[arg(long)]
    pub(crate) all: bool,
    /// How often each subject is measured; the median counts
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// One JSON object a line instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Name the cases and variants, and measure nothing
    #[arg(long)]
    pub(crate) list: bool,
    /// Multiplies every number of events
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// How long 50 events a second come in the latency cases
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    latency_time: Duration,
    /// How long nothing happens in the idle case
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    idle_time: Duration,
    /// Where database files are made [default: the folder for temporary files]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Where the programs of rivals are, for the cases beside them
    #[arg(long)]
    rivals: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// A database with its cases.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Suite {
    Sqlite,
    Postgres,
    PostgresNative,
}

impl Suite {
    pub(crate) fn comparisons(self) -> Vec<Comparison> {
        match self {
            Self::Sqlite => crate::sqlite::comparisons(),
            Self::Postgres => crate::postgres::comparisons(),
            Self::PostgresNative => crate::postgres_native::comparisons(),
        }
    }
}

/// What a process is that a case starts.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Listens until its standard input ends, then prints what it was given
    #[command(hide = true)]
    Consume(Consume),
}

/// How a consumer of its own reaches the tables.
#[derive(Debug, clap::Args)]
pub(crate) struct Consume {
    pub(crate) url: String,
    pub(crate) api: Api,
    /// More options, as lines of a configuration file
    pub(crate) options: String,
}

impl Args {
    pub(crate) fn effort(&self) -> Effort {
        Effort {
            scale: self.scale,
            latency: self.latency_time,
            idle: self.idle_time,
            folder: self.dir.clone().unwrap_or_else(std::env::temp_dir),
            rivals: self.rivals.clone(),
        }
    }

    /// Whether a comparison is asked for.
    pub(crate) fn wants(&self, comparison: &Comparison) -> bool {
        let setting = &comparison.ours.setting;
        let named = self.case.is_empty()
            || self
                .case
                .iter()
                .any(|case| comparison.case.starts_with(case.as_str()));
        let narrowed = self.api.is_some() || self.durability.is_some() || self.payload.is_some();
        named
            && (comparison.standard || self.all || narrowed)
            && self.api.is_none_or(|api| api == setting.api)
            && self.durability.is_none_or(|it| it == setting.durability)
            && self.payload.is_none_or(|it| it == setting.payload_bytes)
    }
}

fn durability(text: &str) -> Result<Durability, String> {
    match text {
        "power" => Ok(Durability::Power),
        "process" => Ok(Durability::Process),
        _ => Err("expected power or process".to_owned()),
    }
}
