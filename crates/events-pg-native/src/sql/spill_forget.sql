DELETE FROM event_channels_migrations WHERE queue_table = $1
