//! Every statement, and the parameters that no log may show.

use std::fmt;

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

pub(crate) const LISTENING: &str = include_str!("sql/listening.sql");
pub(crate) const NOTIFY: &str = include_str!("sql/notify.sql");
pub(crate) const NOTIFY_CHANNEL: &str = include_str!("sql/notify_channel.sql");
pub(crate) const NOTIFY_MANY: &str = include_str!("sql/notify_many.sql");
pub(crate) const NOTIFY_SPILLED: &str = include_str!("sql/notify_spilled.sql");
pub(crate) const PING: &str = include_str!("sql/ping.sql");
pub(crate) const SESSION: &str = include_str!("sql/session.sql");
pub(crate) const SPILL_CLEAN: &str = include_str!("sql/spill_clean.sql");
pub(crate) const SPILL_FETCH: &str = include_str!("sql/spill_fetch.sql");

/// A parameter that is bound and never shown: the driver logs the `Debug` of parameters.
pub(crate) struct Hidden<T>(pub(crate) T);

impl<T> fmt::Debug for Hidden<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl<T: ToSql> ToSql for Hidden<T> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.0.to_sql(ty, out)
    }

    fn accepts(ty: &Type) -> bool {
        T::accepts(ty)
    }

    to_sql_checked!();
}
