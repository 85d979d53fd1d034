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
                Self::render(&table.without_schema())
            }

            /// The same for tables in the main database, whatever else a connection has of that
            /// name.
            pub(crate) fn in_main(table: &TableName) -> Self {
                let table = TableName::new(&format!("main.{}", table.base()));
                Self::render(&table.expect("the base was checked before"))
            }

            fn render(table: &TableName) -> Self {
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
    ack_delete, ack_keep, bury, bury_delete, channel_queues, claim, claim_alone, dead_delete, dead_ids, dead_last,
    dead_letters, dead_of_event, exhausted, expired, expired_anywhere, extend, find_queue, foreign, insert, inspect, key_forget, key_insert,
    key_pending, key_settled, oldest, outlook, ping, promote, purge_acked, purge_expired, purge_keys,
    queues, reclaim, register, release, requeue, retry, stats, take_lock, waiting,
}
