//! The view `AQ$<queue table>`, which shows what a queue table holds.

use events_core::{Error, ErrorKind, Op, Result};
use events_oracle_session::{Session, Value, oracle};

use crate::queue::Queue;
use crate::sql;

/// The queue to which the server moves what it gives up.
pub(crate) fn exception_queue(queue: &Queue) -> String {
    format!("AQ$_{}_E", queue.table)
}

/// Runs a query on the view of the queue's table.
pub(crate) fn look<T>(
    session: &Session,
    queue: &Queue,
    text: &str,
    binds: &[(&str, Value)],
    limit: usize,
    read: impl FnMut(&oracle::Row) -> oracle::Result<T>,
) -> Result<Vec<T>> {
    let plain = |name: &str| {
        name.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_$#".contains(&b))
    };
    if !plain(&queue.table) {
        return Err(Error::new(ErrorKind::Unsupported, Op::Admin).because(format!(
            "the queue {} is in a queue table whose name is not made of letters, digits, _, $ and #",
            queue.name
        )));
    }
    let view = match queue.parts().0 {
        Some(schema) => format!("\"{schema}\".\"AQ${}\"", queue.table),
        None => format!("\"AQ${}\"", queue.table),
    };
    let rows = session.query(
        Op::Admin,
        &text.replace(sql::VIEW, &view),
        binds,
        limit,
        read,
    );
    rows.map_err(|error| match error.kind() {
        ErrorKind::SchemaMissing => Error::new(ErrorKind::Permission, Op::Admin)
            .because(format!(
                "the view {view} is not there for this user; its owner says GRANT SELECT ON {view}"
            ))
            .caused_by(error),
        _ => error,
    })
}
