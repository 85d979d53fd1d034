-- A row with its values: one that is copied from a query could stop half-way, and inside a
-- transaction SQLite keeps copies of all pages that such a statement changes.
INSERT INTO sqlspec_event_queue
    (queue_id, event_id, status, priority, available_at, expires_at, created_at, keyed, metadata, payload)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
