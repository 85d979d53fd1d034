//! What is asked on one connection: each a transaction of its own.

use deadpool_postgres::Object;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

/// The values of a statement.
pub(crate) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];
/// The values of a statement that is not prepared, with their types.
pub(crate) type TypedValues<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

type Answer<T> = std::result::Result<T, tokio_postgres::Error>;

/// Something that can be asked, and asked again when it was undone.
pub(crate) trait Ask: Sync {
    type Answer: Send;

    fn ask(&self, on: &mut Object) -> impl Future<Output = Answer<Self::Answer>> + Send;
}

/// The rows of one statement.
pub(crate) struct Rows<'a>(pub(crate) &'a str, pub(crate) Values<'a>);

impl Ask for Rows<'_> {
    type Answer = Vec<Row>;

    async fn ask(&self, on: &mut Object) -> Answer<Vec<Row>> {
        let statement = on.prepare_cached(self.0).await?;
        on.query(&statement, self.1).await
    }
}

/// How many rows one statement changed.
pub(crate) struct Changed<'a>(pub(crate) &'a str, pub(crate) Values<'a>);

impl Ask for Changed<'_> {
    type Answer = u64;

    async fn ask(&self, on: &mut Object) -> Answer<u64> {
        let statement = on.prepare_cached(self.0).await?;
        on.execute(&statement, self.1).await
    }
}

/// The rows of one statement, on a connection on which nothing may be prepared.
pub(crate) struct Unprepared<'a>(pub(crate) &'a str, pub(crate) TypedValues<'a>);

impl Ask for Unprepared<'_> {
    type Answer = Vec<Row>;

    async fn ask(&self, on: &mut Object) -> Answer<Vec<Row>> {
        on.query_typed(self.0, self.1).await
    }
}

/// The rows of each of several statements, in one transaction.
pub(crate) struct Several<'a>(pub(crate) &'a [(&'a str, Vec<&'a (dyn ToSql + Sync)>)]);

impl Ask for Several<'_> {
    type Answer = Vec<Vec<Row>>;

    async fn ask(&self, on: &mut Object) -> Answer<Vec<Vec<Row>>> {
        let transaction = on.transaction().await?;
        let mut answers = Vec::with_capacity(self.0.len());
        for (sql, values) in self.0 {
            let statement = transaction.prepare_cached(sql).await?;
            answers.push(transaction.query(&statement, values).await?);
        }
        transaction.commit().await?;
        Ok(answers)
    }
}
