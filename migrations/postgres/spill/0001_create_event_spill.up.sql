-- Events that a notification cannot carry; the notification says that one is here, under its id.
CREATE TABLE sqlspec_event_queue (
    event_id  uuid        PRIMARY KEY,
    envelope  text        NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT statement_timestamp()
);

-- For the clean-up, which takes the oldest first.
CREATE INDEX idx_sqlspec_event_queue_stored ON sqlspec_event_queue (stored_at);
