SELECT id, checksum, applied_at FROM event_channels_migrations WHERE queue_table = $1 ORDER BY id
