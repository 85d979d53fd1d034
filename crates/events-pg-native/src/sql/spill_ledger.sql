-- When each migration was recorded, in microseconds since 1970.
SELECT id, checksum, (extract(epoch FROM applied_at) * 1000000)::bigint
FROM event_channels_migrations
WHERE queue_table = $1
