-- The count of attempts starts anew; the fence goes on, because the row id may be the old one.
INSERT INTO sqlspec_event_queue
    (queue_id, event_id, priority, lease_token, keyed, requeues, available_at, created_at, last_error, metadata, payload)
SELECT queue_id, event_id, priority, lease_token, keyed, requeues + 1, ?2, created_at, last_error, metadata, payload
  FROM sqlspec_event_queue_dead
 WHERE id = ?1
RETURNING queue_id, event_id, keyed
