-- The count of attempts starts anew; the fence is raised, so that no earlier holding fits the new
-- row, which may have the old one's id.
INSERT INTO sqlspec_event_queue
    (queue_id, event_id, priority, lease_token, keyed, requeues, available_at, created_at, last_error, metadata, payload)
SELECT queue_id, event_id, priority, lease_token + 1, keyed, requeues + 1, ?2, created_at, last_error, metadata, payload
  FROM sqlspec_event_queue_dead
 WHERE id = ?1
RETURNING queue_id, event_id, keyed
