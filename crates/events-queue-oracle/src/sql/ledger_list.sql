/* events.table.ledger_list */
SELECT id, checksum, applied_at FROM event_channels_migrations WHERE queue_table = :queue_table ORDER BY id
