//! The queue itself: made, dropped, and shown as what would be run.

use events_core::{Error, Op, Result};
use events_migrations::{AqKind, AqQueue, Direction};
use events_oracle_session::Session;

use crate::config::{AqConfig, Flavour};
use crate::queue::QueueName;

/// Makes the queue and starts it, if it is not there, and grants it; Oracle's packages commit by
/// themselves.
///
/// # Errors
/// `InvalidConfig` for a template or a grantee that is no name, `NotConfigured` or `Permission`
/// without the grants, and those of the login.
pub fn up(config: &AqConfig) -> Result<()> {
    run(config, Direction::Up)
}

/// Drops the queue with everything in it, if it is there.
///
/// # Errors
/// As [`up`].
pub fn down(config: &AqConfig) -> Result<()> {
    run(config, Direction::Down)
}

/// What [`up`] or [`down`] would run.
///
/// # Errors
/// `InvalidConfig` for a template or a grantee that is no name.
pub fn dry_run(config: &AqConfig, direction: Direction) -> Result<String> {
    block(config, direction)
}

fn connect(config: &AqConfig) -> Result<Session> {
    Session::connect(&config.server, config.flavour.name(), Some(config.timeout))
}

fn run(config: &AqConfig, direction: Direction) -> Result<()> {
    let session = connect(config)?;
    let text = block(config, direction)?;
    // The slash is for SQL*Plus, not for the server.
    for block in text.split("\n/\n").filter(|block| !block.trim().is_empty()) {
        session.execute(Op::Migrate, block, &[])?;
    }
    Ok(())
}

/// What makes and drops the queue, as files: names and contents. No server is asked.
///
/// # Errors
/// `InvalidConfig` for a template or a grantee that is no name.
pub fn files(config: &AqConfig) -> Result<Vec<(String, String)>> {
    queue(config)?.files(&config.grantees)
}

fn queue(config: &AqConfig) -> Result<AqQueue> {
    if QueueName::parse(&config.queue)?.is_template() {
        return Err(Error::invalid_config(format!(
            "aq_queue is {:?}: each channel has a queue of its own; make them one by one, with aq_queue set to the name of each",
            config.queue
        )));
    }
    let kind = match config.flavour {
        Flavour::Aq => AqKind::Classic,
        Flavour::TxEventQ => AqKind::TxEventQ,
    };
    let mut queue = AqQueue::new(kind, &config.queue)?;
    queue.multiple_consumers = config.groups;
    queue.max_retries = config.max_attempts;
    Ok(queue)
}

fn block(config: &AqConfig, direction: Direction) -> Result<String> {
    let queue = queue(config)?;
    match direction {
        Direction::Up => {
            let grants = config.grantees.iter().map(|user| queue.grant(user));
            Ok(queue.up() + &grants.collect::<Result<String>>()?)
        }
        Direction::Down => Ok(queue.down()),
    }
}
