-- Names of tables have no case in SQLite: Events and events are one table.
SELECT id, checksum, applied_at
FROM event_channels_migrations
WHERE queue_table = ?1 COLLATE NOCASE
ORDER BY id;
