-- Reads the catalogue itself, so that a ledger that another process just made is seen.
SELECT EXISTS (
    SELECT 1
    FROM main.sqlite_schema
    WHERE type = 'table' AND name = 'event_channels_migrations'
);
