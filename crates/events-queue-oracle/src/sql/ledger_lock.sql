/* events.table.ledger_lock */
-- Held by a session of its own while another one migrates: on Oracle every DDL commits, which would
-- give back a lock of its own session.
SELECT id FROM event_channels_migrations WHERE queue_table = '-' FOR UPDATE
