//! SQL from tests, async or not.

use tokio_postgres::{NoTls, SimpleQueryMessage};

/// The rows of the last statement, as text.
pub type Rows = Vec<Vec<Option<String>>>;

/// Runs statements as the administrator of a test database, on a thread and connection of its own,
/// so that any test may call it.
///
/// # Panics
/// When the server cannot be reached or refuses a statement.
pub fn query(url: &str, sql: &str) -> Rows {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime can be made");
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            let connection = tokio::spawn(connection);
            let messages = client.simple_query(sql).await?;
            drop(client);
            let _ = connection.await;
            Ok::<_, tokio_postgres::Error>(messages)
        })
    };
    let answer = std::thread::scope(|scope| scope.spawn(run).join());
    let messages = answer
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        .unwrap_or_else(|error| panic!("{sql:?} failed: {error}: {error:?}"));
    let mut rows = Rows::new();
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(_) => rows.clear(),
            SimpleQueryMessage::Row(row) => rows.push(
                (0..row.len())
                    .map(|at| row.get(at).map(str::to_owned))
                    .collect(),
            ),
            _ => {}
        }
    }
    rows
}
