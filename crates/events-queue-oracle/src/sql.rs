//! Every statement, with the table's name rendered in. Each begins with a comment that names it, so
//! that a DBA finds it in the views of the server.

use events_core::TableName;

macro_rules! statements {
    ($($name:ident),* $(,)?) => {
        /// Every statement, ready to be prepared.
        #[derive(Debug, Clone)]
        pub(crate) struct Statements {
            $(pub(crate) $name: String,)*
        }

        impl Statements {
            pub(crate) fn new(table: &TableName) -> Self {
                Self {
                    $($name: table.render_folded(include_str!(concat!("sql/", stringify!($name), ".sql"))),)*
                }
            }

            #[cfg(test)]
            fn all(&self) -> Vec<(&'static str, &str)> {
                vec![$((stringify!($name), self.$name.as_str()),)*]
            }
        }
    };
}

statements! {
    ack_delete, ack_keep, bury, claim, column_store, columns, dead_hold, dead_ids, dead_letters,
    dead_remove, due, expired, expired_anywhere, extend, find_queue, hold, hold_ended, hold_expired,
    hold_foreign, identify, in_memory, insert, inspect, key_again, key_buried, key_forget, key_insert, key_settled,
    lease, ledger_forget, ledger_list, ledger_lock, ledger_record, outlook, ping, purge_acked,
    purge_expired, purge_keys, queues_of, register, release, remove_acked, remove_buried, requeue,
    retry, stats, turn,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<(&'static str, String)> {
        let statements = Statements::new(&TableName::new("app.events").unwrap());
        let own = |(name, sql): (&'static str, &str)| (name, sql.to_owned());
        statements.all().into_iter().map(own).collect()
    }

    #[test]
    fn every_file_is_a_statement_and_begins_with_its_name() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sql");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let names: Vec<String> = all()
            .iter()
            .map(|(name, _)| format!("{name}.sql"))
            .collect();
        assert_eq!(files, names);
        for (name, sql) in all() {
            assert!(
                sql.starts_with(&format!("/* events.table.{name} */\n")),
                "{sql}"
            );
        }
    }

    #[test]
    fn names_are_folded_and_none_is_the_default() {
        for (name, sql) in all() {
            assert!(!sql.contains(TableName::DEFAULT), "{name}: {sql}");
            assert!(!sql.contains("\"app\""), "{name}: {sql}");
        }
        let claim = Statements::new(&TableName::new("app.events").unwrap()).claim;
        assert!(claim.contains("FROM \"APP\".\"EVENTS\"\n"), "{claim}");
    }

    /// What Oracle refuses, or takes and does something else with, beside a lock.
    #[test]
    fn no_statement_has_what_does_not_go_with_locks_on_oracle() {
        for (name, sql) in all() {
            for word in [
                "FETCH FIRST",
                "ROWNUM",
                "LIMIT ",
                "RETURNING",
                "''",
                " AS e ",
                " AS d ",
            ] {
                assert!(!sql.contains(word), "{name} has {word}");
            }
            if sql.contains("SKIP LOCKED") {
                for word in ["DISTINCT", "GROUP BY", "COUNT(", "MIN(", "UNION", "JOIN"] {
                    assert!(!sql.contains(word), "{name} locks and has {word}");
                }
            }
        }
    }

    /// A colon or quote outside of a bind or literal may be taken for one by a client.
    #[test]
    fn comments_hold_neither_binds_nor_quotes() {
        for (name, sql) in all() {
            let comments = sql.lines().filter_map(|line| line.split_once("--"));
            for (_, comment) in comments {
                let bind = comment
                    .split(':')
                    .skip(1)
                    .any(|rest| rest.starts_with(|c: char| c.is_alphanumeric()));
                assert!(!bind && !comment.contains(['\'', '"']), "{name}: {comment}");
            }
        }
    }

    /// A change of a claimed, settled or deleted row is fenced or under a lock of this session.
    #[test]
    fn verdicts_match_row_token_and_event() {
        let fence = "WHERE id = :id AND lease_token = :lease_token AND event_id = :event_id AND status IN (2, 3)";
        for (name, sql) in all() {
            let verdict = [
                "ack_delete",
                "ack_keep",
                "extend",
                "hold",
                "release",
                "retry",
            ]
            .contains(&name);
            assert_eq!(sql.contains(fence), verdict, "{name}");
        }
    }

    /// The lock of a row that was looked at is not relied on: whoever changes it repeats the condition.
    #[test]
    fn a_change_of_a_row_that_was_looked_at_repeats_the_condition() {
        let all = Statements::new(&TableName::default());
        for (sql, condition) in [
            (
                &all.lease,
                "lease_token = :lease_token AND status IN (0, 2)",
            ),
            (&all.turn, "status = :was AND due_at <= :now"),
            (&all.hold_ended, "status = 3 AND due_at <= :now"),
            (
                &all.hold_expired,
                "expiry_queue = queue_id AND expires_at <=",
            ),
            (
                &all.hold_foreign,
                "status IN (0, 2) AND 9999999999 IN (attempts, lease_token)",
            ),
            (&all.remove_acked, "status = 4"),
            (&all.key_forget, "expires_at <="),
            (&all.requeue, "lease_token + 1"),
        ] {
            assert!(sql.contains(condition), "{sql}");
        }
    }
}
