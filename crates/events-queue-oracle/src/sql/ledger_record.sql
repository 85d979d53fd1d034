/* events.table.ledger_record */
INSERT INTO event_channels_migrations (queue_table, id, checksum) VALUES (:queue_table, :id, :checksum)
