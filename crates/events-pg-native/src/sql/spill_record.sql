INSERT INTO event_channels_migrations (queue_table, id, checksum)
VALUES ($1, $2, $3)
ON CONFLICT (queue_table, id) DO UPDATE
SET checksum = excluded.checksum, applied_at = statement_timestamp()
