//! `events stats`: what is stored, for people or for programs.

use event_channels::{ChannelName, GroupStats, Op, Stats};

use crate::args::{self, Global};
use crate::config::open;
use crate::exit::{Done, Failure};
use crate::output::line;

pub(crate) async fn run(global: &Global, command: args::Stats) -> Done {
    // Before anything is opened, which would create the file.
    let wanted = command.channel.map(ChannelName::try_from).transpose();
    let wanted = wanted.map_err(|error| error.during(Op::Admin))?;
    let channel = open(global).await?;
    let admin = channel.admin().ok_or_else(|| {
        Failure::usage(format!(
            "backend {} stores nothing to count",
            channel.backend_name()
        ))
    })?;
    let stats = admin.stats(wanted).await?;
    channel.shutdown().await?;
    if command.json {
        return line(serde_json::to_string(&stats).map_err(|e| Failure::Failed(e.to_string()))?);
    }
    print_table(&stats)
}

/// A table for people.
pub(crate) fn print_table(stats: &[Stats]) -> Done {
    let width = stats
        .iter()
        .map(|stats| stats.channel.as_str().len())
        .max()
        .unwrap_or(0)
        .max(7);
    line(format!(
        "{:<width$}  {:<12} {:>9} {:>9} {:>9} {:>9} {:>9}  oldest",
        "channel", "group", "ready", "delayed", "leased", "acked", "dead"
    ))?;
    for channel in stats {
        for group in &channel.groups {
            let name = group.group.as_ref().map_or("-", |name| name.as_str());
            let GroupStats {
                ready,
                delayed,
                leased,
                acked,
                dead,
                oldest_ready_age,
                ..
            } = group;
            let age = oldest_ready_age.map_or_else(
                || "-".to_owned(),
                |age| format!("{:.1}s", age.as_secs_f64()),
            );
            line(format!(
                "{:<width$}  {name:<12} {ready:>9} {delayed:>9} {leased:>9} {acked:>9} {dead:>9}  {age}",
                channel.channel
            ))?;
        }
    }
    Ok(())
}
