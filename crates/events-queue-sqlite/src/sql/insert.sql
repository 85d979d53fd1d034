-- One row for each group that is registered for the channel; found by the unique index.
INSERT INTO sqlspec_event_queue
    (queue_id, event_id, status, priority, available_at, expires_at, created_at, keyed, metadata, payload)
SELECT queue_id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10
  FROM sqlspec_event_queue_queue
 WHERE channel = ?1
