/* events.table.ledger_forget */
DELETE FROM event_channels_migrations WHERE queue_table = :queue_table
