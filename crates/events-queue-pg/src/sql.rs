//! Every statement, with the table's name rendered in.

use events_core::TableName;

macro_rules! statements {
    ($($name:ident),* $(,)?) => {
        /// Every statement, ready to be prepared.
        #[derive(Debug, Clone)]
        pub(crate) struct Statements {
            $(pub(crate) $name: std::sync::Arc<str>,)*
        }

        impl Statements {
            pub(crate) fn new(table: &TableName) -> Self {
                Self {
                    $($name: table.render(include_str!(concat!("sql/", stringify!($name), ".sql"))).into(),)*
                }
            }

            #[cfg(test)]
            pub(crate) fn all(&self) -> Vec<(&'static str, &str)> {
                vec![$((stringify!($name), &*self.$name),)*]
            }
        }
    };
}

statements! {
    ack_delete, ack_keep, bury, bury_exhausted, bury_expired, claim, claim_alone, dead_letters,
    dead_named, dead_page, dead_queues, extend, insert, insert_any, insert_batch, insert_one, known,
    leave, levels, limits, look, notice, outlook, ping, promote, prove, purge_acked, purge_dead,
    purge_expired, purge_keys, purge_waiters, register, register_default, register_lock,
    release, requeue, retry, retry_later, settings, stats, wait, wake,
}
