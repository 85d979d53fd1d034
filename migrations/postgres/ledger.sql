-- Which migrations this schema has had, for each queue table in it.
CREATE TABLE IF NOT EXISTS event_channels_migrations (
    queue_table text        NOT NULL,
    id          text        NOT NULL,
    checksum    text        NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT statement_timestamp(),
    PRIMARY KEY (queue_table, id)
);
