-- Which migrations this database has had, for each queue table in it.
CREATE TABLE IF NOT EXISTS event_channels_migrations (
    queue_table TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    checksum    TEXT    NOT NULL,
    applied_at  INTEGER NOT NULL,
    PRIMARY KEY (queue_table, id)
) STRICT, WITHOUT ROWID;
