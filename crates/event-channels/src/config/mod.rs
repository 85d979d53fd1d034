//! Configuration: by builder, from a TOML file, through serde, or from a URL alone.

mod builder;
mod choice;
mod duration;
mod file;
mod keys;
mod resolve;
mod retired;
mod settings;
mod url;
mod values;

pub use choice::{AqVisibility, BackendKind, Fallback};
pub use duration::parse_duration;
pub use keys::{OPTIONS, OptionDoc};
pub(crate) use resolve::resolve;
pub use settings::EventsConfig;
pub(crate) use url::Database;
#[cfg(any(feature = "pg-native", feature = "queue-pg"))]
pub(crate) use url::{Server, Way};
