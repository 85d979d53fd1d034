INSERT INTO event_channels_migrations (queue_table, id, checksum, applied_at)
VALUES (?1, ?2, ?3, ?4);
