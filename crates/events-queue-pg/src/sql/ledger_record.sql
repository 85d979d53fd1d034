INSERT INTO event_channels_migrations (queue_table, id, checksum) VALUES ($1, $2, $3)
